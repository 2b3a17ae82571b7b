"""CUPED that may be looked at at any time: its slope is known before, and it holds its level."""

import numpy as np
import pandas as pd
import pytest

from abctl.stats import Comparison, Delta, cuped
from abctl.stats.estimate import NotEstimable, Plan
from abctl.stats.methods import cuped_ratio_sequence, cuped_sequence, mean_sequence, ratio_sequence
from abctl.stats.methods import method as method_of
from abctl.stats.summaries.buckets import BucketPairs, adjusted_buckets, bucket_paths
from abctl.stats.summaries.moments import moment_paths
from abctl.stats.summaries.pairs import Pairs, adjusted
from abctl.stats.summary import Buckets, Moments, Stream

cuped_horizon = method_of("cuped_horizon")
cuped_ratio_horizon = method_of("cuped_ratio_horizon")

PLAN = Plan(mde=Delta(0.1, relative=False))
FIELDS = ("n", "y", "x", "yy", "xx", "xy")


def pairs(y, x) -> Pairs:
    """From values of shape (polls, units)."""
    each = [Pairs.of(a, b) for a, b in zip(y, x, strict=True)]
    return Pairs(*(np.concatenate([getattr(one, name) for one in each]) for name in FIELDS))


def stream(rng, polls, units, *, effect=0.0, rho=0.7, before=0.0):
    sides = []
    for moved, shift in ((0.0, 0.0), (effect, before)):
        x = rng.normal(size=(polls, units)) + shift
        noise = np.sqrt(1.0 - rho**2) * rng.normal(size=(polls, units))
        sides.append(pairs(5.0 + rho * x + noise + moved, x))
    return Stream(*sides, np.zeros(polls))


def plain(both) -> Stream:
    sides = (Moments(side.n, side.y, side.yy) for side in (both.control, both.treatment))
    return Stream(*sides, both.epoch)


def until(both, polls):
    keep = np.arange(both.epoch.size) < polls
    return Stream(both.control.at(keep), both.treatment.at(keep), both.epoch[keep])


def test_the_slope_of_a_poll_is_that_of_earlier_polls() -> None:
    both = stream(np.random.default_rng(1), 20, 40)
    whole = adjusted(both)
    assert whole.slope[0] == 0.0
    assert whole.slope[-1] == pytest.approx(0.7, abs=0.06)
    for polls in (3, 11):
        assert np.array_equal(adjusted(until(both, polls)).slope, whole.slope[:polls])
    changed = Stream(
        until(both, 19).control + until(both, 19).treatment, until(both, 19).control, np.zeros(19)
    )
    assert adjusted(changed).slope.size == 19
    later = stream(np.random.default_rng(2), 20, 40)
    spliced = [
        Pairs(*(np.r_[getattr(one, f)[:19], getattr(other, f)[19:]] for f in FIELDS))
        for one, other in ((both.control, later.control), (both.treatment, later.treatment))
    ]
    assert adjusted(Stream(*spliced, np.zeros(20))).slope[19] == whole.slope[19]


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.7, 0.9])
def test_the_variance_falls_by_the_squared_correlation(rho) -> None:
    both = stream(np.random.default_rng(3), 60, 200, rho=rho)
    found = adjusted(both)
    left = moment_paths(found.stream).variance()[-1] / moment_paths(plain(both)).variance()[-1]
    # The first poll has no slope yet.
    assert left == pytest.approx(1.0 - rho**2 * 59 / 60, abs=0.02)
    assert found.reduced == pytest.approx(rho**2, abs=0.02)


def test_in_the_end_it_says_what_one_look_says() -> None:
    both = stream(np.random.default_rng(4), 100, 100, effect=0.05)
    once = cuped.estimate(Stream(both.control.pooled(), both.treatment.pooled(), 0), Plan())
    for method in (cuped_sequence, cuped_horizon):
        found = method.estimate(both, PLAN)
        assert found.effect == pytest.approx(once.effect, abs=0.3 * once.se)
        assert found.se == pytest.approx(once.se, rel=0.02)
        assert found.notes[0].code == "varianceReduced"


def test_through_a_ramp_with_drift_the_effect_is_right() -> None:
    rng, epoch = np.random.default_rng(5), np.repeat([0, 1], 20)
    sides = []
    for sizes, effect in (((190, 100), 0.0), ((10, 100), 0.3)):
        y, x = [], []
        for poll, which in enumerate(epoch):
            x.append(rng.normal(poll / 20, 1.0, sizes[which]))
            y.append(x[-1] + rng.normal(poll / 4, 0.5, sizes[which]) + effect)
        sides.append(pairs(y, x))
    found = cuped_sequence.estimate(Stream(*sides, epoch), PLAN)
    assert found.interval[0] < 0.3 < found.interval[1]
    assert found.effect == pytest.approx(0.3, abs=0.1)
    assert found.rejects


