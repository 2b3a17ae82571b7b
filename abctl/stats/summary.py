"""Sufficient statistics: the only data that crosses into statistics.

A summary holds increments. Each field is an array whose first axis is the poll; a second axis,
where there is one, is the bucket of units (hash of the unit) or the cell of a histogram.
Summaries are frozen; `+` adds two of them element by element, so shards and pods merge.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Generic, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class SummaryError(ValueError):
    """Data that contradict themselves."""


@dataclass(frozen=True, eq=False)
class Summary:
    """Base of the summaries: field-wise addition and merging of polls."""

    def __post_init__(self) -> None:
        for name in self._additive():
            value = np.atleast_1d(np.asarray(getattr(self, name), dtype=np.float64))
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        """Refuse data that contradict themselves; each summary knows its own laws."""

    @classmethod
    def _additive(cls) -> tuple[str, ...]:
        return tuple(f.name for f in fields(cls) if f.metadata.get("additive", True))

    def _each(self, arrays: Iterable[ArrayLike]) -> Self:
        return replace(self, **dict(zip(self._additive(), arrays, strict=True)))

    def __add__(self, other: Self) -> Self:
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

    def pooled(self) -> Self:
        """All polls added up, as one poll."""
        return self.merge(np.zeros(1, dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Counts(Summary):
    """Binary outcomes: n tried, of which `successes` (of users, requests, feedbacks)."""

    n: Array
    successes: Array

    def _check(self) -> None:
        if np.any(self.successes < 0) or np.any(self.successes > self.n):
            raise SummaryError("more successes than trials, or fewer than none")


@dataclass(frozen=True, eq=False)
class Moments(Summary):
    """n values, their sum and their sum of squares, both taken about the constant `shift`."""

    n: Array
    sum: Array
    sum_sq: Array
    shift: float = field(default=0.0, metadata={"additive": False})

    def _check(self) -> None:
        if np.any(self.n < 0) or np.any(self.sum_sq < 0):
            raise SummaryError("a negative count or sum of squares")


@dataclass(frozen=True, eq=False)
class Buckets(Summary):
    """A ratio per bucket of units: numerator and denominator, each of shape (polls, buckets)."""

    numerator: Array
    denominator: Array


@dataclass(frozen=True, eq=False)
class Histogram(Summary):
    """Values counted in cells: counts of shape (polls, len(edges) + 1).

    `edges` are the finite upper bounds, ascending; the last cell is everything above the last one.
    """

    counts: Array
    edges: tuple[float, ...] = field(metadata={"additive": False})

    def _check(self) -> None:
        if self.counts.shape[-1] != len(self.edges) + 1:
            raise SummaryError(f"{self.counts.shape[-1]} cells, must be {len(self.edges) + 1}")


@dataclass(frozen=True, eq=False)
class Events(Summary):
    """Events over an exposure (requests, seconds): what a rate is made of."""

    events: Array
    exposure: Array


S = TypeVar("S", bound=Summary)


@dataclass(frozen=True, eq=False)
class Stream(Generic[S]):
    """Increments of a control and a treatment, poll by poll, with the epoch of each poll.

    Args:
        control, treatment: summaries with the same number of polls.
        epoch: shape (polls,), non-decreasing; a new number for every period of constant split.
    """

    control: S
    treatment: S
    epoch: NDArray[np.int64]

    def by_epoch(self) -> "Stream[S]":
        """One poll an epoch."""
        starts = np.flatnonzero(np.diff(self.epoch, prepend=self.epoch[:1] - 1))
        return Stream(self.control.merge(starts), self.treatment.merge(starts), self.epoch[starts])

    def swapped(self) -> "Stream[S]":
        """The same stream with control and treatment exchanged."""
        return Stream(self.treatment, self.control, self.epoch)
