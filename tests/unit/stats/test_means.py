"""Means and ratios, once, against scipy, tea-tasting and an explicit jackknife."""

import math

import numpy as np
import pytest
import tea_tasting as tt
from scipy import stats
from tea_tasting.aggr import Aggregates

from abctl.stats.estimate import Delta, Estimate, NotEstimable, Plan, Remark
from abctl.stats.methods import mean_sequence, ratio, ratio_sequence, welch
from abctl.stats.summary import Buckets, Moments, Stream

ALTERNATIVES = ("two-sided", "greater", "less")


def moments(*samples, shift=0.0):
    shifted = [np.asarray(x) - shift for x in samples]
    sums, squares = [x.sum() for x in shifted], [np.square(x).sum() for x in shifted]
    return Moments([x.size for x in shifted], sums, squares, shift)


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(1)
    return rng.normal(10.0, 2.0, 200), rng.normal(10.5, 5.0, 300)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_welch_is_scipys(samples, alternative) -> None:
    x, y = samples
    found = welch.estimate(Stream(moments(x), moments(y), [0]), Plan(alternative=alternative))
    wanted = stats.ttest_ind(y, x, equal_var=False, alternative=alternative)
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-9)
    assert found.interval == pytest.approx(tuple(wanted.confidence_interval()), rel=1e-9)


def test_welch_with_a_margin(samples) -> None:
    x, y = samples
    plan = Plan(null=Delta(-0.5, relative=False), alternative="greater")
    found = welch.estimate(Stream(moments(x), moments(y), [0]), plan)
    wanted = stats.ttest_ind(y + 0.5, x, equal_var=False, alternative="greater")
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-9)


def test_a_relative_margin_is_tested_on_the_control_itself(samples) -> None:
    """It is the test of y against 1.1 x, whose variance counts the control's 1.21 times."""
    x, y = samples
    plan = Plan(null=Delta(0.1, relative=True), alternative="less")
    found = welch.estimate(Stream(moments(x), moments(y), [0]), plan)
    t = stats.ttest_ind(y, 1.1 * x, equal_var=False).statistic
    assert found.log_p == pytest.approx(stats.norm.logcdf(t), rel=0.02)


def test_lift_is_close_to_tea_tastings(samples) -> None:
    """Its interval is by the delta method, ours by Fieller: alike in a large sample."""
    x, y = (np.tile(sample, 50) for sample in samples)
    found = welch.estimate(Stream(moments(x), moments(y), [0]), Plan())
    a, b = (
        Aggregates(count_=s.size, mean_={"v": s.mean()}, var_={"v": s.var(ddof=1)}, cov_={})
        for s in (x, y)
    )
    wanted = tt.Mean("v").analyze_aggregates(a, b)
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-6)
    assert found.lift == pytest.approx(wanted.rel_effect_size)
    wanted_interval = (wanted.rel_effect_size_ci_lower, wanted.rel_effect_size_ci_upper)
    assert found.lift_interval == pytest.approx(wanted_interval, abs=2e-4)


def test_fieller_covers() -> None:
    rng = np.random.default_rng(2)
    missed = 0
    for _ in range(600):
        x, y = rng.exponential(1.0, 60), rng.exponential(1.2, 60)
        found = welch.from_moments(
            (60, x.mean(), x.var(ddof=1)), (60, y.mean(), y.var(ddof=1)), Plan(alpha=0.2)
        )
        low, high = found.lift_interval
        missed += not low <= 0.2 <= high
    assert missed / 600 == pytest.approx(0.2, abs=0.055)


def test_from_moments_is_the_same(samples) -> None:
    x, y = samples
    each = [(s.size, s.mean(), s.var(ddof=1)) for s in (x, y)]
    found = welch.from_moments(*each, Plan())
    whole = welch.estimate(Stream(moments(x), moments(y), [0]), Plan())
    assert found.interval == pytest.approx(whole.interval)


