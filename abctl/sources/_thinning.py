"""Which samples matter: outlines of counters, and raw samples where they are needed (pure).

Increments telescope: what a counter did in a stretch of time is its last value there less the one
before, however many samples lie between. So the last value of each cell of a grid is enough, if

- no value dropped in between (see `_doubts`);
- the scrapes before and after a restart were read: every series of the target counts anew there;
- the scrapes around the begin of a window were read: an increment across it counts in neither;
- the first scrape of a target was read: whether series were born with it or later matters.

`needs` says what is still to be read for that; where it is nothing, increments of what is known
are those of all samples, number for number.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from abctl.sources import Outline, Series
from abctl.sources._doubts import Cells, doubts
from abctl.sources._group import Group, Known, Mask
from abctl.sources._increase import Array, Scrapes, scrapes_of
from abctl.sources._targets import Target, target_of

_MS = 0.001


@dataclass(frozen=True)
class Needs:
    """What is to be read raw: (start, end] of all selectors of some targets, or of one of one."""

    ranges: tuple[tuple[frozenset[Target], float, float], ...] = ()
    whole: tuple[tuple[str, Target, float, float], ...] = ()

    @property
    def anything(self) -> bool:
        """Whether there is something to read."""
        return bool(self.ranges or self.whole)


class Thinning:
    """What is known of counters.

    Args:
        cells: the grid; everything up to its first edge is read raw.
        near_seconds: scrapes that are as near to each other are read together.
    """

    def __init__(self, cells: Cells, near_seconds: float) -> None:
        self._cells, self._edges, self._near = cells, cells.edges, near_seconds
        self._groups: dict[tuple[str, Target], Group] = {}
        self._starts: Mapping[Target, Series] = {}
        self._scraped: dict[Target, Array] = {}
        self._read: dict[Target, list[tuple[float, float]]] = defaultdict(
            lambda: [(-np.inf, float(cells.edges[0]))]
        )

    def add_raw(self, selector: str, series: Sequence[Series]) -> None:
        """Add samples that were read."""
        for each in series:
            self._group(selector, target_of(each.labels)).add_raw(each)

    def add_outline(self, selector: str, chunk: int, outline: Outline) -> None:
        """Add the outline of a chunk."""
        rows: dict[Target, list[int]] = defaultdict(list)
        for i, labels in enumerate(outline.labels):
            rows[target_of(labels)].append(i)
        for target, mine in rows.items():
            self._group(selector, target).add_outline(
                chunk,
                self._cells.chunks[chunk][0],
                [outline.labels[i] for i in mine],
                outline.last[mine],
                outline.drops[mine],
            )

    def _group(self, selector: str, target: Target) -> Group:
        key = (selector, target)
        if key not in self._groups:
            self._groups[key] = Group(len(self._edges) - 1, len(self._cells.chunks))
        return self._groups[key]

    def targets_in(self, start: float, end: float) -> set[Target]:
        """Those that have something in the cells from the one to the other edge."""
        first, last = np.searchsorted(self._edges, (start, end))
        return {
            target
            for (_, target), group in self._groups.items()
            if not np.all(np.isnan(group.last[:, first:last]))
        }

    def scraped_at(self, starts: Mapping[Target, Series], others: Mapping[Target, Array]) -> None:
        """Say when targets were scraped, and when their processes started."""
        self._starts = starts
        self._scraped = {target: series.times for target, series in starts.items()}
        self._scraped |= dict(others)

    def was_read(self, needs: Needs) -> None:
        """Say that what was needed is added."""
        for targets, start, end in needs.ranges:
            for target in targets:
                self._read[target].append((start, end))
        for selector, target, start, end in needs.whole:
            first, last = np.searchsorted(self._edges, (start, end))
            self._groups[selector, target].whole[first:last] = True

    def series(self) -> dict[str, list[Series]]:
        """What is known, by selector."""
        found: dict[str, list[Series]] = defaultdict(list)
        for (selector, target), group in self._groups.items():
            counters = self._known(group, target).counters
            for labels, row in zip(counters.labels, counters.values, strict=True):
                there = ~np.isnan(row)
                if there.all():
                    found[selector].append(Series(labels, counters.times, row))
                elif there.any():
                    found[selector].append(Series(labels, counters.times[there], row[there]))
        return found

    def needs(self) -> Needs:
        """What is to be read; nothing, if everything that matters is known."""
        by_target: dict[Target, dict[str, Known]] = defaultdict(dict)
        for (selector, target), group in self._groups.items():
            by_target[target][selector] = self._known(group, target)
        points: list[tuple[float, Target]] = []
        scrapes: dict[Target, Scrapes] = {}
        for target, known in by_target.items():
            counters = [each.counters for each in known.values() if len(each.counters.times)]
            if target in self._scraped and counters:
                others = self._scraped[target]
                scrapes[target] = scrapes_of(counters, self._starts.get(target), others)
                points += ((at, target) for at in self._points(target, scrapes[target]))
        if points:
            return Needs(ranges=tuple(self._ranges(sorted(points))))
        whole: list[tuple[str, Target, float, float]] = []
        for target, known in by_target.items():
            for selector, each in known.items():
                group = self._groups[selector, target]
                cells = doubts(group, each, scrapes.get(target), self._cells)
                whole += ((selector, target, *ends) for ends in self._stretches(cells))
        return Needs(whole=tuple(whole))

    def _known(self, group: Group, target: Target) -> Known:
        return group.known(self._edges, self._unread(group, target))

    def _unread(self, group: Group, target: Target) -> Array:
        """Scrapes of a target that were not read for this group."""
        times = self._scraped.get(target, np.array([]))
        unread = ~self._covered(target, times)
        cell = np.searchsorted(self._edges, times) - 1
        inside = (cell >= 0) & (cell < len(group.whole))
        unread[inside] &= ~group.whole[cell[inside]]
        return times[unread]

    def _covered(self, target: Target, times: Array) -> Mask:
        """Which times (ascending) lie where everything of a target was read."""
        found = np.zeros(len(times), dtype=bool)
        for start, end in self._read[target]:
            first, last = np.searchsorted(times, (start, end), side="right")
            found[first:last] = True
        return found

    def _points(self, target: Target, scrapes: Scrapes) -> Iterator[float]:
        """Scrapes that must be read, and were not."""
        times = scrapes.times
        events = np.concatenate((times[:1], scrapes.restarts, scrapes.falls, scrapes.inferred))
        first = np.searchsorted(times, events)
        begins = np.searchsorted(times, self._cells.begins, side="right")
        at = np.unique(np.concatenate((first, first - 1, begins, begins - 1)))
        wanted = times[at[(at >= 0) & (at < len(times))]]
        wanted = wanted[wanted <= self._edges[-1]]
        yield from wanted[~self._covered(target, wanted)].tolist()

    def _ranges(
        self, points: Sequence[tuple[float, Target]]
    ) -> Iterator[tuple[frozenset[Target], float, float]]:
        """Points that are near to each other, together."""
        start = last = points[0][0]
        targets: set[Target] = set()
        for point, target in points:
            if point > last + self._near:
                yield frozenset(targets), start - _MS, last
                start, targets = point, set()
            last = point
            targets.add(target)
        yield frozenset(targets), start - _MS, last

    def _stretches(self, cells: Mask) -> Iterator[tuple[float, float]]:
        """Begin and end of each stretch of chosen cells."""
        changes = np.flatnonzero(np.diff(cells, prepend=False, append=False))
        for first, last in zip(changes[::2], changes[1::2], strict=True):
            yield float(self._edges[first]), float(self._edges[last])
