"""Reads what the counters of an experiment did, exactly, and no more of it than that takes."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TypeVar

import numpy as np

from abctl.core.polls import EVEN_POLLS, Window, interval_seconds
from abctl.services.evidence import Samples, grid, step_seconds
from abctl.sources import Series, Source
from abctl.sources._doubts import Cells
from abctl.sources._matrix import Key, key_of
from abctl.sources._promql import matching, narrowed, one_of
from abctl.sources._targets import (
    Target,
    grouped,
    joined,
    refuse_doubles,
    refuse_other_scrapes,
    target_of,
)
from abctl.sources._thinning import Needs, Thinning
from abctl.stats.summary import Array

T = TypeVar("T")
Progress = Callable[[int, int], None]

# Samples from before a window tell where its counters stood, and which series were not there yet.
_LOOK_BACK_SECONDS = 300.0
# The usual interval is that of the first scrapes, so that every look finds the same one.
_FIRST_SECONDS = 300.0
_COMMON_INTERVAL_SECONDS = 15.0
_TARGETS_A_QUERY = 50
# Polite, but not idle while the server works.
_AT_A_TIME = 3
# What is asked for at once: some hours, later on a part of the age of the experiment.
_CHUNK_SECONDS, _CHUNKS_AN_AGE = 6 * 3600.0, 16
# Scrapes as near as this are read with one question.
_NEAR_INTERVALS = 4.0


def read(
    source: Source,
    windows: Sequence[Window],
    selectors: Iterable[str],
    now: float,
    *,
    progress: Progress = lambda _done, _all: None,
) -> Samples:
    """Read every selector, and when the processes behind them started.

    While an experiment is young, every sample is read; later on the last value of each poll, and
    samples only where the source says that something happened. Increments are the same.

    Args:
        source: where the counters are.
        windows: what counts, in order of time.
        selectors: of all counters.
        now: the clock of the source.
        progress: is told how many questions are answered, and how many there are by now.

    Raises:
        SourceError: unreachable, refused, the same target twice, or a contradiction.
    """
    return _Reader(source, tuple(windows), tuple(dict.fromkeys(selectors)), now, progress).read()


@dataclass(eq=False)
class _Reader:
    source: Source
    windows: tuple[Window, ...]
    selectors: tuple[str, ...]
    now: float
    progress: Progress
    asked: int = 0
    answered: int = 0

    def read(self) -> Samples:
        first = self.windows[0].start
        start, early = first - _LOOK_BACK_SECONDS, min(first + _FIRST_SECONDS, self.now)
        raw = {each: self.source.series(each, start, early) for each in self.selectors}
        interval = _usual_interval([s for found in raw.values() for s in found], first)
        polls = grid(self.windows, interval, self.now)
        dense = max(first + _FIRST_SECONDS, first + EVEN_POLLS * step_seconds(interval))
        edges = polls.edges[np.searchsorted(polls.edges, dense) :]
        until = float(edges[0]) if len(edges) > 1 else self.now
        if until > early:
            for selector in self.selectors:
                raw[selector] += self.source.series(selector, early, until)
        if len(edges) > 1:
            return self._thinned(start, interval, edges, raw)
        known_until: dict[Target, float] = {}
        found: dict[str, Sequence[Series]] = {}
        for selector, pieces in raw.items():
            found[selector] = _as_first_seen(_whole_series(pieces), known_until)
        every = [series for each in found.values() for series in each]
        targets = {target_of(s.labels) for s in every}
        return self._samples(interval, found, *self._scrapes([start, self.now], [targets]))

    def _thinned(
        self, start: float, interval: float, edges: Array, raw: Mapping[str, list[Series]]
    ) -> Samples:
        chunks = _chunks(edges, self.windows[0].start)
        if self.now > edges[-1]:  # nothing of it counts yet, but who is there does
            chunks.append((len(edges) - 1, len(edges)))
            edges = np.append(edges, self.now)
        begins = [window.start for window in self.windows]
        cells = Cells(edges, chunks, begins)
        thinning = Thinning(cells, near_seconds=_NEAR_INTERVALS * interval)
        for selector, series in raw.items():
            thinning.add_raw(selector, series)
        asked = [(selector, i) for i in range(len(chunks)) for selector in self.selectors]
        outlines = self._ask(
            partial(self.source.outline, s, edges[chunks[i][0] : chunks[i][1] + 1], cells.since(i))
            for s, i in asked
        )
        for (selector, i), outline in zip(asked, outlines, strict=True):
            thinning.add_outline(selector, i, outline)
        ends = [start, float(edges[0]), *(float(edges[last]) for _, last in chunks)]
        first = {target_of(s.labels) for series in raw.values() for s in series}
        there = [first, *(thinning.targets_in(a, b) for a, b in pairwise(ends[1:]))]
        starts, scraped = self._scrapes(ends, there)
        thinning.scraped_at(starts, scraped)
        while (needs := thinning.needs()).anything:
            self._read_raw(needs, thinning)
        return self._samples(interval, thinning.series(), starts, scraped)

    def _read_raw(self, needs: Needs, thinning: Thinning) -> None:
        asked = []
        for targets, start, end in needs.ranges:
            instances = sorted({dict(target)["instance"] for target in targets})
            matcher = one_of("instance", instances)
            asked += [(s, matching(s, matcher), start, end) for s in self.selectors]
        for selector, target, start, end in needs.whole:
            asked.append((selector, narrowed(selector, target), start, end))
        answers = self._ask(
            partial(self.source.series, narrow, start, end) for _, narrow, start, end in asked
        )
        for (selector, *_), series in zip(asked, answers, strict=True):
            thinning.add_raw(selector, series)
        thinning.was_read(needs)

    def _scrapes(
        self, ends: Sequence[float], there: Sequence[set[Target]]
    ) -> tuple[dict[Target, Series], dict[Target, Array]]:
        """When processes started; when targets were scraped, of those that do not say it.

        Each stretch between two ends is asked for the targets of it and of its neighbors.
        """
        near = [set().union(*there[max(0, i - 1) : i + 2]) for i in range(len(there))]
        starts = self._of_targets("process_start_time_seconds", ends, near)
        up = self._of_targets("up", ends, [targets - starts.keys() for targets in near])
        return starts, {target: s.times[s.values == 1] for target, s in up.items()}

    def _of_targets(
        self, name: str, ends: Sequence[float], targets: Sequence[set[Target]]
    ) -> dict[Target, Series]:
        """A metric that every target has once."""
        questions = []
        for (start, end), here in zip(pairwise(ends), targets, strict=True):
            instances = sorted({dict(target).get("instance", "") for target in here} - {""})
            for i in range(0, len(instances), _TARGETS_A_QUERY):
                query = f"{name}{{{one_of('instance', instances[i : i + _TARGETS_A_QUERY])}}}"
                questions.append(partial(self.source.series, query, start, end))
        wanted = set().union(*targets)
        found = grouped(series for answer in self._ask(questions) for series in answer)
        return {target: joined(each) for target, each in found.items() if target in wanted}

    def _ask(self, questions: Iterable[Callable[[], T]]) -> Iterator[T]:
        """Ask a few questions at a time; answers come in the order of the questions."""
        asked = list(questions)
        self.asked += len(asked)
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            try:
                for answer in pool.map(lambda question: question(), asked):
                    self.answered += 1
                    self.progress(self.answered, self.asked)
                    yield answer
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _samples(
        self,
        interval: float,
        found: Mapping[str, Sequence[Series]],
        starts: Mapping[Target, Series],
        scraped: Mapping[Target, Array],
    ) -> Samples:
        found = {selector: found.get(selector, ()) for selector in self.selectors}
        for selector, series in found.items():
            refuse_doubles(selector, series)
            refuse_other_scrapes(self.source.place, series, starts)
        place = self.source.place
        return Samples(place, self.windows, self.now, interval, found, starts, scraped)


def _chunks(edges: Array, first: float) -> list[tuple[int, int]]:
    """First and last edge of what is asked for at once; those of before stay at the next look."""
    found, begin = [], 0
    for i in range(1, len(edges)):
        longest = max(_CHUNK_SECONDS, (edges[begin] - first) / _CHUNKS_AN_AGE)
        if i + 1 == len(edges) or edges[i + 1] - edges[begin] > longest:
            found.append((begin, i))
            begin = i
    return found


def _whole_series(pieces: Sequence[Series]) -> list[Series]:
    whole: dict[Key, list[Series]] = defaultdict(list)
    for each in pieces:
        whole[key_of(each.labels)].append(each)
    return [joined(each) for each in whole.values()]


def _usual_interval(found: Sequence[Series], first: float) -> float:
    """Of the targets that were there at the beginning; a common one where there was none."""
    scrapes = [np.unique(np.concatenate([s.times for s in g])) for g in grouped(found).values()]
    early = [times[times <= first + _FIRST_SECONDS] for times in scrapes]
    before = [times[times <= first] for times in early]
    return (
        max(map(interval_seconds, before), default=0.0)
        or max(map(interval_seconds, early), default=0.0)
        or _COMMON_INTERVAL_SECONDS
    )


def _as_first_seen(found: Sequence[Series], known_until: dict[Target, float]) -> list[Series]:
    """Cut off scrapes that arrived between two queries, which the one before could not see.

    A scrape is stored some time after the moment that it bears, as a whole. So whatever a target's
    first query has seen, later ones see as well, and numerators fit their denominators.
    """
    last: dict[Target, float] = {}
    for series in found:
        target = target_of(series.labels)
        last[target] = max(last.get(target, -np.inf), *series.times[-1:])
    for target, time in last.items():
        known_until.setdefault(target, time)
    cut = []
    for series in found:
        end = np.searchsorted(series.times, known_until[target_of(series.labels)], side="right")
        if end:
            cut.append(Series(series.labels, series.times[:end], series.values[:end]))
    return cut