def test_epochs_are_weighted_by_information() -> None:
    rng = np.random.default_rng(3)
    parts = [
        (rng.normal(0, 1, 400), rng.normal(0, 1, 20)),
        (rng.normal(5, 1, 50), rng.normal(5, 1, 50)),
    ]
    a, b = moments(*(x for x, _ in parts)), moments(*(y for _, y in parts))
    found = welch.estimate(Stream(a, b, [0, 1]), Plan())
    weight = np.array([400 * 20 / 420, 50 * 50 / 100])
    weight /= weight.sum()
    effect = sum(w * (y.mean() - x.mean()) for w, (x, y) in zip(weight, parts, strict=True))
    variance = sum(
        w * w * (x.var(ddof=1) / x.size + y.var(ddof=1) / y.size)
        for w, (x, y) in zip(weight, parts, strict=True)
    )
    assert found.effect == pytest.approx(effect)
    middle = 0.5 * (found.interval[1] - found.interval[0])
    assert middle == pytest.approx(1.98 * math.sqrt(variance), rel=0.02)


@pytest.mark.parametrize("method", [welch, mean_sequence])
def test_a_large_mean_with_a_tiny_spread_is_refused_not_guessed(method) -> None:
    rng = np.random.default_rng(4)
    x, y = (1e9 + rng.normal(shift, 1.0, 20_000) for shift in (0.0, 0.1))
    found = method.estimate(Stream(moments(x), moments(y), [0]), Plan())
    assert isinstance(found, NotEstimable)
    assert found.why.code == "spreadLost"
    shifted = Stream(moments(x, shift=1e9), moments(y, shift=1e9), [0])
    found = method.estimate(shifted, Plan(mde=Delta(0.1, relative=False)))
    assert isinstance(found, Estimate)
    assert found.effect == pytest.approx(y.mean() - x.mean(), abs=1e-6)
    assert found.rejects
    assert found.control == pytest.approx(1e9)


@pytest.mark.parametrize("method", [welch, mean_sequence])
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_no_variance_is_no_result(method, value) -> None:
    side = moments(np.full(500, value))
    assert isinstance(method.estimate(Stream(side, side, [0]), Plan()), NotEstimable)


@pytest.mark.parametrize("n", [0, 1, 2, 29])
def test_welch_wants_thirty(n) -> None:
    rng = np.random.default_rng(5)
    stream = Stream(moments(rng.normal(size=n)), moments(rng.normal(size=500)), [0])
    found = welch.estimate(stream, Plan())
    assert isinstance(found, NotEstimable)
    facts = {"n_count": n if n > 1 else 0, "needed_count": 30}  # one value has no variance
    assert found.why == Remark("tooFewValues", facts)


def test_log_p_survives_underflow() -> None:
    found = welch.from_moments((10**6, 0.0, 1.0), (10**6, 1.0, 1.0), Plan())
    assert found.p == 0.0
    assert -260_000 < found.log_p < -200_000


def buckets(seed, effect=0.0, count=32):
    rng = np.random.default_rng(seed)
    trials = rng.poisson(200, (1, count))
    return Buckets(
        rng.binomial(trials, np.clip(rng.normal(0.2, 0.03, count), 0, 1) + effect), trials
    )


def test_ratio_is_tea_tastings_over_buckets() -> None:
    a, b = buckets(6), buckets(7, 0.01)
    found = ratio.estimate(Stream(a, b, [0]), Plan())
    wanted = tt.RatioOfMeans("n", "d", equal_var=False).analyze_aggregates(
        *map(_aggregates, (a, b))
    )
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-9)
    low, high = wanted.effect_size_ci_lower, wanted.effect_size_ci_upper
    assert found.interval == pytest.approx((low, high), rel=1e-9)


def _aggregates(side):
    n, d = side.numerator[0], side.denominator[0]
    cov = np.cov(n, d)
    return Aggregates(
        count_=n.size,
        mean_={"n": n.mean(), "d": d.mean()},
        var_={"n": cov[0, 0], "d": cov[1, 1]},
        cov_={("d", "n"): cov[0, 1]},
    )


def test_ratio_is_close_to_a_jackknife() -> None:
    a, b = buckets(8), buckets(9)
    found = ratio.estimate(Stream(a, b, [0]), Plan())

    def jackknife(side):
        n, d = side.numerator[0], side.denominator[0]
        left = (n.sum() - n) / (d.sum() - d)
        return (n.size - 1) / n.size * np.square(left - left.mean()).sum()

    half = 0.5 * (found.interval[1] - found.interval[0])
    assert half == pytest.approx(2.0 * math.sqrt(jackknife(a) + jackknife(b)), rel=0.03)


