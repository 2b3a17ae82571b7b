"""Quantiles of histograms, comparable between variants although the split and the load change.

The distribution of each variant is averaged over epochs with the same weights for both, so two
variants that are alike in every epoch have the same quantiles. Inside a cell values are taken as
evenly spread; the first cell starts at 0 (or at its edge, if that is negative).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abctl.stats._epochs import over_epochs, running, weight_of
from abctl.stats.summary import Array, Histogram, Stream, SummaryError, common_edges

MIN_BEYOND = 10.0


@dataclass(frozen=True, eq=False)
class Distribution:
    """A distribution function at the edges, at every look.

    Attributes:
        edges: shape (edges + 1,): where the first cell starts, then all finite edges.
        share: shape (looks, edges + 1): share of values up to each edge; the first is 0.
        n: shape (looks,): as many values at equal weights would be as precise.
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


def distributions(stream: Stream[Histogram]) -> Pair | str:
    """Distributions after every poll, or why there are none."""
    try:
        control, treatment = common_edges(stream.control, stream.treatment)
    except SummaryError as error:
        return str(error)
    edges = np.array((min(0.0, control.edges[0]), *control.edges))
    counts_a, counts_b = (running(h.counts, stream.epoch) for h in (control, treatment))
    n_a, n_b = counts_a.sum(axis=1), counts_b.sum(axis=1)
    weight = weight_of(n_a, n_b)
    total = over_epochs(weight, stream.epoch)
    use = total > 0.0
    if not use.any():
        return "no epoch with data in both variants"

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


def bucket_notes(pair: Pair, quantile: float, deviations: float) -> tuple[str, ...]:
    """Says where an interval lies inside one bucket, so that its ends are interpolated only."""
    notes: tuple[str, ...] = ()
    for name, side in (("control", pair.a.last()), ("treatment", pair.b.last())):
        low, high = (float(end[0]) for end in side.around(quantile, np.array([deviations])))
        if side.cell(low) == side.cell(high) and np.isfinite(high):
            start, end = side.cell(high)
            notes += (
                f"{name}: between {start:g} and {end:g}, one bucket; the rest is interpolation",
            )
    return notes
