"""One target's series of one selector, of which some samples are known (pure)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from abctl.sources import Series
from abctl.sources._increase import Array, Counters, previous, require_counter
from abctl.sources._matrix import Key, key_of

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of counters.

    Attributes:
        counters: at the times of scrapes.
        standing_in: shape (scrapes,), whether a scrape stands in for the last sample of its cell,
            which may be an earlier one.
        unread: times of scrapes of the target that nobody has read, ascending.
    """

    counters: Counters
    standing_in: Mask
    unread: Array

    @cached_property
    def before(self) -> NDArray[np.int64]:
        """See `previous`."""
        return previous(self.counters.values)


@dataclass(eq=False)
class Group:
    """What was read of one target's series of one selector.

    Attributes:
        last: shape (series, cells), see `Outline`.
        drops: shape (series, chunks), how many drops each chunk is said to have.
        whole: shape (cells,), whether every sample of a cell was read.
    """

    cells: int
    chunks: int
    labels: list[Mapping[str, str]] = field(default_factory=list)
    last: Array = field(init=False)
    drops: Array = field(init=False)
    whole: Mask = field(init=False)
    _rows: dict[Key, int] = field(default_factory=dict)
    _raw: list[tuple[int, Series]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.last = np.full((0, self.cells), np.nan)
        self.drops = np.zeros((0, self.chunks))
        self.whole = np.zeros(self.cells, dtype=bool)

    def add_raw(self, series: Series) -> None:
        """Add samples."""
        require_counter(series)
        self._raw.append((self._row([series.labels])[0], series))

    def add_outline(
        self, chunk: int, first: int, labels: Sequence[Mapping[str, str]], last: Array, drops: Array
    ) -> None:
        """Add what a chunk of cells, from the first one on, is said to hold."""
        rows = self._row(labels)
        self.last[rows, first : first + last.shape[1]] = last
        self.drops[rows, chunk] = drops

    def _row(self, labels: Sequence[Mapping[str, str]]) -> list[int]:
        rows = []
        for each in labels:
            rows.append(self._rows.setdefault(key_of(each), len(self._rows)))
            if rows[-1] == len(self.labels):
                self.labels.append(each)
        if new := len(self.labels) - len(self.last):
            self.last = np.concatenate((self.last, np.full((new, self.cells), np.nan)))
            self.drops = np.concatenate((self.drops, np.zeros((new, self.chunks))))
        return rows

    def known(self, edges: Array, unread: Array) -> Known:
        """Everything that is known, as counters.

        Args:
            edges: of the cells.
            unread: times of scrapes of the target that nobody has read, ascending.
        """
        read = np.unique(np.concatenate([np.array([]), *(s.times for _, s in self._raw)]))
        at = np.append(unread, np.nan)[np.searchsorted(unread, edges[1:], side="right") - 1]
        # The last scrape of a cell that nobody has read stands in for its last sample,
        there = (at > edges[:-1]) & ~self.whole & ~np.all(np.isnan(self.last), axis=0)
        cells = np.flatnonzero(there)
        times = np.concatenate((read, at[cells]))
        order = np.argsort(times, kind="stable")
        values = np.full((len(self.labels), len(times)), np.nan)
        for row, series in self._raw:
            values[row, np.searchsorted(read, series.times)] = series.values
        stand = self.last[:, cells]
        # unless the series was there in a later one, whose sample is known.
        of_cell = np.searchsorted(edges, read) - 1
        for column in np.flatnonzero((of_cell >= 0) & (of_cell < self.cells)):
            place = np.searchsorted(cells, of_cell[column])
            if place < len(cells) and cells[place] == of_cell[column]:
                later = read[column] > at[cells[place]]
                stand[later & ~np.isnan(values[:, column]), place] = np.nan
        values[:, len(read) :] = stand
        labels = [dict(each) for each in self.labels]
        counters = Counters(labels, times[order], values[:, order])
        return Known(counters, order >= len(read), unread)
