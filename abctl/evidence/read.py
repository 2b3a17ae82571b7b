"""Reads what the counters of an experiment did, exactly, and no more of it than that takes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import TypeVar

import numpy as np

from abctl.core.polls import Window
from abctl.core.selector import alone, matching, narrowed, one_of
from abctl.evidence.absence import absent_times
from abctl.evidence.cache import Cache
from abctl.evidence.counters.group import since
from abctl.evidence.counters.store import (
    SampleStore,
    arrays_of,
    knowledge_of,
    samples_of,
    scrapes_of_up,
)
from abctl.evidence.counters.targets import (
    FIRST_SECONDS,
    Target,
    as_first_seen,
    grouped,
    target_of,
    usual_interval,
    whole_series,
)
from abctl.evidence.counters.thinning import Needs, needs
from abctl.evidence.increments import Samples, grid
from abctl.forms import DamagedError
from abctl.sources import Outline, Series, Source
from abctl.sources.series import NotACounterError, joined, require_counters
from abctl.stats.summary import Array

T = TypeVar("T")
Progress = Callable[[int, int], None]

# Samples from before a window tell where its counters stood, and which series were not there yet.
_LOOK_BACK_SECONDS = 300.0
_TARGETS_A_QUERY = 50
# Polite, but not idle while the server works.
_AT_A_TIME = 3
# What is asked for at once: a day, later on a part of the age of the experiment.
_CHUNK_SECONDS, _CHUNKS_AN_AGE = 24 * 3600.0, 16
# Scrapes as near as this are read with one question.
_NEAR_INTERVALS = 4.0


def read(
    source: Source,
    windows: Sequence[Window],
    selectors: Iterable[str],
    now: float,
    *,
    cache: Cache | None = None,
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
        cache: of what was read before; also what an interrupted reading leaves behind.
        progress: is told how many questions are answered, and how many there are by now.

    Raises:
        SourceError: unreachable, or refused.
    """
    chosen = dict.fromkeys(selectors)
    each = tuple(dict.fromkeys(one for selector in chosen for one in alone(selector)))
    found = _Reader(source, tuple(windows), each, now, cache, progress).read()
    several = {selector: of for selector in chosen if len(of := alone(selector)) > 1}
    whole = {s: [one for each in of for one in found.found[each]] for s, of in several.items()}
    refused = {s: why for s, of in several.items() for x in of if (why := found.unreadable.get(x))}
    every, bad = {**found.found, **whole}, {**found.unreadable, **refused}
    return replace(found, found=every, unreadable=bad) if several else found


