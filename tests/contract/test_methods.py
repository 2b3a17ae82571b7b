"""Laws that every method of statistics obeys; a new method is found and held to them by itself."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import strategies as st
from laws import law

from abctl.core.reasons import Reason
from abctl.stats.estimate import Delta, Estimate, NotEstimable, Plan
from abctl.stats.looks import looks
from abctl.stats.methods import method, names
from abctl.stats.summaries.buckets import BucketPairs
from abctl.stats.summaries.grouped import GroupedHistogram
from abctl.stats.summaries.paired import PairedCounts, paired
from abctl.stats.summaries.paired_means import PairedMoments, paired_moments
from abctl.stats.summaries.pairs import Pairs
from abctl.stats.summary import Buckets, Counts, Events, Histogram, Moments, Stream

NAMES = names()
METHODS = [method(name) for name in NAMES]
FIXED = [method for method in METHODS if not method.SEQUENTIAL]
EDGES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
MIRRORED = {"two-sided": "two-sided", "greater": "less", "less": "greater"}
LAW = law(
    15,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def each(methods=METHODS):
    return pytest.mark.parametrize("method", methods, ids=lambda m: m.__name__.rsplit(".", 1)[-1])


def summary_of(kind, rng, n, level):  # noqa: PLR0911 - one for each kind
    """A summary of `n` (polls,) units whose metric is around `level` in (0, 1)."""
    polls = n.size
    if kind is Counts:
        return Counts(n, rng.binomial(n, level))
    if kind is Events:
        return Events(rng.poisson(n * level), n)
    if kind is Moments:
        values = [rng.normal(level, 0.3, size) for size in n]
        return Moments(n, [x.sum() for x in values], [(x * x).sum() for x in values])
    if kind is Buckets:
        trials = rng.multinomial(n, np.full(16, 1 / 16))
        return Buckets(rng.binomial(trials, level), trials)
    if kind in (Pairs, BucketPairs):
        return with_covariate(kind, rng, n, level)
    if kind is GroupedHistogram:
        whole = summary_of(Histogram, rng, n, level)
        parts = rng.multinomial(whole.counts.astype(int), np.full(16, 1 / 16))
        return GroupedHistogram(np.moveaxis(parts, 2, 1), EDGES)
    assert kind is Histogram, f"no data for {kind}: add them here"
    values = [rng.lognormal(math.log(0.2 * level), 0.7, size) for size in n]
    cells = [np.bincount(np.searchsorted(EDGES, x), minlength=len(EDGES) + 1) for x in values]
    return Histogram(np.reshape(cells, (polls, len(EDGES) + 1)), EDGES)


def sides_of(kind, rng, sizes, levels):
    """Summaries of control and treatment; pairs are of both."""
    if kind is PairedMoments:
        return pairs_of_numbers(rng, np.minimum(*sizes), levels)
    if kind is not PairedCounts:
        return [summary_of(kind, rng, n, level) for n, level in zip(sizes, levels, strict=True)]
    n, both = np.minimum(*sizes), 0.8 * min(levels)
    alone = [min(level - both, 0.5 * (1.0 - both)) for level in levels]
    cells = rng.multinomial(n, [both, *alone, 1.0 - both - sum(alone)])
    pairs = paired(n, cells[:, 0], cells[:, 1], cells[:, 2])
    return [pairs.control, pairs.treatment]


def pairs_of_numbers(rng, n, levels):
    """Numbers that go together; the polls of both variants."""
    polls = []
    for size in n:
        common = rng.normal(0.0, 0.3, size)
        values = [level + common + rng.normal(0.0, 0.1, size) for level in levels]
        polls.append(paired_moments(*values))
    fields = ("n", "sum", "sum_sq", "apart")
    return [
        PairedMoments(*(np.reshape([getattr(side(p), f) for p in polls], n.size) for f in fields))
        for side in (lambda pair: pair.control, lambda pair: pair.treatment)
    ]


def with_covariate(kind, rng, n, level):
    """Values, or ratios, that go with what was known before, which is alike in both variants."""
    if kind is Pairs:
        drawn = [(rng.normal(level, 0.3, size), rng.normal(0.0, 0.3, size)) for size in n]
        pairs = [Pairs.of(y + x, x) for y, x in drawn]
        names = ("n", "y", "x", "yy", "xx", "xy")
        return Pairs(*(np.reshape([getattr(p, f) for p in pairs], n.size) for f in names))
    now, then = (summary_of(Buckets, rng, n, share) for share in (level, 0.5))
    more = then.numerator - 0.5 * then.denominator
    return BucketPairs(now.numerator + more, now.denominator, then.numerator, then.denominator)


@st.composite
def streams(draw, kind):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layout = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    # To tell bursts from a difference takes polls.
    epoch = np.repeat(
        np.arange(len(layout)),
        np.multiply(layout, 1 if kind in (Counts, Events) else 12),
    )
    size = draw(st.sampled_from([1, 10, 100, 400]))
    level = draw(st.sampled_from([0.02, 0.3, 0.5, 0.98]))
    effect = draw(st.sampled_from([1.0, 1.0, 1.02, 0.8, 0.5]))
    n_a, n_b = (
        rng.poisson(draw(st.sampled_from([0.3, 1.0, 2.0])) * size, epoch.size) for _ in "ab"
    )
    return Stream(*sides_of(kind, rng, (n_a, n_b), (level, level * effect)), epoch)


plans = st.builds(
    Plan,
    alpha=st.sampled_from([0.001, 0.01, 0.05, 0.2]),
    alternative=st.sampled_from(["two-sided", "greater", "less"]),
    null=st.sampled_from(
        [Delta(0.0, relative=False)] * 3 + [Delta(0.01, False), Delta(-0.05, False)]
    ),
    mde=st.sampled_from([None, Delta(0.02, relative=False), Delta(0.2, relative=False)]),
    quantile=st.sampled_from([0.5, 0.9]),
    threshold=st.just(0.1),
    prior=st.sampled_from(["six-point", "two-point"]),
)
any_null = st.sampled_from(
    [Delta(0.0, relative=True), Delta(0.1, True), Delta(-0.2, relative=True)]
)


def estimated(method, stream, plan):
    found = method.estimate(stream, plan)
    assume(isinstance(found, Estimate))
    return found


def excludes(interval, null):
    return interval[0] > null or interval[1] < null


def close(one, other):
    return one == pytest.approx(other, rel=1e-6, abs=1e-9)


@pytest.mark.slow
@each()
@LAW
@given(data=st.data())
def test_the_answer_is_an_estimate_or_a_reason(method, data):
    stream = data.draw(streams(method.SUMMARY))
    plan = data.draw(plans)
    found = method.estimate(stream, plan)
    assert found.method == method.__name__.rsplit(".", 1)[-1]
    if isinstance(found, NotEstimable):
        assert Reason.of(found.why).text
        return
    assert all(Reason.of(note).text for note in found.notes)
    assert 0.0 <= found.p <= 1.0
    assert found.log_p <= 0.0
    assert math.isfinite(found.log_p)
    assert found.effect == pytest.approx(found.treatment - found.control)
    assert (found.log_e is not None) == method.SEQUENTIAL
    assert found.assumptions
    assert set(found.epochs) <= set(stream.epoch.tolist())
    assert found.epochs
    assert not any(math.isnan(end) for end in (*found.interval, *(found.lift_interval or ())))


@pytest.mark.slow
@each()
@LAW
@given(data=st.data())
def test_swapping_the_variants_mirrors_the_result(method, data):
    stream, plan = data.draw(streams(method.SUMMARY)), data.draw(plans)
    found = estimated(method, stream, plan)
    null = Delta(-plan.null.value, relative=False)
    mirror = replace(plan, alternative=MIRRORED[plan.alternative], null=null)
    swapped = method.estimate(stream.swapped(), mirror)
    assert isinstance(swapped, Estimate)
    assert close(swapped.effect, -found.effect)
    assert close(swapped.interval, (-found.interval[1], -found.interval[0]))
    assert close(swapped.log_p, found.log_p)
    assert close(swapped.log_e or 0.0, found.log_e or 0.0)
    assert close((swapped.control, swapped.treatment), (found.treatment, found.control))


@pytest.mark.slow
@each()
@LAW
@given(data=st.data())
def test_it_rejects_exactly_if_the_interval_excludes_the_null(method, data):
    stream = data.draw(streams(method.SUMMARY))
    plan = data.draw(plans)
    if data.draw(st.booleans()):
        plan = replace(plan, null=data.draw(any_null))
    found = estimated(method, stream, plan)
    assume(abs(found.p - plan.alpha) > 1e-6 * plan.alpha)
    interval = found.lift_interval if plan.null.relative else found.interval
    assume(interval is not None)
    assert found.rejects == (found.p <= plan.alpha)
    assert found.rejects == excludes(interval, plan.null.value)
    if plan.null.value == 0.0 and found.lift_interval is not None:
        assert excludes(found.interval, 0.0) == excludes(found.lift_interval, 0.0)


@pytest.mark.slow
@each([method for method in METHODS if method.__name__ != "abctl.stats.methods.chi_squared"])
@LAW
@given(data=st.data())
def test_a_bound_is_beyond_the_null_exactly_if_that_is_rejected(method, data):
    stream = data.draw(streams(method.SUMMARY))
    plan = replace(data.draw(plans), alternative=data.draw(st.sampled_from(["greater", "less"])))
    if data.draw(st.booleans()):
        plan = replace(plan, null=data.draw(any_null))
    found = estimated(method, stream, plan)
    assume(abs(found.p - plan.alpha) > 1e-6 * plan.alpha)
    bound, null = found.bound(plan.null), plan.null.value
    if bound is None:
        # No lift can be excluded, or none that is large.
        assert plan.null.relative or not found.rejects
    else:
        assert found.rejects == (bound > null if plan.alternative == "greater" else bound < null)
    assert replace(found, alternative="two-sided").bound(plan.null) is None


@pytest.mark.slow
@each()
@LAW
@given(data=st.data())
def test_a_stricter_level_gives_a_wider_interval(method, data):
    stream, plan = data.draw(streams(method.SUMMARY)), data.draw(plans)
    loose = estimated(method, stream, plan)
    strict = method.estimate(stream, replace(plan, alpha=plan.alpha / 3.0))
    assert isinstance(strict, Estimate)
    slack = 1e-9 * max(1.0, abs(loose.effect))
    assert strict.interval[0] <= loose.interval[0] + slack
    assert strict.interval[1] >= loose.interval[1] - slack
    assert close(strict.log_p, loose.log_p)


@pytest.mark.slow
@each()
@LAW
@given(data=st.data())
def test_where_there_is_variance_the_interval_has_a_width_and_holds_the_effect(method, data):
    stream, plan = data.draw(streams(method.SUMMARY)), data.draw(plans)
    found = estimated(method, stream, replace(plan, null=Delta(0.0, relative=False)))
    low, high = found.interval
    assert high - low > 0.0
    if plan.alternative == "two-sided":
        assert low <= found.effect <= high
        assert low < high


@pytest.mark.slow
@each([method for method in METHODS if method.__name__ != "abctl.stats.methods.chi_squared"])
@LAW
@given(data=st.data())
def test_one_sided_intervals_are_open_on_the_other_side(method, data):
    stream, plan = data.draw(streams(method.SUMMARY)), data.draw(plans)
    low, _ = estimated(method, stream, replace(plan, alternative="less")).interval
    _, high = estimated(method, stream, replace(plan, alternative="greater")).interval
    assert (low, high) == (-math.inf, math.inf)


@pytest.mark.slow
@each(FIXED)
@LAW
@given(data=st.data())
def test_merging_the_polls_of_an_epoch_changes_nothing(method, data):
    stream, plan = data.draw(streams(method.SUMMARY)), data.draw(plans)
    found = estimated(method, stream, plan)
    merged = method.estimate(stream.by_epoch(), plan)
    assert isinstance(merged, Estimate)
    assert close(merged.interval, found.interval)
    assert close(merged.log_p, found.log_p)
    assert merged.epochs == found.epochs


@pytest.mark.slow
@each([method for method in METHODS if method.SEQUENTIAL])
@LAW
@given(data=st.data())
def test_looking_again_never_takes_a_rejection_back(method, data):
    stream, plan = data.draw(streams(method.SUMMARY)), data.draw(plans)
    last = estimated(method, stream, plan)
    first = data.draw(st.integers(1, stream.epoch.size))
    early = method.estimate(_until(stream, first), plan)
    assume(isinstance(early, Estimate))
    if plan.mde is not None:
        assert last.log_p <= early.log_p + 1e-9


@each()
def test_it_says_what_it_is(method):
    assert isinstance(method.SEQUENTIAL, bool)
    assert "H0" in (method.__doc__ or "")
    assert "Source" in (method.__doc__ or "") or "that of `" in (method.__doc__ or "")
    assert method.estimate.__doc__


@each()
def test_enough_data_are_estimable(method):
    rng = np.random.default_rng(5)
    n = np.full(40, 3 if method.__name__.endswith(("fisher", "barnard", "boschloo")) else 500)
    stream = Stream(*sides_of(method.SUMMARY, rng, (n, n), (0.3, 0.15)), n * 0)
    found = method.estimate(stream, Plan(quantile=0.5, threshold=0.05))
    assert isinstance(found, Estimate), found
    assert found.rejects
    assert found.effect < 0.0


@each([method for method in METHODS if method.SEQUENTIAL])
def test_its_path_ends_with_its_estimate(method):
    rng, n = np.random.default_rng(6), np.full(40, 200)
    stream = Stream(*sides_of(method.SUMMARY, rng, (n, n), (0.3, 0.25)), n * 0)
    plan = Plan(quantile=0.5, threshold=0.05, mde=Delta(0.05, relative=False))
    found, path = method.estimate(stream, plan), looks(method.estimate, stream, plan, at_most=4)
    assert path.poll.tolist() == [0, 13, 26, 39]
    last = (path.effect[-1], path.low[-1], path.high[-1], path.p[-1])
    assert last == (found.effect, *found.interval, found.p)


@each()
def test_no_polls_are_not_estimable(method):
    rng = np.random.default_rng(5)
    n = np.zeros(2, dtype=int)
    none = Stream(*sides_of(method.SUMMARY, rng, (n, n), (0.3, 0.3)), n)
    for stream in (none, _until(none, 0)):
        found = method.estimate(stream, Plan(quantile=0.5, threshold=0.05))
        assert isinstance(found, NotEstimable), found


def _until(stream, polls):
    def cut(side):
        return side._each(getattr(side, field)[:polls] for field in side._additive())

    return Stream(cut(stream.control), cut(stream.treatment), stream.epoch[:polls])
