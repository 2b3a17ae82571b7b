"""One target's series of one selector, of which some samples are known (pure)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from abctl.evidence.counters.increase import Array, Counters, previous, table_of
from abctl.sources import Series
from abctl.sources.series import Key, key_of

Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]


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
    def before(self) -> Indices:
        """See `previous`."""
        return previous(self.counters.values)


class Table:
    """Values of series at places (times, or cells), added piece by piece; NaN for none."""

    def __init__(self) -> None:
        self._pieces: list[tuple[Array, Array, Indices]] = []

    def add(self, at: Array, values: Array, rows: Indices) -> None:
        """Add values, shape (rows, at), of some rows at some places, ascending."""
        self._pieces.append((at, values, rows))

    def whole(self, height: int) -> tuple[Array, Array]:
        """All places, ascending, and the values at them, shape (height, places)."""
        if len(self._pieces) == 1 and np.array_equal(self._pieces[0][2], np.arange(height)):
            return self._pieces[0][:2]
        places = np.unique(np.concatenate([np.array([]), *(at for at, *_ in self._pieces)]))
        found = np.full((height, len(places)), np.nan)
        for at, values, rows in self._pieces:
            here = np.ix_(rows, np.searchsorted(places, at))
            found[here] = np.where(np.isnan(values), found[here], values)
        self._pieces = [(places, found, np.arange(height))]
        return places, found


@dataclass(eq=False)
class Group:
    """What was read of one target's series of one selector.

    Attributes:
        labels: of each series.
        read: samples that were read, by time.
        ends: the last value of each cell that has one, by the number of the cell.
        drops: how many drops chunks are said to have, where it is any: (chunk, row, number).
        whole: cells of which every sample was read.
    """

    labels: list[Mapping[str, str]] = field(default_factory=list)
    read: Table = field(default_factory=Table)
    ends: Table = field(default_factory=Table)
    drops: list[tuple[int, int, float]] = field(default_factory=list)
    whole: set[int] = field(default_factory=set)
    _rows: dict[Key, int] = field(default_factory=dict)

    def add_read(self, series: Sequence[Series]) -> None:
        """Add samples."""
        self.read.add(*table_of(series), self.rows(s.labels for s in series))

    def add_ends(
        self, chunk: int, first: int, labels: Iterable[Mapping[str, str]], last: Array, drops: Array
    ) -> None:
        """Add what a chunk of cells, from the first one on, is said to hold."""
        rows = self.rows(labels)
        some = np.flatnonzero(~np.all(np.isnan(last), axis=0))
        self.ends.add((first + some).astype(np.float64), last[:, some], rows)
        self.drops += [(chunk, int(rows[i]), float(drops[i])) for i in np.flatnonzero(drops)]

    def rows(self, labels: Iterable[Mapping[str, str]]) -> Indices:
        """The row of each series; a new one for those that are new."""
        if len(self._rows) < len(self.labels):  # nobody has asked yet
            self._rows = {key_of(each): row for row, each in enumerate(self.labels)}
        found = []
        for each in labels:
            found.append(self._rows.setdefault(key_of(each), len(self._rows)))
            if found[-1] == len(self.labels):
                self.labels.append(each)
        return np.array(found, np.int64)

    def lasts(self) -> tuple[Indices, Array]:
        """Cells that have something, ascending, and their last values, shape (series, cells)."""
        cells, last = self.ends.whole(len(self.labels))
        return cells.astype(np.int64), last

    def known(self, edges: Array, unread: Array) -> Known:
        """Everything that is known, as counters.

        Args:
            edges: of the cells.
            unread: times of scrapes of the target that nobody has read, ascending.
        """
        read, samples = self.read.whole(len(self.labels))
        cells, last = self.lasts()
        at = np.append(unread, np.nan)[np.searchsorted(unread, edges[cells + 1], side="right") - 1]
        # The last scrape of a cell that nobody has read stands in for its last sample,
        there = (at > edges[cells]) & ~np.isin(cells, list(self.whole))
        cells, at, stand = cells[there], at[there], last[:, there]
        # unless the series was there in a later one, whose sample is known.
        of_read = np.searchsorted(edges, read) - 1
        place = np.searchsorted(cells, of_read)
        inside = np.flatnonzero(np.isin(of_read, cells))
        for column in inside[read[inside] > at[place[inside]]]:
            stand[~np.isnan(samples[:, column]), place[column]] = np.nan
        times = np.concatenate((read, at))
        order = np.argsort(times, kind="stable")
        values = np.concatenate((samples, stand), axis=1)[:, order]
        labels = [dict(each) for each in self.labels]
        return Known(Counters(labels, times[order], values), order >= len(read), unread)
