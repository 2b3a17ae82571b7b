"""One target's series of one selector, of which some samples are known (pure).

Where a counter may have restarted in a cell, the last value of the cell is not enough: it is in
doubt until the samples in it are read.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from abctl.evidence.counters.increase import Array, Counters, Scrapes, previous, table_of
from abctl.sources import Series
from abctl.sources.series import Key, key_of

Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]
_MS = 0.001


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


@dataclass(frozen=True, eq=False)
class Cells:
    """A grid: edges of cells, first and last edge of each chunk, and begins of windows."""

    edges: Array
    chunks: Sequence[tuple[int, int]]
    begins: Sequence[float]

    def of(self, times: Array) -> Indices:
        """The cell of each time; -1 or their number outside of the grid."""
        return np.asarray(np.searchsorted(self.edges, times) - 1, dtype=np.int64)

    def since(self, chunk: int) -> float:
        """From where on drops of a chunk are counted."""
        return since(self.edges, self.chunks[chunk][0])


def since(edges: Array, first: int) -> float:
    """From where on drops are counted, of cells from an edge on.

    Ranges overlap, so that none hides between two.
    """
    return float(edges[first - 1] if first else 2 * edges[0] - edges[1])


def doubts(group: Group, known: Known, scrapes: Scrapes | None, cells: Cells) -> Mask:
    """Cells of a group that must be read whole.

    Args:
        group: what was read of it.
        known: the same, as counters.
        scrapes: of the target; None where nobody knows when it was scraped.
        cells: the grid.
    """
    found = np.zeros(len(cells.edges) - 1, dtype=bool)
    found[group.lasts()[0]] = True
    read = sorted(group.whole)
    if scrapes is None:
        found[read] = False
        return found
    upto = np.searchsorted(scrapes.times, cells.edges[1:], side="right")
    nobody = upto == np.searchsorted(scrapes.times, cells.edges[:-1], side="left")
    found &= nobody
    _around_events(found, group, known, scrapes, cells)
    # What counts of the first sample after these depends on which one that is.
    events = np.union1d(scrapes.falls, scrapes.inferred) - _MS
    for since in np.union1d(cells.begins, events).tolist():
        found |= _unknown_first(since, since, known, cells)
    # So does a drop after a gap that is longer than ranges overlap.
    for chunk, (first, _) in enumerate(cells.chunks):
        found |= _unknown_first(cells.since(chunk), float(cells.edges[first]), known, cells)
    found |= _drops(group, known, cells)
    found[read] = False
    return found


def _around_events(found: Mask, group: Group, known: Known, scrapes: Scrapes, cells: Cells) -> None:
    """A series that a restart met must be known before and after it."""
    living, last = group.lasts()
    events = np.union1d(scrapes.restarts, scrapes.falls)
    for cell, event in zip(cells.of(events).tolist(), events.tolist(), strict=True):
        column = int(np.searchsorted(living, cell))
        if column < len(living) and living[column] == cell:
            at = int(np.searchsorted(scrapes.times, event))
            around = scrapes.times[max(0, at - 1) : at + 1]
            for time in around[around > cells.edges[cell]].tolist():
                found[cell] |= bool(np.any(~np.isnan(last[:, column]) & ~_read_at(known, time)))


def _read_at(known: Known, time: float) -> Mask:
    """Which series have a sample at some time."""
    times, values = known.counters.times, known.counters.values
    column = int(np.searchsorted(times, time))
    if column == len(times) or times[column] != time or known.standing_in[column]:
        return np.zeros(len(values), dtype=bool)
    return ~np.isnan(values[:, column])


def _unknown_first(since: float, begin: float, known: Known, cells: Cells) -> Mask:
    """Where series that were there before have their first sample, if nobody knows which it is.

    It is the first one after `since`, and counts if it lies after `begin`.
    """
    found = np.zeros(len(cells.edges) - 1, dtype=bool)
    times = known.counters.times
    first = int(np.searchsorted(times, since, side="right"))
    there = ~np.isnan(known.counters.values[:, first:])
    rows = np.flatnonzero(there.any(axis=1))
    if not len(rows):
        return found
    column = np.argmax(there[rows], axis=1) + first
    upto = np.searchsorted(known.unread, times[column])
    skipped = upto > np.searchsorted(known.unread, since, side="right")
    unknown = (known.standing_in[column] | skipped) & (known.before[rows, column] >= 0)
    cell = cells.of(times[column[unknown & (times[column] > begin)]])
    found[cell[cell >= 0]] = True
    return found


def _drops(group: Group, known: Known, cells: Cells) -> Mask:
    """Every drop must lie between two samples that were read, and no other scrape between them."""
    found = np.zeros(len(cells.edges) - 1, dtype=bool)
    times, values = known.counters.times, known.counters.values
    before, unread = known.before, known.unread
    base = np.take_along_axis(values, np.maximum(before, 0), axis=1)
    rows, to = np.nonzero((before >= 0) & (values < base))
    since = before[rows, to]
    for columns in (since, to):
        found[cells.of(times[columns[known.standing_in[columns]]])] = True
    between = np.searchsorted(unread, times[to]) - np.searchsorted(unread, times[since], "right")
    located = (between == 0) & ~known.standing_in[since] & ~known.standing_in[to]
    said: dict[int, Array] = defaultdict(lambda: np.zeros(len(values)))
    for chunk, row, number in group.drops:
        said[chunk][row] += number
    for chunk, numbers in said.items():
        first, last = cells.chunks[chunk]
        here = located & (times[since] > cells.since(chunk)) & (times[to] <= cells.edges[last])
        if np.any(numbers > np.bincount(rows[here], minlength=len(values))):
            found[max(0, first - 1) : last] = True
    return found
