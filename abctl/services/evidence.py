"""From raw samples to increments: what every counter did, poll by poll and epoch by epoch.

`read` does the input; everything after it is arithmetic. Numerators and denominators of a target
are cut at the same scrapes.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np

from abctl.core.analysis import Coverage
from abctl.core.polls import Polls, Window, blind, cut, interval_seconds, uncovered_seconds
from abctl.errors import SourceError
from abctl.sources import Series, Source
from abctl.sources._increase import Scrapes, increase, scrapes_of
from abctl.sources._promql import one_of
from abctl.stats.summary import Array

# Samples from before a window tell where its counters stood, and which series were not there yet.
_LOOK_BACK_SECONDS = 300.0
# A scrape that is late by this many usual intervals is a gap; where no interval is known, a minute.
_GAP_INTERVALS = 5.0
_GAP_SECONDS = 60.0
# Scrapes are never quite regular; the polls must not be others because of that.
_STEP_SECONDS = 0.5
_TARGETS_A_QUERY = 50
# Labels that differ when two jobs scrape the same process.
_OF_SCRAPING = ("job", "endpoint", "service", "container", "namespace", "pod", "node")
_OF_REPLICA = ("prometheus", "prometheus_replica", "replica")

Target = tuple[tuple[str, str], ...]
Parts = Mapping[str, str]


class MissingError(Exception):
    """There is nothing to summarize, and why; the reason goes into the result."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Increments of the series that one selector found.

    Attributes:
        labels: of each series.
        by_poll: shape (series, polls), only polls that count.
        left_out, unseen: as in `Increase`, of all series.
    """

    labels: Sequence[Mapping[str, str]]
    by_poll: Array
    left_out: float
    unseen: float

    def total(self) -> Array:
        """Shape (polls,)."""
        return np.asarray(self.by_poll.sum(axis=0))

    def by_bucket(self, buckets: int) -> Array:
        """Shape (polls, buckets), by the label `bucket`.

        Raises:
            MissingError: a series without the label, or with one that is no bucket.
        """
        found = np.zeros((self.by_poll.shape[1], buckets))
        for labels, row in zip(self.labels, self.by_poll, strict=True):
            name = labels.get("bucket", "")
            if not name.isdecimal() or int(name) >= buckets:
                raise MissingError(
                    f"a series has bucket={name!r}, must be 0 to {buckets - 1}: the variance "
                    "between users is not known without it"
                )
            found[:, int(name)] += row
        return found

    def cumulative(self) -> dict[float, Array]:
        """Histogram counts up to each edge `le`, shape (polls,) each."""
        found: dict[float, Array] = defaultdict(lambda: np.zeros(self.by_poll.shape[1]))
        for labels, row in zip(self.labels, self.by_poll, strict=True):
            found[float(labels.get("le", "nan"))] += row
        return dict(found)


@dataclass(frozen=True, eq=False)
class Samples:
    """Everything that was read for an analysis.

    Args:
        place: of the source.
        windows: what counts, in order of time.
        now: up to when.
        found: the series of each selector.
        starts: `process_start_time_seconds` of the targets.
    """

    place: str
    windows: tuple[Window, ...]
    now: float
    found: Mapping[str, Sequence[Series]]
    starts: Mapping[Target, Series]

    @cached_property
    def _scrapes(self) -> Mapping[Target, Scrapes]:
        by_target: dict[Target, list[Series]] = defaultdict(list)
        for series in {id(s): s for found in self.found.values() for s in found}.values():
            by_target[target_of(series)].append(series)
        return {t: scrapes_of(series, self.starts.get(t)) for t, series in by_target.items()}

    @cached_property
    def _grid(self) -> Polls:
        """All polls that are over; one that goes on would be another one at the next look."""
        interval = max((interval_seconds(s.times) for s in self._scrapes.values()), default=0.0)
        step = round(2 * interval / _STEP_SECONDS) * _STEP_SECONDS
        grid = cut(self.windows, max(step, _STEP_SECONDS))
        if self.windows[-1].end < self.now:
            return grid
        over = int(np.searchsorted(grid.edges, self.now - interval, side="right"))
        return Polls(grid.edges[: max(over, 1)], grid.epoch[: max(over - 1, 0)])

    @cached_property
    def over(self) -> tuple[Window, ...]:
        """The windows up to the last poll that is over; empty where none is."""
        end = self._grid.edges[-1]
        return tuple(
            Window(w.epoch, w.start, min(w.end, end)) for w in self.windows if w.start < end
        )

    def polls(self, selectors: Iterable[str]) -> Polls:
        """The finest grid on which every target of the selectors was scraped in every poll."""
        targets = {target_of(s) for selector in selectors for s in self.found[selector]}
        times = [self._scrapes[target].times for target in targets]
        return self._grid.without_edges_after(blind(self._grid, times))

    def rows(self, selector: str, polls: Polls) -> Rows:
        """Increments of all series of a selector.

        Raises:
            SourceError: contradictory samples.
        """
        series = self.found[selector]
        each = [increase(s, self._scrapes[target_of(s)], polls) for s in series]
        by_poll = np.array([e.by_poll[polls.counted] for e in each])
        return Rows(
            labels=[s.labels for s in series],
            by_poll=by_poll.reshape(len(series), np.count_nonzero(polls.counted)),
            left_out=sum(e.left_out for e in each),
            unseen=sum(e.unseen for e in each),
        )

    def coverage(self, selector: str) -> Coverage | None:
        """How well the targets of a selector were watched; None where there are none."""
        scrapes = [self._scrapes[t] for t in {target_of(s) for s in self.found[selector]}]
        if not scrapes:
            return None
        first, last = self.windows[0].start, self.windows[-1].end
        times = reduce(np.union1d, (s.times for s in scrapes))
        interval = max(interval_seconds(s.times) for s in scrapes)
        allowance = _GAP_INTERVALS * interval or _GAP_SECONDS
        gaps = sum(uncovered_seconds(window, times, allowance) for window in self.windows)
        rows = self.rows(selector, cut(self.windows, last - first))
        return Coverage(
            targets=len(scrapes),
            restarts=sum(int(np.sum((s.restarts > first) & (s.restarts <= last))) for s in scrapes),
            covered_ratio=1 - gaps / sum(window.seconds for window in self.windows),
            interval_seconds=interval,
            stale_seconds=self.now - float(times[-1]),
            left_out=rows.left_out,
            unseen=rows.unseen,
        )


def read(
    source: Source, windows: Sequence[Window], selectors: Iterable[str], now: float
) -> Samples:
    """Read every selector once, and when the processes behind them started.

    Raises:
        SourceError: unreachable, refused, or the same target twice.
    """
    start = windows[0].start - _LOOK_BACK_SECONDS
    found: dict[str, Sequence[Series]] = {}
    known_until: dict[Target, float] = {}
    for selector in dict.fromkeys(selectors):
        series = source.series(selector, start, now)
        _refuse_doubles(selector, series)
        found[selector] = _as_first_seen(series, known_until)
    starts: dict[Target, Series] = {}
    instances = sorted({_instance(s) for series in found.values() for s in series} - {""})
    for at in range(0, len(instances), _TARGETS_A_QUERY):
        matcher = one_of("instance", instances[at : at + _TARGETS_A_QUERY])
        for each in source.series(f"process_start_time_seconds{{{matcher}}}", start, now):
            starts[target_of(each)] = each
    return Samples(source.place, tuple(windows), now, found, starts)


def _as_first_seen(found: Sequence[Series], known_until: dict[Target, float]) -> list[Series]:
    """Cut off scrapes that arrived between two queries, which the one before could not see.

    A scrape is stored some time after the moment that it bears, as a whole. So whatever a target's
    first query has seen, later ones see as well, and numerators fit their denominators.
    """
    last: dict[Target, float] = {}
    for series in found:
        target = target_of(series)
        last[target] = max(last.get(target, -np.inf), *series.times[-1:])
    for target, time in last.items():
        known_until.setdefault(target, time)
    ends = [np.searchsorted(s.times, known_until[target_of(s)], side="right") for s in found]
    return [
        Series(series.labels, series.times[:end], series.values[:end])
        for series, end in zip(found, ends, strict=True)
        if end
    ]


def target_of(series: Series) -> Target:
    """What was scraped: job and instance, or, for series without, the series itself."""
    names = ("job", "instance") if "instance" in series.labels else sorted(series.labels)
    return tuple((name, series.labels.get(name, "")) for name in names)


def _instance(series: Series) -> str:
    return series.labels.get("instance", "")


def _refuse_doubles(selector: str, found: Sequence[Series]) -> None:
    seen: dict[Target, Series] = {}
    for series in found:
        if _instance(series):
            ignored = {*_OF_SCRAPING, *_OF_REPLICA}
            key = tuple(sorted((k, v) for k, v in series.labels.items() if k not in ignored))
            if key in seen:
                one, other = dict(seen[key].labels), dict(series.labels)
                different = {k for k in {*one, *other} if one.get(k) != other.get(k)}
                pairs = "; ".join(f"{k} {one.get(k)!r}, {other.get(k)!r}" for k in different)
                raise SourceError(
                    f"{_instance(series)} is scraped twice ({pairs}): {selector} would count "
                    "everything double",
                    "let only one job scrape it, or give the metric selectors with a job",
                )
            seen[key] = series