@pytest.mark.parametrize("method", [ratio, ratio_sequence])
def test_buckets_have_to_match_and_be_enough(method) -> None:
    for a, b, code in (
        (buckets(1, count=7), buckets(2, count=7), "tooFewBuckets"),
        (buckets(1), buckets(2, count=16), "otherBuckets"),
    ):
        found = method.estimate(Stream(a, b, [0]), Plan())
        assert isinstance(found, NotEstimable)
        assert found.why.code == code


def events_of(per_bucket, requests=1000, polls=20):
    """Buckets of many users with one request each, with as many events as given, in the end."""
    shape = (polls, len(per_bucket))
    rng = np.random.default_rng(13)
    last = np.zeros(shape)
    last[-1] = per_bucket
    return Buckets(last, np.maximum(rng.poisson(requests, shape), np.minimum(last, 1.0)))


@pytest.mark.parametrize("method", [ratio, ratio_sequence])
def test_one_user_with_many_errors_is_one_user(method) -> None:
    one, spread = np.zeros(64), np.ones(64)
    one[7] = 64
    quiet, plan = events_of(np.zeros(64)), Plan(mde=Delta(5e-5, relative=False))
    alone = method.estimate(Stream(quiet, events_of(one), np.zeros(20)), plan)
    shared = method.estimate(Stream(events_of(spread), events_of(2 * spread), np.zeros(20)), plan)
    assert alone.notes[0] == Remark("fewEvents")
    assert not shared.notes


@pytest.mark.parametrize("method", [ratio, ratio_sequence])
def test_hardly_any_errors_prove_that_there_are_not_many(method) -> None:
    """Three errors against one: no variance to speak of, but far from half a point more."""
    few, fewer = np.zeros(64), np.zeros(64)
    few[[3, 30, 60]], fewer[11] = 1, 1
    margin = Plan(null=Delta(0.005, relative=False), alternative="less")
    found = method.estimate(Stream(events_of(fewer), events_of(few), np.zeros(20)), margin)
    assert found.rejects
    users = events_of(few, requests=0.1)
    found = method.estimate(Stream(users, users, np.zeros(20)), margin)
    assert not found.rejects


@pytest.mark.parametrize("method", [ratio, ratio_sequence])
def test_money_from_a_few_buckets_is_no_mean(method) -> None:
    rich = np.zeros(64)
    rich[:4] = 1e6
    found = method.estimate(Stream(events_of(rich), events_of(2 * rich), np.zeros(20)), Plan())
    assert isinstance(found, NotEstimable)
    assert found.why.code == "tooFewBucketsFilled"


def test_users_that_return_in_a_later_epoch_are_not_new_ones() -> None:
    """The same users twice: the second epoch adds nothing, so the error must not shrink."""
    a, b = buckets(10), buckets(11)
    once = ratio.estimate(Stream(a, b, [0]), Plan())
    twice = [
        Buckets(np.repeat(side.numerator, 2, axis=0), np.repeat(side.denominator, 2, axis=0))
        for side in (a, b)
    ]
    again = ratio.estimate(Stream(*twice, [0, 1]), Plan())
    widths = [found.interval[1] - found.interval[0] for found in (once, again)]
    assert again.effect == pytest.approx(once.effect)
    assert widths[1] == pytest.approx(widths[0], rel=0.35)
    assert widths[1] > widths[0] / math.sqrt(2.0) * 1.1


def test_users_that_a_ramp_moved_are_paired() -> None:
    """All users of the treatment were in the control before: their levels must cancel."""
    rng = np.random.default_rng(12)
    level = np.clip(rng.normal(0.3, 0.15, 64), 0.01, 0.9)
    trials = np.full(64, 1000)
    first = [rng.binomial(trials, level), rng.binomial(trials, rng.permutation(level))]
    second = [rng.binomial(trials, rng.permutation(level)), rng.binomial(trials, level)]
    a = Buckets(np.array([first[0], second[0]]), np.array([trials, trials]))
    b = Buckets(np.array([first[1], second[1]]), np.array([trials, trials]))
    moved = ratio.estimate(Stream(a, b, [0, 1]), Plan())
    apart = [ratio.estimate(Stream(_row(a, i), _row(b, i), [0]), Plan()) for i in (0, 1)]
    width = moved.interval[1] - moved.interval[0]
    assert width < min(found.interval[1] - found.interval[0] for found in apart)


def _row(side, i):
    return Buckets(side.numerator[i : i + 1], side.denominator[i : i + 1])
