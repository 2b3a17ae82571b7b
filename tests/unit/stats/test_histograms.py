"""Histograms: ranks, quantiles and shares against scipy and the raw values."""

import math

import numpy as np
import pytest
from scipy import stats

from abctl.stats.estimate import Delta, Estimate, NotEstimable, Plan, Remark
from abctl.stats.methods import (
    histogram_sequence,
    mann_whitney,
    proportion,
    quantile,
    quantile_sequence,
    share_above,
    share_above_sequence,
)
from abctl.stats.summaries.histograms import Ranks, distributions
from abctl.stats.summary import Counts, Histogram, Stream

FINE = tuple(0.002 * 1.1 ** np.arange(60))
COARSE = (0.01, 0.05, 0.1, 0.5)
ALTERNATIVES = ("two-sided", "greater", "less")
QUANTILES = (quantile, quantile_sequence)


def counted(values, edges=FINE):
    rows = np.atleast_2d(values)
    cells = [np.bincount(np.searchsorted(edges, x), minlength=len(edges) + 1) for x in rows]
    return Histogram(np.array(cells), edges)


def latencies(seed, slower=1.0, shape=2000):
    return np.random.default_rng(seed).lognormal(math.log(0.05), 0.6, shape) * slower


def stream(x, y, edges=FINE):
    a, b = counted(x, edges), counted(y, edges)
    return Stream(a, b, np.arange(a.polls))


def polled(x, y, edges=FINE):
    """Of one epoch, in as many polls as a sequence needs to tell that there are no bursts."""
    a, b = (counted(each.reshape(50, -1), edges) for each in (x, y))
    return Stream(a, b, np.zeros(50))


@pytest.mark.parametrize("edges", [FINE, COARSE])
@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_mann_whitney_is_scipys_on_ties(edges, alternative) -> None:
    x, y = latencies(1), latencies(2, 1.03, 900)
    found = mann_whitney.estimate(stream(x, y, edges), Plan(alternative=alternative))
    cells = [np.searchsorted(edges, values) for values in (y, x)]
    options = {"use_continuity": False, "method": "asymptotic", "alternative": alternative}
    wanted = stats.mannwhitneyu(*cells, **options)
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-9)
    assert found.treatment == pytest.approx(wanted.statistic / x.size / y.size)


def test_epochs_are_van_elterens() -> None:
    x, y = latencies(3, shape=(2, 300)), latencies(4, 1.2, shape=(2, 300)) * [[1.0], [3.0]]
    ranks = Ranks.of(stream(x, y))
    thetas, squares = [], []
    for a, b in zip(x, y, strict=True):
        cells = [np.searchsorted(FINE, values) for values in (b, a)]
        thetas.append(stats.mannwhitneyu(*cells).statistic / 300**2)
        sizes = np.bincount(np.concatenate(cells))
        ties = 1.0 - np.sum(sizes**3 - sizes) / (600**3 - 600)
        squares.append(601.0 / 12.0 / 300**2 * ties)
    assert ranks.superiority == pytest.approx(np.mean(thetas))
    wanted = (np.mean(thetas) - 0.5) / math.sqrt(sum(squares) / 4.0)
    assert ranks.statistic() == pytest.approx(wanted)


def test_rank_intervals_cover() -> None:
    truth = stats.norm.cdf(math.log(1.5) / 0.6 / math.sqrt(2.0))
    rng = np.random.default_rng(5)
    missed = 0
    for _ in range(300):
        x, y = rng.lognormal(-3, 0.6, 80), rng.lognormal(-3, 0.6, 50) * 1.5
        low, high = mann_whitney.estimate(stream(x, y), Plan(alpha=0.2)).interval
        missed += not low <= 2.0 * truth - 1.0 <= high
    assert missed / 300 == pytest.approx(0.2, abs=0.075)


@pytest.mark.parametrize("method", QUANTILES)
@pytest.mark.parametrize("level", [0.5, 0.95])
def test_quantiles_are_near_those_of_the_values(method, level) -> None:
    x, y = latencies(6, shape=20_000), latencies(7, 1.2, shape=20_000)
    found = method.estimate(polled(x, y), Plan(quantile=level))
    for value, values in ((found.control, x), (found.treatment, y)):
        assert value == pytest.approx(np.quantile(values, level), rel=0.02)
    assert found.rejects
    low, high = found.interval
    assert low < np.quantile(y, level) - np.quantile(x, level) < high


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_woodruff_on_fine_buckets_is_that_of_order_statistics(level) -> None:
    edges = tuple(np.linspace(0.0005, 0.6, 2000))
    x = latencies(8, shape=4000)
    pair = distributions(stream(x, x, edges))
    low, high = (float(end[0]) for end in pair.a.around(level, np.array([1.96])))
    reach = 1.96 * math.sqrt(level * (1.0 - level) / x.size)
    assert low == pytest.approx(np.quantile(x, level - reach), abs=4e-4)
    assert high == pytest.approx(np.quantile(x, level + reach), abs=4e-4)


@pytest.mark.parametrize("method", QUANTILES)
def test_a_quantile_above_the_last_edge_is_no_number(method) -> None:
    x = latencies(9)
    found = method.estimate(stream(x, x, (0.001, 0.02)), Plan(quantile=0.9))
    assert isinstance(found, NotEstimable)
    assert found.why == Remark("quantileAboveEdges", {"edge": 0.02})


