"""Data at the edges, for every method that eats them; a new method is held to them by itself."""

import math
from dataclasses import fields

import numpy as np
import pytest

from abctl.core.reasons import Reason
from abctl.stats import methods
from abctl.stats.estimate import Delta, Estimate, NotEstimable, Plan
from abctl.stats.summaries.buckets import BucketPairs
from abctl.stats.summaries.grouped import GroupedHistogram
from abctl.stats.summaries.paired import PairedCounts, paired
from abctl.stats.summaries.paired_means import PairedMoments
from abctl.stats.summaries.pairs import Pairs
from abctl.stats.summary import Buckets, Counts, Events, Histogram, Moments, Stream, SummaryError

NAMES = methods.names()
METHODS = [methods.method(name) for name in NAMES]
EDGES = (0.1, 0.2, 0.5, 1.0)
PLANS = [
    Plan(alternative=side, quantile=0.5, threshold=0.2, mde=Delta(0.1, relative=True))
    for side in ("two-sided", "greater", "less")
]
# Nearly certain, of the outermost values, and far from no effect.
EXTREME = [
    Plan(alpha=1e-6, null=Delta(2.0, relative=True), quantile=share, threshold=0.2)
    for share in (0.001, 0.9, 0.999)
]
# For small samples only.
SMALL = {"fisher", "barnard", "boschloo"}
# Tell bursts from a difference by what differs from poll to poll.
BURSTS = {
    "quantile_sequence",
    "grouped_quantile_sequence",
    "bursty_mean_sequence",
    "bursty_ratio_sequence",
}
BURSTS |= {each.replace("_sequence", "_horizon") for each in BURSTS}
BUCKETS = 16


def name(method):
    return method.__name__.rsplit(".", 1)[-1]


def each(*kinds, sequential=None):
    chosen = [
        method
        for method in METHODS
        if (not kinds or method.SUMMARY in kinds) and sequential in (None, method.SEQUENTIAL)
    ]
    return pytest.mark.parametrize("method", chosen, ids=name)


