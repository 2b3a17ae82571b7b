"""CUPED: regressions of statsmodels as oracle, laws, and seeded simulations."""

import numpy as np
import pytest
from statsmodels.regression.linear_model import OLS

from abctl.stats import cuped
from abctl.stats.estimate import NotEstimable, Plan
from abctl.stats.methods import ratio, welch
from abctl.stats.summary import Buckets, Moments, Stream, SummaryError

PLAN = Plan()


def stream(*arms, epoch=(0,)) -> Stream[cuped.Pairs]:
    """From (y, x) of control and treatment, for each epoch in turn."""
    pairs = [cuped.Pairs.of(np.asarray(y), np.asarray(x)) for y, x in arms]
    sides = []
    for side in (pairs[::2], pairs[1::2]):
        names = ("n", "y", "x", "yy", "xx", "xy")
        sides.append(cuped.Pairs(*(np.concatenate([getattr(p, f) for p in side]) for f in names)))
    return Stream(sides[0], sides[1], np.array(epoch))


def arm(rng, n: int, effect: float = 0.0, slope: float = 2.0, before: float = 0.0):
    x = rng.normal(10 + before, 3, n)
    return 5 + effect + slope * x + rng.normal(0, 4, n), x


def regression(control, treatment, *, interacted: bool):
    y, x = (np.concatenate(parts) for parts in zip(control, treatment, strict=True))
    treated = np.r_[np.zeros(control[0].size), np.ones(treatment[0].size)]
    columns = [np.ones_like(y), treated, x - x.mean()]
    columns += [treated * (x - x.mean())] if interacted else []
    return OLS(y, np.column_stack(columns)).fit(cov_type="HC2")


@pytest.mark.parametrize("interacted", [False, True])
def test_the_effect_is_the_coefficient_of_a_regression(interacted) -> None:
    rng = np.random.default_rng(1)
    control, treatment = arm(rng, 4000), arm(rng, 1500, effect=0.3, slope=2.5)
    found = cuped.estimate(stream(control, treatment), PLAN, interacted=interacted)
    oracle = regression(control, treatment, interacted=interacted)
    assert found.effect == pytest.approx(oracle.params[1])
    error = (found.interval[1] - found.interval[0]) / 2 / 1.9608
    # Interacted, the spread of the common x comes on top of the regression's conditional variance.
    allowance = 0.5**2 * 9 / 5500 if interacted else 0
    assert error**2 - allowance == pytest.approx(oracle.bse[1] ** 2, rel=0.02)


def test_like_sizes_share_a_slope_and_unlike_ones_do_not() -> None:
    rng = np.random.default_rng(2)
    control, like, unlike = arm(rng, 1000), arm(rng, 950, slope=3), arm(rng, 300, slope=3)
    for treatment, interacted in ((like, False), (unlike, True)):
        both = stream(control, treatment)
        chosen = cuped.estimate(both, PLAN)
        assert chosen == cuped.estimate(both, PLAN, interacted=interacted)
        assert chosen != cuped.estimate(both, PLAN, interacted=not interacted)


def test_without_correlation_it_is_welch() -> None:
    rng = np.random.default_rng(3)
    (y_a, _), (y_b, _) = arm(rng, 500), arm(rng, 500)
    x = np.tile([1.0, -1.0], 250)
    y_a, y_b = y_a - x * (x @ y_a) / 500, y_b - x * (x @ y_b) / 500
    found = cuped.estimate(stream((y_a, x), (y_b, x)), PLAN)

    def moments(y):
        return Moments(np.array([500.0]), np.array([y.sum()]), np.array([y @ y]))

    oracle = welch.estimate(Stream(moments(y_a), moments(y_b), np.zeros(1, dtype=np.int64)), PLAN)
    assert found.effect == pytest.approx(oracle.effect)
    assert found.interval == pytest.approx(oracle.interval, rel=2e-3)


def test_the_variance_falls_by_the_squared_correlation() -> None:
    rng = np.random.default_rng(4)
    found = cuped.estimate(stream(arm(rng, 20_000), arm(rng, 20_000)), PLAN)
    squared = (2 * 3) ** 2 / ((2 * 3) ** 2 + 4**2)
    assert found.notes[0].code == "varianceReduced"
    assert found.notes[0].facts["reduced_ratio"] == pytest.approx(squared, abs=0.011)


def test_swapping_the_variants_mirrors_the_result() -> None:
    rng = np.random.default_rng(5)
    both = stream(arm(rng, 400, effect=1), arm(rng, 390))
    one, other = cuped.estimate(both, PLAN), cuped.estimate(both.swapped(), PLAN)
    assert one.effect == pytest.approx(-other.effect)
    assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]))
    assert one.p == pytest.approx(other.p)


