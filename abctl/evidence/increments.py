"""From raw samples to increments, poll by poll and epoch by epoch, and to summaries of them.

`abctl.evidence.read` does the input; everything here is arithmetic. Numerators and denominators of
a target are cut at the same scrapes. What is missing stays missing: it is told, never counted as
zero.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from abctl.core.analysis import Coverage
from abctl.core.polls import (
    GAP_INTERVALS,
    Polls,
    Window,
    blind,
    cut,
    interval_seconds,
    uncovered_seconds,
)
from abctl.core.reasons import Reason
from abctl.evidence.counters.increase import Counters, Scrapes, increase, scrapes_of
from abctl.evidence.counters.processes import Whole, of_callers, renamed, scraped_twice
from abctl.evidence.counters.targets import Target, by_target, other_scrapes, written_before
from abctl.sources import Series
from abctl.sources.series import joined
from abctl.stats.summary import Array

# A gap, where no interval is known.
_GAP_SECONDS = 60.0
# Scrapes are never quite regular; the polls must not be others because of that.
_STEP_SECONDS = 0.5
# A target that missed more than one scrape may have ended.
_GONE_INTERVALS = 2.0


class MissingError(Exception):
    """There is nothing to summarize; `why` goes into the result."""

    def __init__(self, why: Reason) -> None:
        super().__init__(why.text)
        self.why = why


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
                facts = {"label": name, "highest": buckets - 1}
                raise MissingError(Reason("noBucketLabel", facts))
            found[:, int(name)] += row
        return found

    def cumulative_by_group(self, groups: int) -> dict[float, Array]:
        """As `cumulative`, by the label `group`: shape (polls, groups) each.

        Raises:
            MissingError: a series without the label, or with one that is no group.
        """
        polls = self.by_poll.shape[1]
        found: dict[float, Array] = defaultdict(lambda: np.zeros((polls, groups)))
        for labels, row in zip(self.labels, self.by_poll, strict=True):
            name = labels.get("group", "")
            if not name.isdecimal() or int(name) >= groups:
                raise MissingError(Reason("noGroupLabel", {"label": name, "highest": groups - 1}))
            found[float(labels.get("le", "nan"))][:, int(name)] += row
        return dict(found)

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
        unreadable: selectors whose series are no counters, and what they are.
        absent: moments at which the targets of selectors were not there; see `absence`.
    """

    place: str
    windows: tuple[Window, ...]
    now: float
    interval_seconds: float
    found: Mapping[str, Sequence[Series]]
    starts: Mapping[Target, Series]
    scraped: Mapping[Target, Array]
    unreadable: Mapping[str, str] = field(default_factory=dict)
    absent: Mapping[str, Array] = field(default_factory=dict)

    @cached_property
    def _counters(self) -> Mapping[str, Mapping[Target, Counters]]:
        return {selector: by_target(each.series) for selector, each in self._whole.items()}

    @cached_property
    def _whole(self) -> Mapping[str, Whole]:
        reported = {s: of_callers(series) for s, series in self.found.items()}
        return {s: renamed(series, self.starts) for s, series in reported.items()}

    def renamed(self, selector: str) -> tuple[str, ...]:
        """Labels of series that changed while their process went on."""
        return tuple(sorted(self._whole[selector].labels))

    @cached_property
    def _starts(self) -> Mapping[Target, Series]:
        """When processes started, also of a target that was called otherwise before."""
        moved = {pair for each in self._whole.values() for pair in each.moved}
        known = dict(self.starts)
        for old, new in sorted(moved, key=lambda pair: float(known[pair[1]].times[0])):
            if old in known:
                known[new] = joined([known[old], known[new]])
        return known

    @cached_property
    def _scrapes(self) -> Mapping[Target, Scrapes]:
        counters: dict[Target, list[Counters]] = defaultdict(list)
        for found in self._counters.values():
            for target, each in found.items():
                counters[target].append(each)
        others = {**self.scraped, **written_before(self.found)}
        return {
            target: scrapes_of(each, self._starts.get(target), others.get(target))
            for target, each in counters.items()
        }

    @cached_property
    def _known_rows(self) -> dict[tuple[str, bytes, bytes], Rows]:
        """What `rows` has found: totals, metrics and checks ask for the same."""
        return {}

    @cached_property
    def _troubles(self) -> dict[str, Reason | None]:
        """What `trouble` has found."""
        return {}

    @cached_property
    def grid(self) -> Polls:
        """All polls that are over, whichever targets were seen in them."""
        return grid(self.windows, self.interval_seconds, self.now)

    def until(self, end: float) -> "Samples":
        """What they were when the poll that ends there was just over."""
        return replace(self, windows=self._up_to(end), now=end + self.interval_seconds)

    def mature(self, seconds: float) -> "Samples | None":
        """What belongs to moments that are older; None where nothing does."""
        end = self.now - seconds
        windows = self._up_to(end)
        return replace(self, windows=windows, now=end) if windows else None

    def exposures(self, selectors: Iterable[str]) -> tuple[Array, Array]:
        """The ends of all polls that count, shape (polls,); requests up to each, by selector."""
        polls = self.grid
        rows = [self.rows(selector, polls).total() for selector in selectors]
        return polls.edges[1:][polls.counted], np.cumsum(rows, axis=1)

    @cached_property
    def over(self) -> tuple[Window, ...]:
        """The windows up to the last poll that is over; empty where none is."""
        return self._up_to(self.grid.edges[-1])

    def _up_to(self, end: float) -> tuple[Window, ...]:
        """The windows, as far as they lie before a moment."""
        return tuple(
            Window(w.epoch, w.start, min(w.end, end)) for w in self.windows if w.start < end
        )

    def polls(self, selectors: Iterable[str]) -> Polls:
        """The finest grid on which every target of the selectors was scraped in every poll."""
        targets = {target for selector in selectors for target in self._counters[selector]}
        times = [self._scrapes[target].times for target in targets]
        return self.grid.without_edges_after(blind(self.grid, times))

    def scrapes(self, selector: str) -> dict[Target, Scrapes]:
        """What is known of the targets of a selector."""
        return {target: self._scrapes[target] for target in self._counters[selector]}

    def trouble(self, selector: str) -> Reason | None:
        """Why what a selector finds cannot be counted; None where it can."""
        if selector not in self._troubles:
            self._troubles[selector] = self._trouble(selector)
        return self._troubles[selector]

    def _trouble(self, selector: str) -> Reason | None:
        if detail := self.unreadable.get(selector):
            return Reason("notACounter", {"selector": selector, "detail": detail})
        for target in self._counters[selector]:
            if self._scrapes[target].in_turn:
                return Reason("severalProcesses", {"instance": dict(target).get("instance", "")})
        series = self._whole[selector].series
        return other_scrapes(series, self._starts) or scraped_twice(series, self.starts)

    def rows(self, selector: str, polls: Polls) -> Rows:
        """Increments of all series of a selector; what they are worth says `trouble`."""
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
        if self.trouble(selector):
            return None
        begin = min((scrapes.begin(start) for scrapes in watched), default=start)
        rows = self.rows(selector, cut([Window(0, begin, end)], end - begin))
        # A counter that was zero when it was first seen has missed nothing, whatever its age.
        missed = rows.left_out and any(scrapes.missed(begin) for scrapes in watched)
        known = watched and not rows.unseen and not missed
        return float(rows.total().sum()) if known else None

    def absent_seconds(self, selector: str) -> float:
        """How long nothing was there to be scraped, in the time that counts."""
        scrapes = self.scrapes(selector).values()
        if not scrapes or selector not in self.absent:
            return 0.0
        times, interval = times_and_interval(scrapes)
        watched = np.union1d(times, self.absent[selector])
        return self._unwatched(times, interval) - self._unwatched(watched, interval)

    def _unwatched(self, watched: Array, interval: float) -> float:
        """How long nobody watched, in the time that counts."""
        allowance = allowance_seconds(interval)
        return sum(uncovered_seconds(window, watched, allowance) for window in self.windows)

    def coverage(self, selector: str) -> Coverage | None:
        """How well the targets of a selector were watched; None where there are none."""
        scrapes = [self._scrapes[target] for target in self._counters[selector]]
        if not scrapes:
            return None
        first, last = self.windows[0].start, self.windows[-1].end
        times, interval = times_and_interval(scrapes)
        # Where there was nothing to be scraped, nothing is missing.
        watched = np.union1d(times, self.absent.get(selector, np.array([])))
        gaps = self._unwatched(watched, interval)
        rows = self.rows(selector, cut(self.windows, last - first))
        return Coverage(
            targets=len(scrapes),
            restarts=_restarts(self.scrapes(selector), first, last),
            falls=sum(between(s.falls, first, last) for s in scrapes),
            gone=sum(
                between(s.times[-1:], first, last - _GONE_INTERVALS * interval) for s in scrapes
            ),
            covered_ratio=1 - gaps / sum(window.seconds for window in self.windows),
            interval_seconds=interval,
            stale_seconds=max(0.0, self.now - float(watched[-1])),
            left_out=rows.left_out,
            unseen=rows.unseen,
            doubtful_ratio=rows.doubtful / max(1.0, float(rows.by_poll.sum())),
        )


def times_and_interval(scrapes: Collection[Scrapes]) -> tuple[Array, float]:
    """When any of some targets, at least one, was scraped, and the longest of their intervals."""
    times = np.unique(np.concatenate([s.times for s in scrapes]))
    return times, max(interval_seconds(s.times) for s in scrapes)


def allowance_seconds(interval: float) -> float:
    """How far apart scrapes may be without a gap between them."""
    return GAP_INTERVALS * interval or _GAP_SECONDS


def _restarts(scrapes: Mapping[Target, Scrapes], first: float, last: float) -> int:
    """How often a process restarted; without an instance each series tells of the same one."""
    told = [s.restarts for target, s in scrapes.items() if dict(target).get("instance")]
    others = [s.restarts for target, s in scrapes.items() if not dict(target).get("instance")]
    together = np.unique(np.concatenate([np.array([]), *others]))
    return sum(between(each, first, last) for each in (*told, together))


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
