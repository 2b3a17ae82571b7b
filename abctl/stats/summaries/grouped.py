"""Histograms by group of units: quantiles whose variance is the one between groups.

Requests of one user are alike, and a few users send most of them: what looks like a thousand values
may be ten. Users are assigned at random and hashed to groups, so how much groups differ says how
much chance there is in a share of values above any point, whatever users are like: it is a ratio of
sums by group (see `buckets`). Woodruff's interval at one deviation of that share has the standard
error of the quantile.

What all users of a variant had at one time (a pause, a queue) is alike in every group, so groups do
not tell of it. It is added as far as polls differ by more than independent values (see `bursts`).

Sources: Deng, Knoblich & Lu (2018), arXiv:1803.06336, sections 3 and 4.2 (quantiles of clustered
values); Woodruff (1952), doi:10.1080/01621459.1952.10483443; Francisco & Fuller (1991),
doi:10.1214/aos/1176347993.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from abctl.stats.estimate import Remark
from abctl.stats.sequential.mixture import relative_default
from abctl.stats.sequential.sequence import Paths
from abctl.stats.summaries.buckets import MIN_BUCKETS, degrees_of_freedom, needed
from abctl.stats.summaries.histograms import (
    FEW_EDGES,
    MIN_BEYOND,
    Distribution,
    Pair,
    distributions,
)
from abctl.stats.summaries.moments import supported
from abctl.stats.summary import (
    Array,
    Histogram,
    Stream,
    Summary,
    SummaryError,
    compared,
    over_epochs,
    running,
    weight_of,
)


@dataclass(frozen=True, eq=False)
class GroupedHistogram(Summary):
    """Values counted in cells by group of units: counts of shape (polls, groups, len(edges) + 1).

    >>> latency = GroupedHistogram(counts=[[[70, 25, 5], [40, 8, 2]]], edges=(0.1, 0.25))
    >>> latency.total().counts
    array([[110.,  33.,   7.]])

    A group is the same units in both variants and at all times.
    """

    counts: Array
    edges: tuple[float, ...] = field(metadata={"additive": False})

    def _check(self) -> None:
        if np.any(self.counts < 0) or np.any(self.counts != np.rint(self.counts)):
            raise SummaryError("counts must be whole and not negative (never use increase())")
        if self.counts.ndim != 3 or self.counts.shape[2] != len(self.edges) + 1:
            raise SummaryError(f"counts must have shape (polls, groups, {len(self.edges) + 1})")
        self.total()  # which knows what edges are

    def total(self) -> Histogram:
        """The values of all groups."""
        return Histogram(self.counts.sum(axis=1), self.edges)

    def coarsened(self, edges: tuple[float, ...]) -> "GroupedHistogram":
        """The same values in fewer cells; `edges` are some of those that it has."""
        starts = [0, *(self.edges.index(edge) + 1 for edge in edges)]
        return GroupedHistogram(np.add.reduceat(self.counts, starts, axis=2), edges)


@dataclass(frozen=True, eq=False)
class GroupedPaths:
    """A quantile of both variants at every look.

    >>> latency = GroupedHistogram(counts=[[[50, 45, 5], [44, 50, 6]] * 8], edges=(0.1, 0.25))
    >>> stream, pair = comparable(Stream(latency, latency, epoch=0))
    >>> found = grouped_paths(stream, pair, 0.5, support=False)
    >>> found.paths.a.round(4), bool(found.paths.ready[0])
    (array([0.1095]), True)

    Attributes:
        paths: the contrast, with the variance between groups.
        pair: the distributions.
        slope_a, slope_b: how much the quantile moves with the share above it.
        equal: as many equal groups would differ as much, in the variant where they are fewest.
    """

    paths: Paths
    pair: Pair
    slope_a: Array
    slope_b: Array
    equal: Array

    def unready(self, stream: Stream[GroupedHistogram], quantile: float) -> Remark | None:
        """Why there is no estimate at the last look; None where there is one."""
        few = float(self.pair.few(quantile)[-1])
        if few < MIN_BEYOND:
            facts = {"expected_count": few, "needed_count": MIN_BEYOND}
            return Remark("tooFewBeyondQuantile", facts)
        if self.equal[-1] < needed(stream.control.counts.shape[1]):
            return self._few_units(stream)
        if not self.paths.ready[-1]:
            return Remark("quantileAboveEdges", {"edge": float(self.pair.a.edges[-1])})
        return None

    def _few_units(self, stream: Stream[GroupedHistogram]) -> Remark:
        """That a few units make up nearly everything: nothing is known of others like them."""
        sides = (stream.control.counts, stream.treatment.counts)
        most = max(float(each.sum(axis=(0, 2)).max() / max(each.sum(), 1.0)) for each in sides)
        facts = {
            "effective_count": float(self.equal[-1]),
            "needed_count": needed(sides[0].shape[1]),
            "largest_ratio": most,
        }
        return Remark("fewUnitsHoldAll", facts)


def comparable(
    stream: Stream[GroupedHistogram],
) -> tuple[Stream[GroupedHistogram], Pair] | Remark:
    """Both variants on the edges that they share, and the distributions of all their values.

    A remark says why they cannot be compared by group.
    """
    same = _on_common_edges(stream)
    if isinstance(same, Remark):
        return same
    # Units known from where one variant was alone say nothing of how many are compared.
    n_a, n_b = (side.counts.sum(axis=(1, 2)) for side in (same.control, same.treatment))
    same = same.only(compared(n_a, n_b, same.epoch))
    pair = distributions(totals(same))
    return pair if isinstance(pair, Remark) else (same, pair)


def _on_common_edges(stream: Stream[GroupedHistogram]) -> Stream[GroupedHistogram] | Remark:
    one, other = stream.control, stream.treatment
    groups = one.counts.shape[1]
    if groups != other.counts.shape[1]:
        facts = {"control_count": groups, "treatment_count": other.counts.shape[1]}
        return Remark("otherBuckets", facts)
    if groups < MIN_BUCKETS:
        return Remark("tooFewBuckets", {"buckets_count": groups, "needed_count": MIN_BUCKETS})
    if one.edges == other.edges:
        return stream
    edges = tuple(sorted({*one.edges} & {*other.edges}))
    if len(edges) < 2:
        return FEW_EDGES
    return Stream(one.coarsened(edges), other.coarsened(edges), stream.epoch)


def totals(stream: Stream[GroupedHistogram]) -> Stream[Histogram]:
    """The values of all groups."""
    return Stream(stream.control.total(), stream.treatment.total(), stream.epoch)


def grouped_paths(
    stream: Stream[GroupedHistogram],
    pair: Pair,
    quantile: float,
    *,
    support: bool,
    extra: Array | None = None,
) -> GroupedPaths:
    """The quantile of each variant after every poll.

    Args:
        stream: on common edges (see `comparable`).
        pair: its distributions.
        quantile: which.
        support: whether variances that few units make up are raised towards the pooled one, as
            constant looking needs.
        extra: how much more than that of independent values the variance within a group is, at
            every poll: bursts that all groups share.
    """
    groups = stream.control.counts.shape[1]
    n_a, n_b = (side.counts.sum(axis=(1, 2)) for side in (stream.control, stream.treatment))
    so_far = running(n_a, stream.epoch), running(n_b, stream.epoch)
    weight = weight_of(*so_far)
    total = over_epochs(weight, stream.epoch)[pair.looks]
    shares = _Weights(stream.epoch, weight, total, pair.looks)
    sides = (
        _Side.of(stream.control, shares, pair.a, quantile),
        _Side.of(stream.treatment, shares, pair.b, quantile),
    )
    factor = groups / (groups - 1.0)
    own = [factor * np.einsum("tg,tg->t", side.influence, side.influence) for side in sides]
    level = quantile * (1.0 - quantile)
    unit = [level / side.n for side in (pair.a, pair.b)]
    # Groups may be more alike than chance makes independent values; that is chance, too.
    own = [np.maximum(var, one) for var, one in zip(own, unit, strict=True)]
    if support:
        one_a, one_b = (var / one for var, one in zip(own, unit, strict=True))
        pooled = (one_a * unit[1] + one_b * unit[0]) / (unit[0] + unit[1])
        own = [
            supported(each, pooled, side.equal) * one
            for each, side, one in zip((one_a, one_b), sides, unit, strict=True)
        ]
    if extra is not None:
        own = [var + extra[pair.looks] * one for var, one in zip(own, unit, strict=True)]
    paired = over_epochs((weight > 0.0).astype(np.float64), stream.epoch)[pair.looks] > 1.0
    shared = factor * np.einsum("tg,tg->t", sides[0].influence, sides[1].influence)
    slopes = [_slope(side, quantile, var) for side, var in zip((pair.a, pair.b), own, strict=True)]
    finite = np.isfinite(slopes[0] + slopes[1] + sides[0].at + sides[1].at)
    a, b, slope_a, slope_b = (
        np.where(finite, each, 0.0) for each in (sides[0].at, sides[1].at, *slopes)
    )
    var_a, var_b = slope_a**2 * own[0], slope_b**2 * own[1]
    df = degrees_of_freedom(var_a, var_b, groups, paired=paired)
    cubes = groups**2 / ((groups - 1.0) * (groups - 2.0))
    thirds = [
        slope**3 * cubes * np.sum(side.influence**3, axis=1)
        for slope, side in zip((slope_a, slope_b), sides, strict=True)
    ]
    equal = np.minimum(sides[0].equal, sides[1].equal)
    paths = Paths(
        a,
        b,
        var_a,
        var_b,
        np.where(paired, slope_a * slope_b * shared, 0.0),
        df,
        finite & (pair.few(quantile) >= MIN_BEYOND) & (equal >= needed(groups)),
        relative_default(0.5 * (a + b)),
        *thirds,
    )
    return GroupedPaths(paths, pair, slope_a, slope_b, equal)


def design_effect(stream: Stream[GroupedHistogram], quantile: float) -> float | Remark:
    """How many times the variance of independent values that of a quantile is; at least 1.

    It is that of the variant in which units differ more, at the last look.
    """
    known = comparable(stream.by_epoch())
    if isinstance(known, Remark):
        return known
    found = grouped_paths(*known, quantile, support=False)
    if (why := found.unready(known[0], quantile)) is not None:
        return why
    level = quantile * (1.0 - quantile)
    return max(
        1.0,
        *(
            float(var[-1] / slope[-1] ** 2 * side.n[-1] / level)
            for var, slope, side in (
                (found.paths.var_a, found.slope_a, found.pair.a),
                (found.paths.var_b, found.slope_b, found.pair.b),
            )
            if slope[-1] > 0.0
        ),
    )


def as_independent_values(stream: Stream[Histogram], effect: float) -> Stream[Histogram]:
    """As many fewer values as a design effect makes them alike, as whole numbers."""

    def fewer(side: Histogram) -> Histogram:
        upto = np.floor(np.cumsum(side.counts, axis=0) / effect + 1e-9)
        return Histogram(np.diff(upto, axis=0, prepend=0.0), side.edges)

    return Stream(fewer(stream.control), fewer(stream.treatment), stream.epoch)


@dataclass(frozen=True, eq=False)
class _Weights:
    """Of each poll's epoch, and of all of them at every look."""

    epoch: NDArray[np.int64]
    of_epoch: Array
    total: Array
    looks: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Side:
    """A variant at every look.

    Attributes:
        at: its quantile; infinite above the last edge.
        influence: shape (looks, groups): of each group on the share of values above it.
        equal: as many equal groups would differ as much in the values above it, or below it.
    """

    at: Array
    influence: Array
    equal: Array

    @classmethod
    def of(
        cls,
        side: GroupedHistogram,
        weights: _Weights,
        found: Distribution,
        quantile: float,
    ) -> "_Side":
        at = found.at(np.full_like(found.n, quantile))
        above = _above(found.edges, at)
        so_far = running(side.counts, weights.epoch)
        n = np.maximum(so_far.sum(axis=(1, 2)), 1.0)
        share = so_far.sum(axis=1) / n[:, None]
        residual = so_far - share[:, None, :] * so_far.sum(axis=2)[:, :, None]
        each = (weights.of_epoch / n)[:, None, None] * residual
        terms = over_epochs(each, weights.epoch)[weights.looks]
        influence = np.einsum("tgc,tc->tg", terms, above) / weights.total[:, None]
        everything = np.cumsum(side.counts, axis=0)[weights.looks]
        beyond = np.einsum("tgc,tc->tg", everything, above)
        equal = np.minimum(_equal(beyond), _equal(everything.sum(axis=2) - beyond))
        return cls(at, influence, equal)


def _above(edges: Array, at: Array) -> Array:
    """The share of each cell above a point of each look, shape (looks, cells)."""
    point = np.where(np.isfinite(at), at, edges[-1])[:, None]
    inside = np.clip((edges[1:] - point) / np.diff(edges), 0.0, 1.0)
    return np.concatenate((inside, np.ones((at.size, 1))), axis=1)


def _equal(by_group: Array) -> Array:
    groups = by_group.shape[1]
    spread = groups * by_group.var(axis=1, ddof=1)
    return np.asarray(np.square(by_group.sum(axis=1)) / np.where(spread > 0.0, spread, 1.0))


def _slope(side: Distribution, quantile: float, variance: Array) -> Array:
    """Half of Woodruff's interval at one deviation of the share, over that deviation."""
    reach = np.sqrt(variance)
    high = np.where(quantile + reach < 1.0, side.at(quantile + reach), np.inf)
    low = side.at(np.maximum(quantile - reach, 0.0))
    # Above the last edge nothing is known.
    width = high - np.where(np.isfinite(low), low, 0.0)
    return np.asarray(0.5 * width / np.where(reach > 0.0, reach, 1.0))
