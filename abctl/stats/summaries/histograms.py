"""Histograms of two variants: quantiles, shares above an edge, the probability of superiority.

Quantiles are comparable although the split and the load change: the distribution of each variant is
averaged over epochs with the same weights for both, so two variants that are alike in every epoch
have the same quantiles. Inside a cell values are taken as evenly spread. The first cell starts at 0
(or at its edge, if that is negative).

The probability of superiority is theta = P(treatment > control) + P(equal) / 2, where values in one
cell count as equal. Its variance is a function of theta itself, so that tests of 1/2 and intervals
agree.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from abctl.stats.estimate import Alternative, Plan, Remark
from abctl.stats.fixed.contrast import Interval, one_sided
from abctl.stats.fixed.reference import crossing
from abctl.stats.summary import (
    Array,
    Counts,
    Histogram,
    Stream,
    SummaryError,
    common_edges,
    over_epochs,
    running,
    weight_of,
)

MIN_BEYOND = 10.0
ONE_CELL, FEW_EDGES = Remark("oneBucketOnly"), Remark("tooFewCommonEdges")


@dataclass(frozen=True, eq=False)
class Distribution:
    """A distribution function at the edges, at every look.

    >>> shares = np.array([[0.0, 0.5, 1.0]])
    >>> latency = Distribution(np.array([0.0, 1.0, 2.0]), shares, n=np.array([100.0]))
    >>> latency.at(np.array([0.25, 0.5, 0.95]))
    array([0.5, 1. , 1.9])
    >>> latency.around(0.5, np.array([2.0]))  # a standard error of the share is 0.05
    (array([0.8]), array([1.2]))

    Attributes:
        edges: shape (edges + 1,): where the first cell starts, then all finite edges.
        share: shape (looks, edges + 1): share of values up to each edge; the first is 0.
        n: shape (looks,): the effective sample size.
    """

    edges: Array
    share: Array
    n: Array

    def last(self) -> "Distribution":
        """The last look only."""
        return Distribution(self.edges, self.share[-1:], self.n[-1:])

    def at(self, level: Array) -> Array:
        """Quantiles, shape (looks,); infinite above the last edge.

        Args:
            level: shape (looks,); any shape (m,) if there is one look.
        """
        share = np.broadcast_to(self.share, (level.size, self.edges.size))
        rows = np.arange(level.size)
        below = np.count_nonzero(share < level[:, None], axis=1)
        cell = np.clip(below, 1, self.edges.size - 1)
        low, high = share[rows, cell - 1], share[rows, cell]
        inside = np.clip((level - low) / np.where(high > low, high - low, 1.0), 0.0, 1.0)
        found = self.edges[cell - 1] + inside * (self.edges[cell] - self.edges[cell - 1])
        return np.where(below >= self.edges.size, np.inf, found)

    def around(self, quantile: float, deviations: Array) -> tuple[Array, Array]:
        """Woodruff's interval: quantiles at the level plus and minus some standard errors.

        Source: Woodruff (1952), doi:10.1080/01621459.1952.10483443.
        """
        reach = deviations * np.sqrt(quantile * (1.0 - quantile) / self.n)
        high = np.where(quantile + reach < 1.0, self.at(quantile + reach), np.inf)
        return self.at(quantile - reach), high

    def cell(self, value: float) -> tuple[float, float]:
        """The edges between which a value lies."""
        index = min(max(int(np.searchsorted(self.edges, value)), 1), self.edges.size - 1)
        return float(self.edges[index - 1]), float(self.edges[index])


@dataclass(frozen=True, eq=False)
class Pair:
    """Distributions of control `a` and treatment `b`; looks before both have data are left out.

    >>> one, other = Histogram([[60, 40, 0]], (1.0, 2.0)), Histogram([[40, 60, 0]], (1.0, 2.0))
    >>> pair = distributions(Stream(one, other, epoch=0))
    >>> pair.pooled(), pair.few(0.95)
    (array([[0. , 0.5, 1. ]]), array([5.]))

    Attributes:
        n: values in all.
        epochs: with data in both.
        looks: shape (polls,), the polls after which there is a look.
    """

    a: Distribution
    b: Distribution
    n: tuple[float, float]
    epochs: tuple[int, ...]
    looks: NDArray[np.bool_]

    def pooled(self) -> Array:
        """Share of all values up to each edge, at every look; shape as `Distribution.share`."""
        n_a, n_b = self.a.n[:, None], self.b.n[:, None]
        return np.asarray((n_a * self.a.share + n_b * self.b.share) / (n_a + n_b))

    def few(self, quantile: float) -> Array:
        """The expected number of values beyond the quantile, in the smaller variant."""
        return np.asarray(np.minimum(self.a.n, self.b.n) * min(quantile, 1.0 - quantile))


def distributions(stream: Stream[Histogram]) -> Pair | Remark:
    """Distributions after every poll, or the reason why there are none."""
    try:
        control, treatment = common_edges(stream.control, stream.treatment)
    except SummaryError:
        return FEW_EDGES
    edges = np.array((min(0.0, control.edges[0]), *control.edges))
    counts_a, counts_b = (running(h.counts, stream.epoch) for h in (control, treatment))
    n_a, n_b = counts_a.sum(axis=1), counts_b.sum(axis=1)
    weight = weight_of(n_a, n_b)
    total = over_epochs(weight, stream.epoch)
    use = total > 0.0
    if not use.any():
        return Remark("noSharedEpoch")

    def distribution(counts: Array, n: Array) -> Distribution:
        per_value = weight / np.maximum(n, 1.0)
        cells = over_epochs(per_value[:, None] * counts, stream.epoch)[use] / total[use, None]
        share = np.cumsum(np.concatenate((np.zeros((cells.shape[0], 1)), cells), axis=1), axis=1)
        squares = over_epochs(per_value * weight, stream.epoch)[use]
        return Distribution(edges, share[:, :-1], total[use] ** 2 / squares)

    return Pair(
        distribution(counts_a, n_a),
        distribution(counts_b, n_b),
        (float(control.counts.sum()), float(treatment.counts.sum())),
        tuple(int(number) for number in np.unique(stream.epoch[weight > 0.0])),
        use,
    )


def bucket_notes(pair: Pair, quantile: float, deviations: float) -> tuple[Remark, ...]:
    """Notes for intervals that lie inside one cell, where both ends are interpolated."""
    notes: tuple[Remark, ...] = ()
    for name, side in (("control", pair.a.last()), ("treatment", pair.b.last())):
        low, high = (float(end[0]) for end in side.around(quantile, np.array([deviations])))
        if side.cell(low) == side.cell(high) and np.isfinite(high):
            start, end = side.cell(high)
            notes += (Remark("withinOneBucket", {"variant": name, "low": start, "high": end}),)
    return notes


def counts_above(stream: Stream[Histogram], plan: Plan) -> Stream[Counts] | Remark:
    """How many values were above the plan's threshold, or why that cannot be said.

    Between two edges nothing is known, so the threshold has to be an edge of both variants.
    """
    if plan.threshold is None:
        return Remark("noThreshold")
    try:
        control, treatment = common_edges(stream.control, stream.treatment)
    except SummaryError:
        return FEW_EDGES
    if plan.threshold not in control.edges:
        nearest = min(control.edges, key=lambda edge: abs(edge - float(plan.threshold or 0.0)))
        return Remark("thresholdNoEdge", {"threshold": plan.threshold, "nearest": nearest})
    cell = control.edges.index(plan.threshold) + 1
    above_a, above_b = (
        Counts(side.counts.sum(axis=1), side.counts[:, cell:].sum(axis=1))
        for side in (control, treatment)
    )
    return Stream(above_a, above_b, stream.epoch)


@dataclass(frozen=True, eq=False)
class Ranks:
    """Probability of superiority of each epoch that has both variants, all of shape (epochs,).

    >>> one, other = Histogram([[60, 40, 0]], (1.0, 2.0)), Histogram([[40, 60, 0]], (1.0, 2.0))
    >>> ranks = Ranks.of(Stream(one, other, epoch=0))
    >>> round(ranks.superiority, 4)  # 0.6 * 0.6, and half of the ties: (0.4 * 0.6 + 0.6 * 0.4) / 2
    0.6

    Attributes:
        theta: the probability.
        n_a, n_b: values in control and treatment.
        ties: factor by which ties shrink the variance; 0 if all values are equal.
        epochs: their numbers.
    """

    theta: Array
    n_a: Array
    n_b: Array
    ties: Array
    epochs: tuple[int, ...]

    @classmethod
    def of(cls, stream: Stream[Histogram]) -> Self | Remark:
        """Ranks by epoch, or the reason why there are none."""
        merged = stream.by_epoch()
        a, b = merged.control.counts, merged.treatment.counts
        both = (a.sum(axis=1) > 0) & (b.sum(axis=1) > 0)
        if not both.any():
            return Remark("noSharedEpoch")
        a, b = a[both], b[both]
        n_a, n_b = a.sum(axis=1), b.sum(axis=1)
        below = np.cumsum(a, axis=1) - 0.5 * a
        n, cells = n_a + n_b, a + b
        ties = 1.0 - np.sum(cells**3 - cells, axis=1) / (n**3 - n)
        theta = np.sum(b * below, axis=1) / (n_a * n_b)
        numbers = tuple(int(number) for number in merged.epoch[both])
        return cls(theta, n_a, n_b, ties, numbers) if ties.any() else ONE_CELL

    @property
    def weights(self) -> Array:
        """Of the epochs, as in van Elteren (1960)."""
        return self.n_a * self.n_b / (self.n_a + self.n_b + 1.0)

    @property
    def superiority(self) -> float:
        """Theta over all epochs."""
        return float(np.sum(self.weights * self.theta) / self.weights.sum())

    def variance(self, theta: Array) -> Array:
        """Variance of the weighted theta, if it were `theta`, of any shape (m,).

        At 1/2 it is the null variance of Mann & Whitney, with its correction for ties.

        Source: Newcombe (2006), doi:10.1002/sim.2324, method 5, after Hanley & McNeil (1982).
        """
        t = theta[:, None]
        pairs = (1.0 - t) / (2.0 - t) + t / (1.0 + t)
        more = 0.5 * (self.n_a + self.n_b) - 1.0
        variance = t * (1.0 - t) * (1.0 + more * pairs) / (self.n_a * self.n_b) * self.ties
        squares = np.square(self.weights / self.weights.sum())
        return np.asarray(np.sum(squares * variance, axis=1))

    def statistic(self) -> float:
        """Standard errors from 1/2."""
        return (self.superiority - 0.5) / math.sqrt(float(self.variance(np.array([0.5]))[0]))

    def interval(self, crit: float, alternative: Alternative) -> Interval:
        """Thetas that `crit` standard errors do not exclude."""

        def upper(superiority: float) -> float:
            def left(theta: Array) -> Array:
                return superiority - theta + crit * np.sqrt(self.variance(theta))

            return crossing(left, superiority, 1.0)

        low, high = 1.0 - upper(1.0 - self.superiority), upper(self.superiority)
        return (
            0.0 if alternative == "less" else low,
            1.0 if alternative == "greater" else high,
        )


def as_effect(theta: Interval, alternative: Alternative) -> tuple[Interval, Interval]:
    """An interval of theta as one of 2 theta - 1, and of the win odds theta / (1 - theta) - 1."""
    odds = tuple(end / (1.0 - end) - 1.0 if end < 1.0 else math.inf for end in theta)
    return (
        one_sided((2.0 * theta[0] - 1.0, 2.0 * theta[1] - 1.0), alternative),
        one_sided((odds[0], odds[1]), alternative),
    )