@pytest.mark.parametrize("method", QUANTILES)
def test_an_interval_inside_one_bucket_says_so(method) -> None:
    x, y = latencies(10, shape=50_000), latencies(11, shape=50_000)
    found = method.estimate(polled(x, y, COARSE), Plan(quantile=0.6))
    facts = {"variant": "control", "low": 0.05, "high": 0.1}
    assert found.notes[0] == Remark("withinOneBucket", facts)


@pytest.mark.parametrize("method", QUANTILES)
def test_too_few_values_beyond_the_quantile(method) -> None:
    found = method.estimate(stream(latencies(12), latencies(13)), Plan(quantile=0.999))
    assert isinstance(found, NotEstimable)
    assert (found.why.code, found.why.facts["needed_count"]) == ("tooFewBeyondQuantile", 10)


@pytest.mark.parametrize("method", QUANTILES)
def test_a_load_that_changes_with_the_split_is_no_slowdown(method) -> None:
    """Both variants are twice as slow in the second epoch, where the treatment has most traffic."""
    rng = np.random.default_rng(14)
    a, b = (
        Histogram(
            np.vstack(
                [
                    counted(slower * rng.lognormal(-3, 0.6, (20, n // 20))).counts
                    for n, slower in sizes
                ]
            ),
            FINE,
        )
        for sizes in (((9500, 1.0), (2000, 2.0)), ((500, 1.0), (8000, 2.0)))
    )
    epoch = np.repeat([0, 1], 20)
    found = method.estimate(Stream(a, b, epoch), Plan(quantile=0.9, mde=Delta(0.1, relative=True)))
    assert not found.rejects
    assert abs(found.lift) < 0.1


def test_a_margin_on_a_quantile_proves_not_worse() -> None:
    worse = Plan(quantile=0.95, null=Delta(0.1, relative=True), alternative="less")
    x, y = latencies(15, shape=(50, 400)), latencies(16, 1.01, shape=(50, 400))
    for method in QUANTILES:
        assert method.estimate(polled(x, y), worse).rejects
        assert not method.estimate(polled(x, y * 1.1), worse).rejects


@pytest.mark.parametrize("method", [quantile, quantile_sequence, mann_whitney, histogram_sequence])
def test_edges_in_common_are_enough(method) -> None:
    x, y = latencies(17), latencies(18, 1.5)
    plan = Plan(quantile=0.5)
    other = (0.005, *COARSE)
    same = polled(x, y, COARSE)
    mixed = Stream(same.control, counted(y.reshape(50, -1), other), same.epoch)
    assert method.estimate(mixed, plan).interval == method.estimate(same, plan).interval
    foreign = counted(y.reshape(50, -1), (0.003, 0.07))
    found = method.estimate(Stream(same.control, foreign, same.epoch), plan)
    assert isinstance(found, NotEstimable)
    assert found.why.code == "tooFewCommonEdges"


def test_a_share_above_an_edge_is_a_proportion() -> None:
    x, y = latencies(19), latencies(20, 1.3)
    found = share_above.estimate(stream(x, y, COARSE), Plan(threshold=0.1))
    counts = [Counts(side.size, int((side > 0.1).sum())) for side in (x, y)]
    wanted = proportion.estimate(Stream(*counts, [0]), Plan())
    assert (found.p, found.interval) == (wanted.p, wanted.interval)


@pytest.mark.parametrize("method", [share_above, share_above_sequence])
@pytest.mark.parametrize(
    ("threshold", "why"),
    [
        (None, Remark("noThreshold")),
        (0.12, Remark("thresholdNoEdge", {"threshold": 0.12, "nearest": 0.1})),
    ],
    ids=["none", "0.12"],
)
def test_a_share_above_something_else_is_refused(method, threshold, why) -> None:
    found = method.estimate(stream(latencies(1), latencies(2), COARSE), Plan(threshold=threshold))
    assert isinstance(found, NotEstimable)
    assert found.why == why


@pytest.mark.parametrize("method", [mann_whitney, histogram_sequence])
def test_all_in_one_bucket_is_no_result(method) -> None:
    x = np.full(500, 0.03)
    found = method.estimate(stream(x, x, COARSE), Plan())
    assert isinstance(found, NotEstimable)
    assert found.why.code == "oneBucketOnly"


@pytest.mark.parametrize("method", [mann_whitney, histogram_sequence])
def test_ranks_have_no_margin(method) -> None:
    plan = Plan(null=Delta(0.1, relative=True))
    assert isinstance(method.estimate(stream(latencies(1), latencies(2)), plan), NotEstimable)


def test_a_slower_tail_is_found_by_looking_all_the_time() -> None:
    x, y = latencies(21, shape=(100, 100)), latencies(22, 1.1, shape=(100, 100))
    a, b = counted(x), counted(y)
    for alternative, wanted in (("two-sided", True), ("greater", True), ("less", False)):
        plan = Plan(mde=Delta(0.1, relative=True), alternative=alternative)
        found = histogram_sequence.estimate(Stream(a, b, np.zeros(100)), plan)
        assert isinstance(found, Estimate)
        assert found.rejects == wanted
