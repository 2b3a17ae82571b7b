"""Which samples matter: outlines of counters, and raw samples where they are needed (pure).

Increments telescope: what a counter did in a stretch of time is its last value there less the one
before, however many samples lie between. So the last value of each cell of a grid is enough, if

- no value dropped in between (see `group`);
- the scrapes before and after a restart were read: every series of the target counts anew there;
- the scrapes around the begin of a window were read: an increment across it counts in neither;
- the first scrape of a target was read: whether series were born with it or later matters.

`needs` says what is still to be read for that; where it is nothing, increments of what is known
are those of all samples, number for number.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from abctl.evidence.counters.group import Known, Mask, doubts
from abctl.evidence.counters.increase import Array, Scrapes, scrapes_of, turns
from abctl.evidence.counters.store import SampleStore
from abctl.evidence.counters.targets import Target

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


def needs(knowledge: SampleStore, near_seconds: float) -> Needs:
    """What is to be read; nothing, if everything that matters is known.

    Args:
        knowledge: so far.
        near_seconds: scrapes that are as near to each other are read together.
    """
    by_target: dict[Target, dict[str, Known]] = defaultdict(dict)
    for selector, target in knowledge.groups:
        # Of processes that answer in turn nothing is counted, whatever their samples are.
        if target not in knowledge.settled and not turns(knowledge.starts.get(target)):
            by_target[target][selector] = knowledge.known(selector, target)
    points: list[tuple[float, Target]] = []
    scrapes: dict[Target, Scrapes] = {}
    for target, known in by_target.items():
        counters = [each.counters for each in known.values() if len(each.counters.times)]
        others = knowledge.scraped(target)
        if others is not None and counters:
            scrapes[target] = scrapes_of(counters, knowledge.starts.get(target), others)
            points += ((at, target) for at in _points(knowledge, target, scrapes[target]))
    if points:
        return Needs(ranges=tuple(_ranges(sorted(points), near_seconds)))
    whole: list[tuple[str, Target, float, float]] = []
    for target, known in by_target.items():
        for selector, each in known.items():
            group = knowledge.groups[selector, target]
            cells = doubts(group, each, scrapes.get(target), knowledge.cells)
            whole += ((selector, target, *ends) for ends in _stretches(cells, knowledge.edges))
    return Needs(whole=tuple(whole))


def _points(knowledge: SampleStore, target: Target, scrapes: Scrapes) -> Iterator[float]:
    """Scrapes that must be read, and were not."""
    times = scrapes.times
    events = np.concatenate((times[:1], scrapes.restarts, scrapes.falls, scrapes.inferred))
    first = np.searchsorted(times, events)
    begins = np.searchsorted(times, knowledge.begins, side="right")
    at = np.unique(np.concatenate((first, first - 1, begins, begins - 1)))
    wanted = times[at[(at >= 0) & (at < len(times))]]
    wanted = wanted[wanted <= knowledge.edges[-1]]
    yield from wanted[~knowledge.covered(target, wanted)].tolist()


def _ranges(
    points: Sequence[tuple[float, Target]], near_seconds: float
) -> Iterator[tuple[frozenset[Target], float, float]]:
    """Points that are near to each other, together."""
    start = last = points[0][0]
    targets: set[Target] = set()
    for point, target in points:
        if point > last + near_seconds:
            yield frozenset(targets), start - _MS, last
            start, targets = point, set()
        last = point
        targets.add(target)
    yield frozenset(targets), start - _MS, last


def _stretches(cells: Mask, edges: Array) -> Iterator[tuple[float, float]]:
    """Begin and end of each stretch of chosen cells."""
    changes = np.flatnonzero(np.diff(cells, prepend=False, append=False))
    for first, last in zip(changes[::2], changes[1::2], strict=True):
        yield float(edges[first]), float(edges[last])
