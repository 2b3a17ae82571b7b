"""Sufficient statistics: the only data that crosses into statistics.

A summary holds increments. Each field is an array whose first axis is the poll; a second axis,
where there is one, is the bucket of units (hash of the unit) or the cell of a histogram.
Summaries are frozen; `+` adds two of them element by element, so shards and pods merge.

A `Stream` holds those of two variants. Running sums respect epochs: nothing is ever pooled across a
change of the split.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from typing import Generic, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class SummaryError(ValueError):
    """Data that contradict themselves."""


@dataclass(frozen=True, eq=False)
class Summary:
    """Base of the summaries: field-wise addition and merging of polls.

    >>> one, other = Counts([100, 100], [10, 12]), Counts([50, 0], [5, 0])  # of two shards
    >>> both = one + other
    >>> both.n, both.pooled().successes
    (array([150., 100.]), array([27.]))

    Raises:
        SummaryError: a value is not finite, fields have different numbers of polls, or the values
            contradict each other.
    """

    def __post_init__(self) -> None:
        for name in self._additive():
            value = np.atleast_1d(np.asarray(getattr(self, name), dtype=np.float64))
            if not np.all(np.isfinite(value)):
                raise SummaryError(f"{name}: a value that is not a finite number")
            object.__setattr__(self, name, value)
        if len({getattr(self, name).shape[0] for name in self._additive()}) > 1:
            raise SummaryError("fields with different numbers of polls")
        self._check()

    def _check(self) -> None:
        """Refuse data that contradict themselves; each summary knows its own laws."""

    @classmethod
    def _additive(cls) -> tuple[str, ...]:
        return tuple(f.name for f in fields(cls) if f.metadata.get("additive", True))

    def _each(self, arrays: Iterable[ArrayLike]) -> Self:
        return replace(self, **dict(zip(self._additive(), arrays, strict=True)))

    def __add__(self, other: Self) -> Self:
        for constant in {f.name for f in fields(self)} - {*self._additive()}:
            if getattr(self, constant) != getattr(other, constant):
                raise SummaryError(f"summaries with different {constant} cannot be added")
        return self._each(getattr(self, f) + getattr(other, f) for f in self._additive())

    @property
    def polls(self) -> int:
        """How many polls the summary holds."""
        return int(getattr(self, self._additive()[0]).shape[0])

    def merge(self, starts: NDArray[np.int64]) -> Self:
        """Add up runs of polls; `starts` are the indices at which a run begins."""
        return self._each(
            np.add.reduceat(getattr(self, f), starts, axis=0) for f in self._additive()
        )

    def at(self, polls: NDArray[np.bool_]) -> Self:
        """Some of the polls."""
        return self._each(getattr(self, f)[polls] for f in self._additive())

    def pooled(self) -> Self:
        """All polls added up, as one poll."""
        return self.merge(np.zeros(1, dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Counts(Summary):
    """Binary outcomes: `n` trials, of which `successes` succeeded. Both have shape (polls,).

    >>> Counts(n=[100, 100], successes=[10, 12]).polls
    2
    >>> Counts(n=100, successes=101)
    Traceback (most recent call last):
        ...
    abctl.stats.summary.SummaryError: more successes than trials
    """

    n: Array
    successes: Array

    def _check(self) -> None:
        _whole(self.n, "n")
        _whole(self.successes, "successes")
        if np.any(self.successes > self.n):
            raise SummaryError("more successes than trials")


@dataclass(frozen=True, eq=False)
class Moments(Summary):
    """`n` values, their sum and their sum of squares, both taken about the constant `shift`.

    >>> Moments(n=3, sum=6, sum_sq=14)  # of 1, 2 and 3
    Moments(n=array([3.]), sum=array([6.]), sum_sq=array([14.]), shift=0.0)
    >>> Moments(n=3, sum=0, sum_sq=2, shift=2.0).shift  # the same values, about 2
    2.0

    The arrays have shape (polls,). A shift near the mean keeps digits where values are large.
    """

    n: Array
    sum: Array
    sum_sq: Array
    shift: float = field(default=0.0, metadata={"additive": False})

    def _check(self) -> None:
        _whole(self.n, "n")
        if np.any(self.sum_sq < 0):
            raise SummaryError("a negative sum of squares")


@dataclass(frozen=True, eq=False)
class Buckets(Summary):
    """A ratio per bucket of units: numerator and denominator, each of shape (polls, buckets).

    >>> errors = Buckets(numerator=[[1, 0, 2]], denominator=[[10, 8, 12]])  # one poll
    >>> float(errors.numerator.sum() / errors.denominator.sum())
    0.1

    A column is the same bucket (the same units) in both variants and at all times.
    """

    numerator: Array
    denominator: Array

    def _check(self) -> None:
        if self.numerator.ndim != 2 or self.numerator.shape != self.denominator.shape:
            raise SummaryError("numerator and denominator must both have shape (polls, buckets)")
        if np.any(self.denominator < 0):
            raise SummaryError("a negative denominator")


@dataclass(frozen=True, eq=False)
class Histogram(Summary):
    """Values counted in cells: counts of shape (polls, len(edges) + 1).

    >>> latency = Histogram(counts=[[70, 25, 4, 1]], edges=(0.1, 0.25, 0.5))  # seconds
    >>> latency.coarsened((0.25,)).counts
    array([[95.,  5.]])

    `edges` are the finite upper bounds, ascending; the last cell is everything above the last one.
    """

    counts: Array
    edges: tuple[float, ...] = field(metadata={"additive": False})

    def _check(self) -> None:
        _whole(self.counts, "counts")
        if self.counts.ndim != 2 or self.counts.shape[1] != len(self.edges) + 1:
            raise SummaryError(f"counts must have shape (polls, {len(self.edges) + 1})")
        if not self.edges or np.any(np.diff(self.edges) <= 0):
            raise SummaryError("edges must ascend, and there must be at least one")

    def coarsened(self, edges: tuple[float, ...]) -> "Histogram":
        """The same values counted in fewer cells.

        Args:
            edges: some of the edges that the histogram has.

        Raises:
            SummaryError: an edge that the histogram does not have.
        """
        if not set(edges) <= set(self.edges):
            raise SummaryError(f"no edge {min(set(edges) - set(self.edges))} to coarsen to")
        starts = [0, *(self.edges.index(edge) + 1 for edge in edges)]
        return Histogram(np.add.reduceat(self.counts, starts, axis=1), edges)


@dataclass(frozen=True, eq=False)
class Events(Summary):
    """Events over an exposure (requests, hours): their ratio is a rate. Both have shape (polls,).

    >>> timeouts = Events(events=[3, 1], exposure=[1, 1])  # in two polls of an hour
    >>> float(timeouts.events.sum() / timeouts.exposure.sum())
    2.0
    """

    events: Array
    exposure: Array

    def _check(self) -> None:
        _whole(self.events, "events")
        if np.any(self.exposure < 0):
            raise SummaryError("a negative exposure")
        if np.any((self.events > 0) & (self.exposure == 0)):
            raise SummaryError("events without an exposure")


def common_edges(one: Histogram, other: Histogram) -> tuple[Histogram, Histogram]:
    """Both histograms on the edges that they share.

    Raises:
        SummaryError: fewer than two edges in common, so nothing could be compared.
    """
    if one.edges == other.edges:
        return one, other
    edges = tuple(sorted({*one.edges} & {*other.edges}))
    if len(edges) < 2:
        raise SummaryError("the histograms of the variants have fewer than two edges in common")
    return one.coarsened(edges), other.coarsened(edges)


def _whole(values: Array, name: str) -> None:
    if np.any(values < 0) or np.any(values != np.rint(values)):
        raise SummaryError(f"{name}: counts must be whole and not negative (never use increase())")


S = TypeVar("S", bound=Summary)


@dataclass(frozen=True, eq=False)
class Stream(Generic[S]):
    """Increments of a control and a treatment, poll by poll, with the epoch of each poll.

    >>> control, treatment = Counts([90, 90, 50], [9, 8, 5]), Counts([10, 10, 50], [1, 2, 6])
    >>> stream = Stream(control, treatment, epoch=[0, 0, 1])  # first 90/10, then 50/50
    >>> stream.by_epoch().treatment.n, stream.only([1]).control.n
    (array([20., 50.]), array([50.]))

    Args:
        control, treatment: summaries with the same number of polls.
        epoch: shape (polls,), non-decreasing; a new number for every period of constant split.

    Raises:
        SummaryError: the numbers of polls differ, or an epoch is smaller than the one before.
    """

    control: S
    treatment: S
    epoch: NDArray[np.int64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "epoch", np.atleast_1d(np.asarray(self.epoch, dtype=np.int64)))
        polls = {self.control.polls, self.treatment.polls, self.epoch.shape[0]}
        if len(polls) > 1:
            raise SummaryError(f"control, treatment and epoch of {sorted(polls)} polls")
        if np.any(np.diff(self.epoch) < 0):
            raise SummaryError("epochs must not go backwards")

    @property
    def epochs(self) -> tuple[int, ...]:
        """The numbers of the epochs, each once."""
        return tuple(int(number) for number in np.unique(self.epoch))

    def by_epoch(self) -> "Stream[S]":
        """One poll an epoch."""
        starts = np.flatnonzero(np.diff(self.epoch, prepend=self.epoch[:1] - 1))
        return Stream(self.control.merge(starts), self.treatment.merge(starts), self.epoch[starts])

    def only(self, epochs: Iterable[int]) -> "Stream[S]":
        """The polls of some of the epochs."""
        chosen = np.isin(self.epoch, list(epochs))
        return Stream(self.control.at(chosen), self.treatment.at(chosen), self.epoch[chosen])

    def swapped(self) -> "Stream[S]":
        """The same stream with control and treatment exchanged."""
        return Stream(self.treatment, self.control, self.epoch)


def running(increments: Array, epoch: NDArray[np.int64]) -> Array:
    """Cumulative sums over polls (the first axis), starting anew in each epoch."""
    found = np.empty_like(increments)
    for start, stop in pairwise((*_starts(epoch), epoch.size)):
        np.cumsum(increments[start:stop], axis=0, out=found[start:stop])
    return found


def over_epochs(terms: Array, epoch: NDArray[np.int64]) -> Array:
    """Add to the terms of each poll the last terms of all earlier epochs."""
    found = terms.copy()
    for _, start in pairwise(_starts(epoch)):
        found[start:] += terms[start - 1]
    return found


def weight_of(n_a: Array, n_b: Array) -> Array:
    """What a difference of means counts: n_a n_b / (n_a + n_b), 0 where a variant has nothing."""
    return np.asarray(n_a * n_b / np.maximum(n_a + n_b, 1.0))


def compared(
    n_a: Array, n_b: Array, epoch: NDArray[np.int64], least: float = 0.0
) -> tuple[int, ...]:
    """The epochs with more than `least` in both variants, from increments of shape (polls,)."""
    starts = list(_starts(epoch))
    if not starts:
        return ()
    fewest = np.minimum(np.add.reduceat(n_a, starts), np.add.reduceat(n_b, starts))
    return tuple(int(number) for number in epoch[starts][fewest > least])


def _starts(epoch: NDArray[np.int64]) -> tuple[int, ...]:
    if not epoch.size:
        return ()
    return (0, *(np.flatnonzero(epoch[1:] != epoch[:-1]) + 1).tolist())