@pytest.mark.parametrize("method", [cuped_sequence, cuped_horizon])
def test_a_covariate_that_differs_between_variants_is_refused(method) -> None:
    rng = np.random.default_rng(6)
    found = method.estimate(stream(rng, 50, 100, before=0.2), PLAN)
    assert isinstance(found, NotEstimable)
    assert found.why.code == "differedBefore"


@pytest.mark.slow
def test_errors_stay_within_the_level() -> None:
    rng, runs, rejected = np.random.default_rng(7), 150, 0
    for _ in range(runs):
        found = cuped_horizon.estimate(stream(rng, 30, 30), PLAN)  # the sequence is part of it
        rejected += not isinstance(found, NotEstimable) and found.rejects
    # P(Binomial(150, 0.05) >= 16) is under 0.005.
    assert rejected < 16


def users(rng, effect=0.0, people=400, polls=12):
    """Sums of users who return, by 64 buckets; x is what each did before."""
    sides = []
    for moved in (0.0, effect):
        level = rng.lognormal(0.0, 0.7, people)
        bucket, first = rng.integers(0, 64, people), rng.integers(0, polls // 2, people)
        x = rng.poisson(8.0 * level)
        fields = np.zeros((4, polls, 64))
        for poll in range(polls):
            here = first <= poll
            y = rng.poisson(np.where(here, level * (1.0 + moved), 0.0))
            new = first == poll
            for field, values in enumerate((y, here, x * new, new)):
                fields[field, poll] = np.bincount(bucket, values, 64)
        sides.append(BucketPairs(*fields))
    return Stream(*sides, np.zeros(polls))


def during(both):
    return Stream(both.control.during, both.treatment.during, both.epoch)


def test_ratios_of_returning_users_need_less() -> None:
    rng, gains = np.random.default_rng(8), []
    for _ in range(10):
        both = users(rng)
        found = adjusted_buckets(both)
        gains.append(
            bucket_paths(found.stream, support=False).variance()[-1]
            / bucket_paths(during(both), support=False).variance()[-1]
        )
        assert found.stream.control.denominator == pytest.approx(both.control.denominator)
        assert np.array_equal(adjusted_buckets(until(both, 7)).slope, found.slope[:7])
    assert np.mean(gains) < 0.5


def test_the_adjusted_effect_is_that_of_ratios_less_what_differed_before() -> None:
    both = users(np.random.default_rng(9), effect=0.1)
    found = adjusted_buckets(both)
    slope = found.slope[-1]

    def ratio(buckets: Buckets) -> float:
        return buckets.numerator.sum() / buckets.denominator.sum()

    a, b = both.control, both.treatment
    wanted = ratio(b.during) - ratio(a.during) - slope * (ratio(b.before) - ratio(a.before))
    adjusted_effect = ratio(found.stream.treatment) - ratio(found.stream.control)
    assert adjusted_effect == pytest.approx(wanted, rel=1e-9)
    for method in (cuped_ratio_sequence, cuped_ratio_horizon):
        assert method.estimate(both, PLAN).effect == pytest.approx(wanted, rel=1e-9)


@pytest.mark.slow
def test_ratios_hold_their_level_and_refuse_what_differed() -> None:
    rng, runs, rejected = np.random.default_rng(10), 100, 0
    for _ in range(runs):
        found = cuped_ratio_sequence.estimate(users(rng, people=200, polls=8), PLAN)
        rejected += not isinstance(found, NotEstimable) and found.rejects
    # P(Binomial(100, 0.05) >= 12) is under 0.005.
    assert rejected < 12
    both = users(rng)
    b = both.treatment
    moved = BucketPairs(b.numerator, b.denominator, 2.0 * b.before_numerator, b.before_denominator)
    found = cuped_ratio_sequence.estimate(Stream(both.control, moved, both.epoch), PLAN)
    assert found.why.code == "differedBefore"


def test_a_frame_with_times_is_judged_by_it() -> None:
    rng, size = np.random.default_rng(11), 4000
    frame = pd.DataFrame({"variant": np.tile(["a", "b"], size // 2), "at": np.arange(size)})
    frame["before"] = rng.normal(10.0, 2.0, size)
    frame["after"] = frame.before + rng.normal(0.0, 1.0, size) + 0.1 * (frame.variant == "b")
    frame["who"] = np.arange(size) % 800
    often = Comparison(frame, variant="variant", control="a", time="at", every=40)
    found = often.means("after", before="before", mde="0.1abs")
    assert (found.method, found.sequential) == ("cuped_horizon", True)
    assert found.se < 0.6 * often.means("after", mde="0.1abs").se
    returning = Comparison(frame, variant="variant", control="a", unit="who", time="at", every=40)
    assert returning.means("after", before="before").method == "cuped_ratio_sequence"
    assert mean_sequence.SUMMARY is Moments
    assert ratio_sequence.SUMMARY is Buckets
