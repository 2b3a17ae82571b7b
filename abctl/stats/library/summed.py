"""From values of rows to the summaries that methods take, in polls or in one."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from abctl.stats.summaries.grouped import GroupedHistogram
from abctl.stats.summaries.pairs import Pairs
from abctl.stats.summary import Array, Buckets, Counts, Histogram, Moments

Rows = NDArray[np.int64]
# As many groups of units as there are in the summaries by bucket.
BUCKETS = 64
_MOST_EDGES = 400


def once(values: Array) -> Rows:
    """The poll of each row, where all of them are one poll."""
    return np.zeros(values.size, dtype=np.int64)


def moments_of(values: Array, shift: float, poll: Rows, polls: int = 1) -> Moments:
    """Values of each poll, taken about a constant near their mean so that digits are kept.

    >>> moments_of(np.array([1.0, 2.0, 3.0]), 2.0, np.array([0, 0, 1]), polls=2).sum
    array([-1.,  1.])
    """
    moved = values - shift
    n, total, squares = (
        _sums(each, poll, polls) for each in (np.ones_like(moved), moved, moved**2)
    )
    return Moments(n, total, squares, shift)


def counts_of(values: Array, poll: Rows, polls: int = 1) -> Counts:
    """Values of 0 and 1 as trials and successes."""
    return Counts(_sums(np.ones_like(values), poll, polls), _sums(values, poll, polls))


def pairs_of(y: Array, x: Array, poll: Rows, polls: int, shift: float) -> Pairs:
    """Values and covariates of each poll, the values taken about a constant already.

    >>> pairs_of(np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([0, 0]), 1, 0.0).xy
    array([11.])
    """
    each = (np.ones_like(y), y, x, y * y, x * x, x * y)
    n, of_y, of_x, yy, xx, xy = (_sums(values, poll, polls) for values in each)
    return Pairs(n, of_y, of_x, yy, xx, xy, shift)


def buckets_of(
    numerator: Array, denominator: Array, bucket: Rows, poll: Rows, polls: int = 1
) -> Buckets:
    """Sums by bucket of units.

    >>> found = buckets_of(np.ones(3), np.ones(3), np.array([0, 1, 1]), once(np.ones(3)))
    >>> found.numerator[0, :3]
    array([1., 2., 0.])
    """
    cell = poll * BUCKETS + bucket
    sums = (_sums(each, cell, polls * BUCKETS) for each in (numerator, denominator))
    return Buckets(*(each.reshape(polls, BUCKETS) for each in sums))


def edges_of(values: Array, quantile: float, most: int = _MOST_EDGES) -> tuple[float, ...]:
    """Edges of cells for a quantile: all values, or so many of them, the densest around it."""
    ordered = np.unique(values)
    if ordered.size > most:
        near = quantile + min(quantile, 1.0 - quantile) * np.linspace(-0.98, 0.98, most // 2)
        levels = np.concatenate((np.linspace(0.0, 1.0, most // 2 - 1), near, [quantile]))
        ordered = np.unique(np.quantile(values, levels, method="inverted_cdf"))
    # The smallest value is a cell of its own: nothing lies between it and 0.
    return (float(np.nextafter(ordered[0], -np.inf)), *map(float, ordered))


def histogram_of(values: Array, edges: tuple[float, ...], poll: Rows, polls: int = 1) -> Histogram:
    """Values counted in cells.

    >>> histogram_of(np.array([1.0, 2.0, 5.0]), (1.0, 2.0), once(np.ones(3))).counts
    array([[1., 1., 1.]])
    """
    cells = len(edges) + 1
    cell = poll * cells + np.searchsorted(edges, values)
    return Histogram(_sums(np.ones_like(values), cell, polls * cells).reshape(polls, cells), edges)


def grouped_histogram_of(
    values: Array, edges: tuple[float, ...], bucket: Rows, poll: Rows, polls: int = 1
) -> GroupedHistogram:
    """The same by bucket of units."""
    cells = len(edges) + 1
    cell = (poll * BUCKETS + bucket) * cells + np.searchsorted(edges, values)
    counts = _sums(np.ones_like(values), cell, polls * BUCKETS * cells)
    return GroupedHistogram(counts.reshape(polls, BUCKETS, cells), edges)


def _sums(values: Array, cell: "NDArray[Any]", cells: int) -> Array:
    return np.asarray(np.bincount(cell, weights=values, minlength=cells), dtype=np.float64)
