"""From raw samples to increments, poll by poll and epoch by epoch, and to summaries of them.

`abctl.evidence.read` does the input; everything here is arithmetic. Numerators and denominators of
a target are cut at the same scrapes. What is missing stays missing: it is told, never counted as
zero. Summaries are the only data that crosses into statistics.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce

import numpy as np

from abctl.core.analysis import Coverage
from abctl.core.experiment import Kind
from abctl.core.polls import (
    GAP_INTERVALS,
    Polls,
    Window,
    blind,
    cut,
    interval_seconds,
    uncovered_seconds,
)
from abctl.errors import SourceError
from abctl.evidence.counters.increase import Counters, Scrapes, increase, scrapes_of
from abctl.evidence.counters.targets import Target, by_target
from abctl.sources import Series
from abctl.stats.summary import Array, Buckets, Counts, Events, Histogram, Moments, SummaryError

# A gap, where no interval is known.
_GAP_SECONDS = 60.0
# Scrapes are never quite regular; the polls must not be others because of that.
_STEP_SECONDS = 0.5
# A target that missed more than one scrape may have ended.
_GONE_INTERVALS = 2.0

Parts = Mapping[str, str]
_DENOMINATORS = ("n", "exposure", "histogram")


class MissingError(Exception):
    """There is nothing to summarize, and why; the reason goes into the result."""


class NothingCountedError(MissingError):
    """There are series, but in the time that counts they did not grow."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Increments of the series that one selector found.

    Attributes:
        labels: of each series.
        by_poll: shape (series, polls), only polls that count.
        left_out, unseen, doubtful: as in `Increase`, of all series.
    """

    labels: Sequence[Mapping[str, str]]
    by_poll: Array
    left_out: float
    unseen: float
    doubtful: float

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
        interval_seconds: the usual time between two scrapes when it began; the same at every look.
        found: the series of each selector.
        starts: `process_start_time_seconds` of the targets.
        scraped: times of scrapes of the targets that have none.
    """

    place: str
    windows: tuple[Window, ...]
    now: float
    interval_seconds: float
    found: Mapping[str, Sequence[Series]]
    starts: Mapping[Target, Series]
    scraped: Mapping[Target, Array]

    @cached_property
    def _counters(self) -> Mapping[str, Mapping[Target, Counters]]:
        return {selector: by_target(series) for selector, series in self.found.items()}

    @cached_property
    def _scrapes(self) -> Mapping[Target, Scrapes]:
        counters: dict[Target, list[Counters]] = defaultdict(list)
        for found in self._counters.values():
            for target, each in found.items():
                counters[target].append(each)
        return {
            target: scrapes_of(each, self.starts.get(target), self.scraped.get(target))
            for target, each in counters.items()
        }

    @cached_property
    def _known_rows(self) -> dict[tuple[str, bytes, bytes], Rows]:
        """What `rows` has found: totals, metrics and checks ask for the same."""
        return {}

    @cached_property
    def _grid(self) -> Polls:
        return grid(self.windows, self.interval_seconds, self.now)

    def until(self, end: float) -> "Samples":
        """What they were when the poll that ends there was just over."""
        windows = tuple(
            Window(w.epoch, w.start, min(w.end, end)) for w in self.windows if w.start < end
        )
        return replace(self, windows=windows, now=end + self.interval_seconds)

    def exposures(self, selectors: Iterable[str]) -> tuple[Array, Array]:
        """The ends of all polls that count, shape (polls,); requests up to each, by selector."""
        polls = self._grid
        rows = [self.rows(selector, polls).total() for selector in selectors]
        return polls.edges[1:][polls.counted], np.cumsum(rows, axis=1)

    @cached_property
    def over(self) -> tuple[Window, ...]:
        """The windows up to the last poll that is over; empty where none is."""
        end = self._grid.edges[-1]
        return tuple(
            Window(w.epoch, w.start, min(w.end, end)) for w in self.windows if w.start < end
        )

    def polls(self, selectors: Iterable[str]) -> Polls:
        """The finest grid on which every target of the selectors was scraped in every poll."""
        targets = {target for selector in selectors for target in self._counters[selector]}
        times = [self._scrapes[target].times for target in targets]
        return self._grid.without_edges_after(blind(self._grid, times))

    def rows(self, selector: str, polls: Polls) -> Rows:
        """Increments of all series of a selector.

        Raises:
            SourceError: contradictory samples.
        """
        question = selector, polls.edges.tobytes(), polls.epoch.tobytes()
        if question not in self._known_rows:
            self._known_rows[question] = self._increments(selector, polls)
        return self._known_rows[question]

    def _increments(self, selector: str, polls: Polls) -> Rows:
        found = self._counters[selector]
        each = [increase(counters, self._scrapes[t], polls) for t, counters in found.items()]
        nothing = np.zeros((0, np.count_nonzero(polls.counted)))
        return Rows(
            labels=[labels for counters in found.values() for labels in counters.labels],
            by_poll=np.concatenate([nothing, *(e.by_poll[:, polls.counted] for e in each)]),
            left_out=sum(e.left_out for e in each),
            unseen=sum(e.unseen for e in each),
            doubtful=sum(e.doubtful for e in each),
        )

    def before(self, selector: str, since: float) -> float | None:
        """Requests from `since` on that came before anything counted; None if nobody can tell."""
        first = self.windows[0].start
        return self.within(selector, since, first) if since < first else 0.0

    def within(self, selector: str, start: float, end: float) -> float | None:
        """Requests between two moments, whatever counts; None if nobody can tell."""
        watched = [self._scrapes[target] for target in self._counters[selector]]
        begin = min((scrapes.begin(start) for scrapes in watched), default=start)
        rows = self.rows(selector, cut([Window(0, begin, end)], end - begin))
        # A counter that was zero when it was first seen has missed nothing, whatever its age.
        missed = rows.left_out and any(scrapes.missed(begin) for scrapes in watched)
        known = watched and not rows.unseen and not missed
        return float(rows.total().sum()) if known else None

    def coverage(self, selector: str) -> Coverage | None:
        """How well the targets of a selector were watched; None where there are none."""
        scrapes = [self._scrapes[target] for target in self._counters[selector]]
        if not scrapes:
            return None
        first, last = self.windows[0].start, self.windows[-1].end
        times = reduce(np.union1d, (s.times for s in scrapes))
        interval = max(interval_seconds(s.times) for s in scrapes)
        allowance = GAP_INTERVALS * interval or _GAP_SECONDS
        gaps = sum(uncovered_seconds(window, times, allowance) for window in self.windows)
        rows = self.rows(selector, cut(self.windows, last - first))
        return Coverage(
            targets=len(scrapes),
            restarts=sum(between(s.restarts, first, last) for s in scrapes),
            falls=sum(between(s.falls, first, last) for s in scrapes),
            gone=sum(
                between(s.times[-1:], first, last - _GONE_INTERVALS * interval) for s in scrapes
            ),
            covered_ratio=1 - gaps / sum(window.seconds for window in self.windows),
            interval_seconds=interval,
            stale_seconds=max(0.0, self.now - float(times[-1])),
            left_out=rows.left_out,
            unseen=rows.unseen,
            doubtful_ratio=rows.doubtful / max(1.0, float(rows.by_poll.sum())),
        )