@dataclass(eq=False)
class _Reader:
    source: Source
    windows: tuple[Window, ...]
    selectors: tuple[str, ...]
    now: float
    cache: Cache | None
    progress: Progress
    asked: int = 0
    answered: int = 0
    kept: int = -1  # cells in the cache of which nothing more is needed
    adding: bool = False  # what is half added is not kept
    unreadable: dict[str, str] = field(default_factory=dict)

    def read(self) -> Samples:
        if (known := self._recalled()) is not None:
            return self._thinned(known, self._edges(known.interval_seconds))
        raw = self._raw(self.start, self.early)
        found = [series for each in raw.values() for series in each]
        interval = usual_interval(found, self.windows[0].start)
        if self.early == self.now:
            return self._young(interval, raw)
        edges = self._edges(interval)
        known = SampleStore(interval, self.begins, edges[:1])
        for selector, series in raw.items():
            known.add_read(selector, whole_series(series))
        return self._thinned(known, edges)

    @property
    def start(self) -> float:
        return self.windows[0].start - _LOOK_BACK_SECONDS

    @property
    def early(self) -> float:
        """Up to when every sample is read: the present, unless it is far from there."""
        early = round(self.windows[0].start + FIRST_SECONDS, 3)
        return early if self.now > early + FIRST_SECONDS else self.now

    @property
    def begins(self) -> list[float]:
        return [window.start for window in self.windows]

    def _edges(self, interval: float) -> Array:
        """Of the cells: the polls, from where on not every sample is read."""
        edges = grid(self.windows, interval, self.now).edges
        return np.append(self.early, edges[edges > self.early])

    def _recalled(self) -> SampleStore | None:
        """What was read before, if it still holds."""
        if self.cache is None or (kept := self.cache.load([self.start, self.selectors])) is None:
            return None
        try:
            known = knowledge_of(kept)
        except DamagedError:
            return None
        edges, size = self._edges(known.interval_seconds), len(known.edges)
        same = len(edges) > 1 and np.array_equal(edges[:size], known.edges)
        if not same or (first := known.first()) is None:
            return None
        # Some of it is asked for once more: another server, or one that has forgotten, is believed.
        try:
            answer = self.source.series(first[0], self.start, first[1])
        except NotACounterError:
            return None
        if samples_of(answer) != known.samples(*first):
            return None
        if known.begins != [begin for begin in self.begins if begin <= known.edges[-1]]:
            known.settled.clear()
        known.begins = self.begins
        if known.settled.issuperset(target for _, target in known.groups):
            self.kept = len(known.edges) - 1
        return known

    def _raw(self, start: float, end: float) -> dict[str, list[Series]]:
        """Every sample, in one order: the present may add to it, see `as_first_seen`."""
        asked = (partial(self._series, each, each, start, end) for each in self.selectors)
        return dict(zip(self.selectors, self._ask(asked, at_a_time=1), strict=True))

    def _series(self, selector: str, narrow: str, start: float, end: float) -> list[Series]:
        """Every sample of a selector, or of some of its series; nothing where they do not count."""
        try:
            found = self.source.series(narrow, start, end)
            require_counters(found)
        except NotACounterError as error:
            self.unreadable.setdefault(selector, f"{error.message}; {error.hint}")
            return []
        return found

    def _outline(self, selector: str, edges: Array, first: float) -> Outline:
        """What the series of a selector did; nothing where they do not count."""
        try:
            return self.source.outline(selector, edges, first)
        except NotACounterError as error:
            self.unreadable.setdefault(selector, f"{error.message}; {error.hint}")
            return Outline([], np.zeros((0, len(edges) - 1)), np.zeros(0))

    def _young(self, interval: float, raw: Mapping[str, list[Series]]) -> Samples:
        """Of every sample."""
        known_until: dict[Target, float] = {}
        found: dict[str, Sequence[Series]] = {}
        for selector, pieces in raw.items():
            found[selector] = as_first_seen(whole_series(pieces), known_until)
        targets = {target_of(s.labels) for each in found.values() for s in each}
        starts, ups = self._scrapes([self.start, self.now], [targets], {})
        return self._samples(interval, found, starts, ups)

    def _thinned(self, known: SampleStore, edges: Array) -> Samples:
        near_seconds = _NEAR_INTERVALS * known.interval_seconds
        try:
            self._ask_outlines(known, edges)
            self._ask_scrapes(known)
            while (missing := needs(known, near_seconds)).anything:
                self._ask_missing(known, missing)
            known.settle()
        finally:
            if not self.adding:
                self._keep(known, edges)
        return self._samples(known.interval_seconds, known.series(), known.starts, known.ups)

    def _keep(self, known: SampleStore, edges: Array) -> None:
        """Keep what is over, also when the reading was interrupted."""
        if self.cache is not None and not self.unreadable:
            whole = edges[: len(known.edges)]
            over = int(np.searchsorted(whole, self.cache.final, side="right")) - 1
            if over > self.kept:
                self.cache.save([self.start, self.selectors], arrays_of(known, over))
                self.cache.tidy()

    def _ask_outlines(self, known: SampleStore, edges: Array) -> None:
        """What happened in the cells that nobody has asked for yet."""
        final = self.cache.final if self.cache else -np.inf
        chunks = _chunks(edges, len(known.edges) - 1, self.windows[0].start, final)
        if self.now > edges[-1]:  # nothing of it counts yet, but who is there does
            chunks.append((len(edges) - 1, len(edges)))
            edges = np.append(edges, self.now)
        answers = self._ask(
            partial(self._outline, s, edges[first : last + 1], since(edges, first))
            for first, last in chunks
            for s in self.selectors
        )
        for first, last in chunks:
            outlines = {selector: next(answers) for selector in self.selectors}
            self.adding = True
            known.add_chunk(edges[first : last + 1], outlines)
            self.adding = False

    def _ask_scrapes(self, known: SampleStore) -> None:
        """When targets were scraped, and their processes started, since that was asked for.

        Each stretch is asked for the targets of it and of its neighbors.
        """
        begin = known.scraped_until
        ends = [self.start] if begin < self.start else [begin - _CHUNK_SECONDS, begin]
        ends += [end for end in known.chunk_ends if end > begin]
        there = [known.targets_in(*stretch) for stretch in pairwise(ends)]
        near = [set().union(*there[max(0, i - 1) : i + 2]) for i in range(len(there))]
        if begin >= self.start:
            near[0] -= there[0]
        found = self._scrapes(ends, near, known.starts)
        self.adding = True
        known.add_scrapes(*found, until=ends[-1])
        self.adding = False

    def _ask_missing(self, known: SampleStore, missing: Needs) -> None:
        """What is to be read raw."""
        ranges, whole = [], []
        for targets, start, end in missing.ranges:
            matcher = one_of("instance", sorted({dict(target)["instance"] for target in targets}))
            ranges += [
                (selector, targets, matching(selector, matcher), start, end)
                for selector in self.selectors
                if any((selector, target) in known.groups for target in targets)
            ]
        for selector, target, start, end in missing.whole:
            narrow = narrowed(selector, target)
            whole.append((selector, frozenset((target,)), narrow, start, end))
        asked = ranges + whole
        answers = list(
            self._ask(partial(self._series, each, narrow, a, b) for each, _, narrow, a, b in asked)
        )
        self.adding = True
        for (selector, targets, *_), series in zip(asked, answers, strict=True):
            known.add_read(selector, (s for s in series if target_of(s.labels) in targets))
        for targets, start, end in missing.ranges:
            known.was_read(targets, start, end)
        for selector, target, start, end in missing.whole:
            known.was_read_whole(selector, target, start, end)
        self.adding = False

    def _scrapes(
        self, ends: Sequence[float], targets: Sequence[set[Target]], known: Mapping[Target, Series]
    ) -> tuple[dict[Target, Series], dict[Target, Series]]:
        """When processes started, and `up` of those that do not say it, stretch by stretch."""
        starts = self._of_targets("process_start_time_seconds", ends, targets)
        others = [each - starts.keys() - known.keys() for each in targets]
        return starts, self._of_targets("up", ends, others)

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

    def _ask(
        self, questions: Iterable[Callable[[], T]], at_a_time: int = _AT_A_TIME
    ) -> Iterator[T]:
        """Ask a few questions at a time; answers come in the order of the questions."""
        asked = list(questions)
        self.asked += len(asked)
        with ThreadPoolExecutor(at_a_time) as pool:
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
        ups: Mapping[Target, Series],
    ) -> Samples:
        found = {
            selector: () if selector in self.unreadable else found.get(selector, ())
            for selector in self.selectors
        }
        scraped = {target: scrapes_of_up(up) for target, up in ups.items()}
        place = self.source.place
        samples = Samples(
            place, self.windows, self.now, interval, found, starts, scraped, self.unreadable
        )
        absent = absent_times(samples, self.source)
        return replace(samples, absent=absent) if absent else samples


def _chunks(edges: Array, begin: int, first: float, final: float) -> list[tuple[int, int]]:
    """First and last edge of what is asked for at once; one ends with what may be kept."""
    found = []
    over = int(np.searchsorted(edges, final, side="right")) - 1
    for i in range(begin + 1, len(edges)):
        longest = max(_CHUNK_SECONDS, (edges[begin] - first) / _CHUNKS_AN_AGE)
        if i in (over, len(edges) - 1) or edges[i + 1] - edges[begin] > longest:
            found.append((begin, i))
            begin = i
    return found