def shares(kind, n, events):  # noqa: PLR0911 - one for each kind
    """A summary in which `events` of `n` units (polls,) had an event, or were slow."""
    n, events = np.atleast_1d(n).astype(float), np.atleast_1d(events).astype(float)
    if kind is Counts:
        return Counts(n, events)
    if kind is Events:
        return Events(events, n)
    if kind is Moments:
        return Moments(n, events, events)
    if kind is Pairs:
        return Pairs(n, events, 0.5 * n, events, n, 0.5 * events)
    if kind is BucketPairs:
        now, then = (shares(Buckets, n, each) for each in (events, n // 2))
        return BucketPairs(now.numerator, now.denominator, then.numerator, then.denominator)
    if kind is GroupedHistogram:
        whole = shares(Histogram, n, events).counts.astype(int)
        parts = np.random.default_rng(2).multinomial(whole, np.full(BUCKETS, 1 / BUCKETS))
        return GroupedHistogram(np.moveaxis(parts, 2, 1), EDGES)
    if kind is Histogram:
        # The fast ones are spread over two cells, the slow ones lie in the last with an end.
        fast = n - events
        cells = np.stack([fast // 2, fast - fast // 2, 0 * n, events, 0 * n], axis=1)
        return Histogram(cells, EDGES)
    rng = np.random.default_rng(1)
    of_bucket = rng.multinomial(n.astype(int), np.full(BUCKETS, 1 / BUCKETS))
    drawn = [
        rng.multivariate_hypergeometric(row, int(k))
        for row, k in zip(of_bucket, events, strict=True)
    ]
    return Buckets(np.array(drawn), of_bucket)


def stream(kind, control, treatment, epoch=None):
    if kind in (PairedCounts, PairedMoments):
        return pairs(kind, control, treatment, epoch)
    sides = [shares(kind, *side) for side in (control, treatment)]
    return Stream(*sides, np.zeros(sides[0].polls) if epoch is None else np.array(epoch))


def pairs(kind, control, treatment, epoch):
    """As many pairs as both have; an event of the one is as likely whatever the other has."""
    n = np.minimum(np.atleast_1d(control[0]), np.atleast_1d(treatment[0])).astype(float)
    one, other = (np.minimum(np.atleast_1d(side[1]), n) for side in (control, treatment))
    both = np.rint(one * other / np.maximum(n, 1.0))
    if kind is PairedCounts:
        return paired(n, both, one - both, other - both, epoch)
    apart = one + other - 2.0 * both
    sides = [PairedMoments(n, each, each, apart) for each in (one, other)]
    return Stream(*sides, np.zeros(n.size) if epoch is None else np.array(epoch))


def checked(found):
    """Whatever comes out is a reason, or numbers that are numbers."""
    if isinstance(found, NotEstimable):
        assert Reason.of(found.why).text
        return
    assert 0.0 <= found.p <= 1.0
    assert math.isfinite(found.log_p)
    assert not any(map(math.isnan, (*found.interval, *(found.lift_interval or ()), found.effect)))
    assert found.interval[0] < found.interval[1]


@pytest.mark.slow
@each()
@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.alternative)
@pytest.mark.parametrize("n", [0, 1, 2])
@pytest.mark.parametrize("events", [(0, 0), (0, 1), (1, 1)], ids=str)
def test_hardly_any_units_prove_nothing(method, plan, n, events) -> None:
    data = stream(method.SUMMARY, (n, n * events[0]), (n, n * events[1]))
    found = method.estimate(data, plan)
    checked(found)
    if isinstance(found, Estimate) and (method.SEQUENTIAL or found.guarantee == "exact"):
        assert not found.rejects
    if n == 0:
        assert isinstance(found, NotEstimable)


@pytest.mark.slow
@each()
@pytest.mark.parametrize("plan", EXTREME, ids=lambda plan: f"{plan.quantile:g}")
@pytest.mark.parametrize("events", [(0.1, 0.2), (0.9, 0.25), (0.0, 0.5)], ids=str)
def test_extreme_questions_are_no_reason_to_compute_nonsense(method, plan, events) -> None:
    n = np.full(20, 100 if name(method) not in SMALL else 2)
    data = stream(method.SUMMARY, *((n, np.rint(share * n).astype(int)) for share in events))
    # Tests take warnings of numpy for errors.
    checked(method.estimate(data, plan))


@pytest.mark.slow
@each(Histogram, GroupedHistogram)
@pytest.mark.parametrize(
    "plan", [*PLANS, *EXTREME], ids=lambda p: f"{p.alternative} {p.quantile:g} {p.alpha:g}"
)
@pytest.mark.parametrize("above", [1, 30, 300])
def test_some_values_above_the_last_edge_are_no_reason_either(method, plan, above) -> None:
    cells = np.tile([30, 200, 200, 200 - above // 2, above], (20, 1))
    if method.SUMMARY is GroupedHistogram:
        cells = np.repeat(cells[:, None, :], BUCKETS, axis=1)
    sides = (method.SUMMARY(each, EDGES) for each in (cells, cells + 1))
    checked(method.estimate(Stream(*sides, np.zeros(20)), plan))


@pytest.mark.slow
@each()
@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.alternative)
@pytest.mark.parametrize("share", [0, 1])
def test_no_event_or_nothing_else_in_both_is_no_difference(method, plan, share) -> None:
    n = np.full(20, 40 if name(method) not in SMALL else 2)
    found = method.estimate(stream(method.SUMMARY, (n, share * n), (n, share * n)), plan)
    checked(found)
    if isinstance(found, Estimate):
        assert not found.rejects
        assert found.effect == 0.0


@pytest.mark.slow
@each()
@pytest.mark.parametrize("swap", [False, True])
def test_no_event_in_one_variant_against_many_is_a_difference(method, swap) -> None:
    n = np.full(40, 100 if name(method) not in SMALL else 4)
    data = stream(method.SUMMARY, (n, 0 * n), (n, n // 4))
    found = method.estimate(data.swapped() if swap else data, PLANS[0])
    checked(found)
    # A median does not see what a quarter does; means wait until neither is all zero.
    bursty = name(method).startswith("bursty_ratio")
    means = method.SUMMARY in (Moments, Pairs, PairedMoments) or bursty
    if "quantile" not in name(method) and not means:
        assert isinstance(found, Estimate), found
        assert found.rejects
        assert (found.effect < 0) == swap


@each()
def test_effects_so_strong_that_p_underflows(method) -> None:
    n = np.full(50, 100_000 if name(method) not in SMALL else 10)
    found = method.estimate(stream(method.SUMMARY, (n, n // 10), (n, n - n // 10)), PLANS[0])
    checked(found)
    assert isinstance(found, Estimate), found
    assert found.rejects
    assert found.p == pytest.approx(math.exp(found.log_p))
    if method.SUMMARY in (Buckets, BucketPairs, GroupedHistogram) or name(method) in BURSTS:
        assert found.log_p < -50.0, "tails of Student's t with some 30 degrees of freedom are heavy"
    elif name(method) not in SMALL:
        assert found.p == 0.0
        assert found.log_p < -800.0


@each(sequential=True)
def test_polls_of_one_request_or_one_variant_are_polls(method) -> None:
    n_a, n_b = np.full(30, 400), np.full(30, 400)
    n_a[:6], n_b[:6] = [1, 0, 1, 0, 400, 400], [0, 1, 1, 0, 400, 0]
    found = method.estimate(stream(method.SUMMARY, (n_a, n_a // 4), (n_b, n_b // 4)), PLANS[0])
    checked(found)
    assert isinstance(found, Estimate)
    assert not found.rejects


@each()
def test_an_epoch_of_one_variant_is_not_part_of_the_estimate(method) -> None:
    each_n = 20 if name(method) in SMALL else 4000
    many = method.SUMMARY in (Histogram, GroupedHistogram, PairedMoments) or name(method) in BURSTS
    polls = 40 if many else 1
    n, fourth, third = (np.full(polls, size) for size in (each_n, each_n // 4, each_n // 3))
    alone = stream(method.SUMMARY, (n, fourth), (n, third))
    data = stream(
        method.SUMMARY,
        ([each_n, *n], [each_n // 2, *fourth]),
        ([0, *n], [0, *third]),
        [4, *np.full(polls, 7)],
    )
    found, wanted = method.estimate(data, PLANS[0]), method.estimate(alone, PLANS[0])
    assert isinstance(found, Estimate)
    assert found.epochs == (7,)
    assert found.effect == pytest.approx(wanted.effect)


@pytest.mark.parametrize(
    "sequence",
    [methods.method(each) for each in NAMES if hasattr(methods.method(each), "contrasts")],
    ids=name,
)
def test_an_epoch_of_one_variant_makes_no_look_ready(sequence) -> None:
    """Else the few events of an epoch that has just begun would be taken for many."""
    polls = 40
    n, some = np.full(polls, 400), np.arange(polls) % 3
    data = stream(
        sequence.SUMMARY,
        ([100_000, *n], [25_000, *some]),
        ([0, *n], [0, *(2 * some)]),
        [4, *np.full(polls, 7)],
    )
    alone = data.only([7])
    found, wanted = (sequence.contrasts(each, PLANS[0]).paths for each in (data, alone))
    for path in fields(wanted):
        mine, theirs = (getattr(each, path.name) for each in (found, wanted))
        if theirs is not None:
            assert mine[-polls:] == pytest.approx(theirs[-polls:]), path.name


@pytest.mark.slow
@each(sequential=True)
def test_ten_thousand_polls(method) -> None:
    rng = np.random.default_rng(8)
    n = rng.poisson(8, (2, 10_000))
    events = rng.binomial(n, 0.3)
    data = stream(method.SUMMARY, (n[0], events[0]), (n[1], events[1]), np.arange(10_000) // 500)
    found = method.estimate(data, PLANS[0])
    checked(found)
    assert isinstance(found, Estimate)
    assert len(found.epochs) == 20


@each(Moments, Buckets)
@pytest.mark.parametrize("value", [0.0, 3.0, 1e9 / 3])
def test_without_variance_there_is_no_result(method, value) -> None:
    n = np.full(10, 100.0)
    if method.SUMMARY is Moments:
        side = Moments(n, n * value, n * value**2)
    else:
        requests = np.random.default_rng(9).integers(1, 30, (10, BUCKETS)).astype(float)
        side = Buckets(requests * value, requests)
    found = method.estimate(Stream(side, side, n * 0), PLANS[0])
    if value == 0.0 and method.SUMMARY is Buckets and name(method) not in BURSTS:
        # No event at all is judged by users.
        assert not found.rejects
    else:
        assert isinstance(found, NotEstimable)


@each(Moments, Buckets)
def test_a_large_mean_hides_no_spread(method) -> None:
    """Values about 1e9 are what the same values about 0 are, or they are refused."""
    rng = np.random.default_rng(10)
    x = rng.normal(0.0, 1.0, (2, 200, BUCKETS))
    x[1] += 0.2

    def about(mean, shift=0.0):
        if method.SUMMARY is Buckets:
            return Stream(*[Buckets(v + mean, np.ones_like(v)) for v in x], np.zeros(200))
        rows = [v + (mean - shift) for v in x]
        sides = [Moments(np.full(200, BUCKETS), r.sum(1), (r * r).sum(1), shift) for r in rows]
        return Stream(*sides, np.zeros(200))

    plan = Plan(mde=Delta(0.2, relative=False))
    wanted = method.estimate(about(100.0), plan)
    found = method.estimate(about(1e9, shift=1e9), plan)
    assert found.interval == pytest.approx(wanted.interval, rel=1e-3)
    if method.SUMMARY is Moments:
        assert isinstance(method.estimate(about(1e9), plan), NotEstimable)


@each(Histogram)
def test_other_edges_meet_on_the_common_ones_or_are_refused(method) -> None:
    rng = np.random.default_rng(11)
    cells = rng.poisson(300, (60, 5))
    mine = Histogram(cells, EDGES)
    finer = Histogram(np.repeat(cells, 2, axis=1)[:, :6], (0.05, *EDGES))
    strange = Histogram(cells, tuple(1.01 * edge for edge in EDGES))
    merged = method.estimate(Stream(mine, finer, np.zeros(60)), PLANS[0])
    assert isinstance(merged, Estimate)
    assert merged.n == (mine.counts.sum(), finer.counts.sum())
    refused = method.estimate(Stream(mine, strange, np.zeros(60)), PLANS[0])
    assert isinstance(refused, NotEstimable)
    assert refused.why.code == "tooFewCommonEdges"


@each(Histogram)
def test_what_lies_above_the_last_edge_is_never_a_number(method) -> None:
    """Everything above it: nothing is known of a quantile, and ranks are all tied."""
    cells = np.tile([0, 0, 0, 1, 99], (20, 1))
    side = Histogram(cells, EDGES)
    found = method.estimate(Stream(side, side, np.zeros(20)), PLANS[0])
    checked(found)
    if "quantile" in name(method):
        assert isinstance(found, NotEstimable)
        assert found.why.code == "quantileAboveEdges"
    else:
        assert not found.rejects


@pytest.mark.parametrize(
    "contradiction",
    [
        lambda: Counts([5], [6]),
        lambda: Counts([-1], [0]),
        lambda: Counts([1.5], [1]),
        lambda: Counts([math.nan], [0]),
        lambda: Events([1], [0.0]),
        lambda: Events([0.5], [1.0]),
        lambda: Moments([2], [1.0], [-1.0]),
        lambda: Moments([2], [math.inf], [1.0]),
        lambda: Buckets([[1.0]], [[-1.0]]),
        lambda: Histogram([[1, -1]], (0.1,)),
        lambda: Histogram([[1, 1]], (0.2, 0.1)),
    ],
)
def test_counters_that_disagree_are_refused(contradiction) -> None:
    with pytest.raises(SummaryError):
        contradiction()