def grid(windows: Sequence[Window], interval_seconds: float, now: float) -> Polls:
    """All polls that are over; one that goes on would be another one at the next look."""
    polls = cut(windows, step_seconds(interval_seconds))
    if windows[-1].end < now:
        return polls
    # A scrape is stored some time after the moment that it bears.
    over = int(np.searchsorted(polls.edges, now - interval_seconds, side="right"))
    return Polls(polls.edges[: max(over, 1)], polls.epoch[: max(over - 1, 0)])


def step_seconds(interval_seconds: float) -> float:
    """How long the first polls are."""
    return max(round(2 * interval_seconds / _STEP_SECONDS) * _STEP_SECONDS, _STEP_SECONDS)


def between(times: Array, first: float, last: float) -> int:
    """How many times lie in (first, last]."""
    return int(np.count_nonzero((times > first) & (times <= last)))


def summarize(
    kind: Kind,
    samples: Samples,
    parts: Parts,
    polls: Polls,
    *,
    buckets: int | None = None,
    unit_seconds: float = 1.0,
    elsewhere: Collection[str] = (),
) -> Counts | Moments | Buckets | Histogram | Events:
    """The summary of one variant.

    Args:
        kind: of the metric.
        samples: what was read.
        parts: the selector of each part.
        polls: the grid; all variants of a metric share one.
        buckets: how many buckets of units there are; None where each request is a unit.
        unit_seconds: what the counters take for one, where they count time; 1 elsewhere.
        elsewhere: parts that another variant has. A numerator among them may be absent here: a
            counter of errors is often born with the first error.

    Raises:
        MissingError: no series of a part.
        SourceError: numbers that contradict each other.
    """
    rows = {part: samples.rows(selector, polls) for part, selector in parts.items()}
    for part, selector in parts.items():
        if not rows[part].labels and (part in _DENOMINATORS or part not in elsewhere):
            raise MissingError(
                f"{samples.place} has no series of {selector}: none was counted yet, or the names "
                "differ there"
            )
        # A series of zeros is no evidence either; nobody divides by it.
        if part in _DENOMINATORS and not rows[part].by_poll.any():
            raise NothingCountedError(f"{selector} has counted nothing yet")
    try:
        if kind == "quantile":
            return _histogram(rows["histogram"], unit_seconds)
        if kind == "rate":
            return Events(rows["events"].total(), rows["exposure"].total())
        top = rows["successes" if kind == "proportion" else "sum"]
        negative = rows.get("negative_sum")
        if buckets is not None:
            over = top.by_bucket(buckets)
            if negative is not None:
                over = over - negative.by_bucket(buckets)
            return Buckets(over * unit_seconds, rows["n"].by_bucket(buckets))
        total = top.total() - (0.0 if negative is None else negative.total())
        if kind == "proportion":
            return Counts(rows["n"].total(), total)
        squares = rows["sum_sq"].total() * unit_seconds**2
        return Moments(rows["n"].total(), total * unit_seconds, squares)
    except SummaryError as error:
        raise SourceError(
            f"{' and '.join(parts.values())} contradict each other: {error}",
            "both must be counted by the same code, and scraped from the same page",
        ) from None


def _histogram(rows: Rows, unit_seconds: float) -> Histogram:
    upto = rows.cumulative()
    edges = sorted(edge for edge in upto if np.isfinite(edge))
    if np.inf not in upto or not edges:
        raise MissingError('a histogram needs le="+Inf" and at least one finite edge')
    columns = np.array([upto[edge] for edge in (*edges, np.inf)]).T
    cells = np.diff(columns, axis=1, prepend=0.0)
    if np.any(cells < 0):
        raise SummaryError("a bucket holds less than the one below it")
    return Histogram(cells, tuple(edge * unit_seconds for edge in edges))
