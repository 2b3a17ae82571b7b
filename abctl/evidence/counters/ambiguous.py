"""Cells whose last value is not enough, as a counter may have restarted in them (pure)."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from abctl.evidence.counters.group import Group, Indices, Known, Mask
from abctl.evidence.counters.increase import Array, Scrapes

_MS = 0.001


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
