"""What is known of the counters of an experiment, as far as they were read; as arrays, and back."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from abctl import forms
from abctl.evidence.counters.group import Cells, Group, Known, Mask
from abctl.evidence.counters.increase import Array
from abctl.evidence.counters.targets import Target, target_of
from abctl.forms import counters as form
from abctl.sources import Outline, Series
from abctl.sources.series import Key, joined, key_of

Range = tuple[float, float]


@dataclass(eq=False)
class SampleStore:
    """What was read so far. It grows, chunk of cells by chunk, and may be kept in between.

    Attributes:
        interval_seconds: the usual time between two scrapes when the experiment began.
        begins: of windows.
        edges: of the cells; everything up to the first one is read raw.
        chunks: first and last edge of those whose drops may not be explained yet.
        groups: by selector and target.
        starts: `process_start_time_seconds` of targets.
        ups: `up` of those that have none.
        scraped_until: up to when both were read.
        ranges: (start, end] of which all samples of a target were read.
        settled: targets of which nothing more is needed, as far as is known.
    """

    interval_seconds: float
    begins: Sequence[float]
    edges: Array
    chunks: list[tuple[int, int]] = field(default_factory=list)
    groups: dict[tuple[str, Target], Group] = field(default_factory=dict)
    starts: dict[Target, Series] = field(default_factory=dict)
    ups: dict[Target, Series] = field(default_factory=dict)
    scraped_until: float = -np.inf
    ranges: dict[Target, list[Range]] = field(default_factory=lambda: defaultdict(list))
    settled: set[Target] = field(default_factory=set)
    _known: dict[tuple[str, Target], Known] = field(default_factory=dict)

    @property
    def cells(self) -> Cells:
        """The grid."""
        return Cells(self.edges, self.chunks, self.begins)

    def add_read(self, selector: str, series: Iterable[Series]) -> None:
        """Add samples."""
        found: dict[Target, list[Series]] = defaultdict(list)
        for each in series:
            found[target_of(each.labels)].append(each)
        for target, mine in found.items():
            self._changed(selector, target).add_read(mine)

    def add_chunk(self, edges: Array, outlines: Mapping[str, Outline]) -> None:
        """Add the next cells, from the last edge on: the outline of each selector."""
        chunk, first = len(self.chunks), len(self.edges) - 1
        self.edges = np.concatenate((self.edges, edges[1:]))
        self.chunks.append((first, len(self.edges) - 1))
        for selector, outline in outlines.items():
            rows: dict[Target, list[int]] = defaultdict(list)
            for i, labels in enumerate(outline.labels):
                rows[target_of(labels)].append(i)
            for target, mine in rows.items():
                self._changed(selector, target).add_ends(
                    chunk,
                    first,
                    [outline.labels[i] for i in mine],
                    outline.last[mine],
                    outline.drops[mine],
                )

    def add_scrapes(
        self, starts: Mapping[Target, Series], ups: Mapping[Target, Series], until: float
    ) -> None:
        """Add when targets were scraped, and when their processes started."""
        for target in starts.keys() & self.ups.keys():
            del self.ups[target]
            self.settled.discard(target)
        for known, new in ((self.starts, starts), (self.ups, ups)):
            for target, each in new.items():
                known[target] = joined([known[target], each]) if target in known else each
        self.scraped_until = until
        self._known.clear()

    def was_read(self, targets: Iterable[Target], start: float, end: float) -> None:
        """Say that all samples of some targets in (start, end] are added."""
        for target in targets:
            self.ranges[target].append((start, end))
            for key in [key for key in self._known if key[1] == target]:
                del self._known[key]

    def was_read_whole(self, selector: str, target: Target, start: float, end: float) -> None:
        """Say that all samples of one selector of a target in some cells are added."""
        first, last = np.searchsorted(self.edges, (start, end)).tolist()
        self._changed(selector, target).whole.update(range(first, last))

    def settle(self) -> None:
        """Say that everything that was needed is added."""
        self.settled = {target for _, target in self.groups}
        self.chunks = []
        for group in self.groups.values():
            group.drops = []

    @property
    def chunk_ends(self) -> list[float]:
        """Ends of what was asked for at once, as far as it is not settled."""
        return [float(self.edges[i]) for i in (0, *(last for _, last in self.chunks))]

    def targets_in(self, start: float, end: float) -> set[Target]:
        """Those that have something in (start, end], as far as edges tell."""
        first, last = np.searchsorted(self.edges, (start, end))
        found = set()
        for (_, target), group in self.groups.items():
            cells, _ = group.lasts()
            times, _ = group.read.whole(len(group.labels))
            if np.any((cells >= first) & (cells < last)) or np.any(
                (times > start) & (times <= end)
            ):
                found.add(target)
        return found

    def first(self) -> tuple[str, float] | None:
        """The selector and the time of the first sample that was read."""
        found = [
            (float(times[0]), selector)
            for (selector, _), group in self.groups.items()
            if len(times := group.read.whole(len(group.labels))[0])
        ]
        return min(found)[::-1] if found else None

    def samples(self, selector: str, until: float) -> set[tuple[Key, float, float]]:
        """What was read of a selector; see `samples_of`."""
        found: list[Series] = []
        for (name, _), group in self.groups.items():
            times, values = group.read.whole(len(group.labels))
            count = int(np.searchsorted(times, until, side="right")) if name == selector else 0
            for labels, row in zip(group.labels if count else (), values, strict=False):
                there = np.flatnonzero(~np.isnan(row[:count]))
                found.append(Series(labels, times[there], row[there]))
        return samples_of(found)

    def scraped(self, target: Target) -> Array | None:
        """When a target was scraped; None where nobody knows."""
        if target in self.starts:
            return self.starts[target].times
        return scrapes_of_up(self.ups[target]) if target in self.ups else None

    def covered(self, target: Target, times: Array) -> Mask:
        """Which times (ascending) lie where everything of a target was read."""
        found = np.asarray(times <= self.edges[0])
        for start, end in self.ranges[target]:
            first, last = np.searchsorted(times, (start, end), side="right")
            found[first:last] = True
        return found

    def known(self, selector: str, target: Target) -> Known:
        """What is known of a group."""
        key = (selector, target)
        if key not in self._known:
            group = self.groups[key]
            self._known[key] = group.known(self.edges, self._unread(group, target))
        return self._known[key]

    def series(self) -> dict[str, list[Series]]:
        """What is known, by selector."""
        found: dict[str, list[Series]] = defaultdict(list)
        for selector, target in self.groups:
            counters = self.known(selector, target).counters
            every = ~np.isnan(counters.values)
            times: dict[bytes, Array] = {}  # which most series share
            for labels, row, there in zip(counters.labels, counters.values, every, strict=True):
                pattern = there.tobytes()
                if pattern not in times:
                    times[pattern] = counters.times[there]
                if len(times[pattern]):
                    found[selector].append(Series(labels, times[pattern], row[there]))
        return found

    def _changed(self, selector: str, target: Target) -> Group:
        key = (selector, target)
        self.settled.discard(target)
        self._known.pop(key, None)
        return self.groups.setdefault(key, Group())

    def _unread(self, group: Group, target: Target) -> Array:
        """Scrapes of a target that were not read for this group."""
        scraped = self.scraped(target)
        times = np.array([]) if scraped is None else scraped
        whole = np.isin(np.searchsorted(self.edges, times) - 1, list(group.whole))
        return times[~self.covered(target, times) & ~whole]


def samples_of(series: Iterable[Series]) -> set[tuple[Key, float, float]]:
    """Every sample: of which series, when and what."""
    return {
        (key_of(each.labels), time, value)
        for each in series
        for time, value in zip(each.times.tolist(), each.values.tolist(), strict=True)
    }


def scrapes_of_up(up: Series) -> Array:
    """When scrapes did not fail."""
    return np.asarray(up.times[up.values == 1])


def arrays_of(known: SampleStore, cells: int) -> Mapping[str, NDArray[Any]]:
    """What is known up to the end of some cells; no chunk that is not settled may go beyond it."""
    end = float(known.edges[cells])
    numbers: list[Array] = []
    size = 0

    def lay(array: NDArray[Any]) -> form.Place:
        """Where an array is among the numbers, and its shape."""
        nonlocal size
        numbers.append(array.astype(np.float64).ravel())
        size += array.size
        return (size - array.size, *array.shape)

    def laid(series: Series) -> tuple[Mapping[str, str], form.Place, form.Place]:
        soon = series.times <= end
        return dict(series.labels), lay(series.times[soon]), lay(series.values[soon])

    groups = []
    for (selector, target), group in known.groups.items():
        times, samples = group.read.whole(len(group.labels))
        ended, last = group.lasts()
        read, over = times <= end, ended < cells
        groups.append(
            form.Group(
                selector=selector,
                labels=tuple(dict(each) for each in group.labels),
                settled=target in known.settled,
                read=(lay(times[read]), lay(samples[:, read])),
                ends=(lay(ended[over]), lay(last[:, over])),
                drops=tuple(drop for drop in group.drops if known.chunks[drop[0]][1] <= cells),
                whole=tuple(cell for cell in sorted(group.whole) if cell < cells),
            )
        )
    found = form.SampleStore(
        interval_seconds=known.interval_seconds,
        begins=tuple(begin for begin in known.begins if begin <= end),
        edges=lay(known.edges[: cells + 1]),
        chunks=tuple(chunk for chunk in known.chunks if chunk[1] <= cells),
        scraped_until=min(known.scraped_until, end),
        ranges=tuple(
            (target, tuple((start, min(last, end)) for start, last in ranges if start < end))
            for target, ranges in known.ranges.items()
        ),
        groups=tuple(groups),
        starts=tuple(laid(each) for each in known.starts.values()),
        ups=tuple(laid(each) for each in known.ups.values()),
    )
    # Not the JSON of msgspec, which has no infinities: nothing may have been scraped yet.
    text = json.dumps(msgspec.to_builtins(found, enc_hook=forms.number)).encode()
    return {
        "text": np.frombuffer(text, np.uint8),
        "numbers": np.concatenate(numbers),
    }


def knowledge_of(arrays: Mapping[str, NDArray[Any]]) -> SampleStore:
    """The same as it was.

    Raises:
        DamagedError: no such arrays.
    """
    numbers = arrays["numbers"]
    found = forms.form_of(json.loads(arrays["text"].tobytes()), form.SampleStore)

    def array(place: form.Place) -> Array:
        at, *shape = place
        laid: Array = numbers[at : at + int(np.prod(shape))]
        return laid.reshape(shape)

    known = SampleStore(
        found.interval_seconds, list(found.begins), array(found.edges), list(found.chunks)
    )
    for series, where in ((found.starts, known.starts), (found.ups, known.ups)):
        for labels, times, values in series:
            where[target_of(labels)] = Series(labels, array(times), array(values))
    known.scraped_until = found.scraped_until
    known.ranges.update((target, list(ranges)) for target, ranges in found.ranges)
    for each in found.groups:
        target = target_of(each.labels[0])
        group = known.groups[each.selector, target] = Group(list(each.labels))
        rows = np.arange(len(group.labels))
        for table, (at, values) in ((group.read, each.read), (group.ends, each.ends)):
            table.add(array(at), array(values), rows)
        group.drops = list(each.drops)
        group.whole = set(each.whole)
        if each.settled:
            known.settled.add(target)
    return known