def test_shards_add_up_and_constants_do_not_matter() -> None:
    rng = np.random.default_rng(6)
    (y_a, x_a), treatment = arm(rng, 400), arm(rng, 400)
    whole = cuped.estimate(stream((y_a, x_a), treatment), PLAN)
    parts = cuped.Pairs.of(y_a[:150], x_a[:150]) + cuped.Pairs.of(y_a[150:], x_a[150:])
    merged = Stream(parts, stream((y_a, x_a), treatment).treatment, np.zeros(1, dtype=np.int64))
    assert cuped.estimate(merged, PLAN).p == pytest.approx(whole.p)
    moved = stream((y_a - 7, x_a + 100), (treatment[0] - 7, treatment[1] + 100))
    assert cuped.estimate(moved, PLAN).interval == pytest.approx(whole.interval)


@pytest.mark.slow
@pytest.mark.parametrize("interacted", [False, True])
def test_error_rate_through_a_ramp_with_drift(interacted) -> None:
    rng, runs, rejected = np.random.default_rng(7), 800, 0
    for _ in range(runs):
        first = (arm(rng, 200), arm(rng, 40))
        later = tuple((y + 9, x + 2) for y, x in (arm(rng, 60), arm(rng, 60)))
        both = stream(*first, *later, epoch=(0, 1))
        rejected += cuped.estimate(both, PLAN, interacted=interacted).rejects
    assert 0.027 < rejected / runs < 0.073


def codes(found) -> list[str]:
    return [note.code for note in found.notes]


def test_an_imbalance_before_is_said() -> None:
    rng = np.random.default_rng(8)
    found = cuped.estimate(stream(arm(rng, 500), arm(rng, 500, before=2)), PLAN)
    assert "differedBefore" in codes(found)
    assert ("signTurned" in codes(found)) == (found.effect < 0)
    healthy = cuped.estimate(stream(arm(rng, 500), arm(rng, 500)), PLAN)
    assert len(healthy.notes) == 1


def test_a_turned_sign_is_said() -> None:
    rng = np.random.default_rng(9)
    found = cuped.estimate(stream(arm(rng, 500), arm(rng, 500, effect=-2, before=2)), PLAN)
    assert found.effect < 0
    assert "signTurned" in codes(found)


def buckets(rng, users: int, effect: float):
    """Requests and successes of users in 64 buckets, during and before; heavy users stay heavy."""
    bucket, rate = rng.integers(0, 64, users), rng.lognormal(1, 1, users)
    level = np.clip(rng.beta(2, 2, users), 0, 1 - effect)

    def period(shift: float) -> Buckets:
        n = rng.poisson(rate)
        successes = rng.binomial(n, level + shift)
        sums = [np.bincount(bucket, values, 64)[None] for values in (successes, n)]
        return Buckets(*sums)

    return period(effect), period(0.0)


@pytest.mark.slow
def test_buckets_hold_their_level_and_gain() -> None:
    rng, rejected, gains = np.random.default_rng(10), 0, []
    runs = 300
    for _ in range(runs):
        (a, a_before), (b, b_before) = buckets(rng, 800, 0.0), buckets(rng, 800, 0.0)
        found = cuped.estimate_buckets((a, b), (a_before, b_before), PLAN)
        plain = ratio.estimate(Stream(a, b, np.zeros(1, dtype=np.int64)), PLAN)
        rejected += found.rejects
        gains.append(np.diff(found.interval)[0] / np.diff(plain.interval)[0])
    assert 0.02 < rejected / runs < 0.088
    assert np.mean(gains) < 0.75


@pytest.mark.parametrize(
    ("control", "code"),
    [
        ((np.arange(10.0), np.arange(10.0)), "tooFewValues"),
        ((np.ones(50), np.arange(50.0)), "spreadLost"),
        ((np.arange(50.0), np.ones(50)), "nothingToAdjustBy"),
        ((1e9 + np.arange(50.0) * 1e-3, np.arange(50.0)), "spreadLost"),
    ],
)
def test_what_cannot_be_estimated(control, code) -> None:
    found = cuped.estimate(stream(control, arm(np.random.default_rng(11), 50)), PLAN)
    assert isinstance(found, NotEstimable)
    assert found.why.code == code


def test_buckets_that_do_not_match() -> None:
    a, b = (Buckets(np.ones((1, k)), np.ones((1, k))) for k in (64, 32))
    with pytest.raises(SummaryError):
        cuped.estimate_buckets((a, a), (b, b), PLAN)
    empty = Buckets(np.zeros((1, 64)), np.zeros((1, 64)))
    assert isinstance(cuped.estimate_buckets((a, a), (a, empty), PLAN), NotEstimable)
