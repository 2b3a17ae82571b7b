"""Exact increments of counters from raw samples (pure).

What a counter did between two scrapes is the difference of its values, or, where its process
restarted, its new value. Nothing is extrapolated: `rate()` and `increase()` are not used.

- Restart: the process says that it started after the scrape before, or, where it does not say when
  it started, a value dropped. All series of a target restart together, so one that dropped tells of
  those that had already overtaken their old value. A restart that is only inferred is reported as
  `doubtful` with all that was counted from zero because of it: it may have been a fall instead.
- A start time that moves otherwise is none: a clock was set, or another process answers. Where
  processes answer in turn behind one address, nobody knows what any of them counted: nothing is.
- Fall: a value dropped although the process goes on (a worker died, and its share of a sum went
  with it). What was counted up to that scrape, nobody knows: it is left out for all series of the
  target, so that numerators still fit their denominators.
- Birth: a series that was absent from an earlier scrape of its target stood at zero then. With no
  earlier scrape it counts from the start of its process, where that is known; else from its first
  sample on, and what it held by then is reported as `unseen`.
- An increment that began outside of the window in which it ended is left out, and reported.

Increments are differences of the first and the last value of a stretch, not sums of small ones: so
samples may be left out within a stretch without a change of the result, not even by rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abctl.core.polls import LEFT_OUT, Polls
from abctl.sources import Series
from abctl.sources.series import require_counter

Array = NDArray[np.float64]

# Some clients compute the start of their process anew at each scrape, to the second.
SAME_START_SECONDS = 2.0
# So far the clock of a process may be from that of who scrapes it.
_CLOCK_SECONDS = 5.0
# Processes that answer in turn, and no clock that was set, nor a worker that died: how often
# a start came back, or values dropped with another start, and in which part of scrapes.
_RETURNS, _SWAPS, _NEAR_SWAPS, _FALLS = 3, 2, 3, 5
_RETURNS_RATIO, _FALLS_RATIO = 0.05, 0.1


@dataclass(frozen=True, eq=False)
class Counters:
    """What one selector found of one target.

    Attributes:
        labels: of each series.
        times: shape (scrapes,), unix seconds, ascending.
        values: shape (series, scrapes); NaN where a scrape did not have the series.
    """

    labels: Sequence[dict[str, str]]
    times: Array
    values: Array


@dataclass(frozen=True, eq=False)
class Scrapes:
    """What the samples of one target tell about it.

    Attributes:
        times: of every scrape, ascending.
        restarts: times of the first scrape after each restart, ascending.
        inferred: those of the restarts that only a drop tells of.
        falls: times of the scrapes in which values had dropped without a restart, ascending.
        started: when the process of the first scrape began; None where unknown.
        in_turn: whether several processes answer behind the address: nothing can be counted.
    """

    times: Array
    restarts: Array
    inferred: Array
    falls: Array
    started: float | None
    in_turn: bool = False

    def begin(self, moment: float) -> float:
        """That moment, or when the process started, if it was so short before that it is the same.

        A start is known to a second or two.
        """
        started = moment if self.started is None else self.started
        return started if 0.0 <= moment - started <= SAME_START_SECONDS else moment

    def missed(self, moment: float) -> bool:
        """Whether its process is known to have run then, and was first scraped later."""
        return self.started is not None and self.started < moment < float(self.times[0])


@dataclass(frozen=True, eq=False)
class Increase:
    """Increments of counters of one target.

    Attributes:
        by_poll: shape (series, polls); zero in intervals that are left out.
        left_out: sum of the increments that were seen, but not within one window.
        unseen: what counters held at their first sample, if nobody knows since when.
        doubtful: how much of `by_poll` is wrong at most, if no inferred restart was one.
    """

    by_poll: Array
    left_out: float
    unseen: float
    doubtful: float


def counters_of(series: Sequence[Series]) -> Counters:
    """The series that one selector found of one target, at least one, in the order of labels.

    Raises:
        SourceError: a value that is negative or not a number, or times that do not ascend.
    """
    ordered = sorted(series, key=lambda s: sorted(s.labels.items()))
    return Counters([dict(s.labels) for s in ordered], *table_of(ordered))


def table_of(series: Sequence[Series]) -> tuple[Array, Array]:
    """All times of some series, at least one, and their values, shape (series, times).

    Raises:
        SourceError: a value that is negative or not a number, or times that do not ascend.
    """
    # Most series of a target share their times.
    different = {s.times.tobytes(): s.times for s in series}.values()
    times = np.unique(np.concatenate(list(different)))
    values = np.full((len(series), len(times)), np.nan)
    for row, each in zip(values, series, strict=True):
        row[
            slice(None) if len(each.times) == len(times) else np.searchsorted(times, each.times)
        ] = each.values
    good = np.count_nonzero((values >= 0) & (values < np.inf)) == sum(len(s.times) for s in series)
    if not good or any((each[1:] <= each[:-1]).any() for each in different):
        for each in series:
            require_counter(each)
    return times, values


def scrapes_of(
    found: Sequence[Counters], starts: Series | None = None, others: Array | None = None
) -> Scrapes:
    """When a target was scraped and when it restarted.

    Args:
        found: counters of this one target, at least some.
        starts: its `process_start_time_seconds`, if it has one.
        others: times of more of its scrapes, where they are known.
    """
    times = [c.times for c in found] + ([] if others is None else [others])
    drops = _drops(found)
    told, started, known, in_turn = np.array([]), None, (np.inf, -np.inf), False
    if starts is not None and len(starts.times):
        times.append(starts.times)
        told, in_turn = _told(starts, drops)
        started, known = float(starts.values[0]), (float(starts.times[0]), float(starts.times[-1]))
    inferred: list[float] = []
    falls: list[float] = []
    for before, at in drops:
        explained = np.searchsorted(told, at, "right") > np.searchsorted(told, before, "right")
        if not explained:
            goes_on = known[0] <= before and at <= known[1]
            events = falls if goes_on else inferred
            # A series that was missing for a while shows a drop later than the others.
            if not events or events[-1] <= before:
                events.append(at)
    every = np.unique(np.concatenate(times))
    if in_turn or len(falls) >= max(_FALLS, _FALLS_RATIO * len(every)):
        nothing = np.array([])
        return Scrapes(every, nothing, nothing, nothing, started, in_turn=True)
    return Scrapes(
        times=every,
        restarts=np.union1d(told, np.array(inferred)),
        inferred=np.array(inferred),
        falls=np.array(falls),
        started=started,
    )


def _told(starts: Series, drops: Sequence[tuple[float, float]]) -> tuple[Array, bool]:
    """The first scrape of each new process, by what starts say; whether some answer in turn."""
    times, moved = starts.times, np.diff(starts.values)
    if not moved.any():
        return np.array([]), False
    far = np.abs(moved) > SAME_START_SECONDS
    dropped = np.zeros(len(moved), dtype=bool)
    for before, at in drops:
        first, last = np.searchsorted(times[1:], (before, at), side="right")
        dropped[first:last] = True
    later = starts.values[1:] - times[:-1]  # than the scrape before
    sane = (later > 0) & (starts.values[1:] <= times[1:] + _CLOCK_SECONDS)
    anew = far & (moved > 0) & (sane | (dropped & (later > -_CLOCK_SECONDS)))
    swapped = (moved != 0) & ~anew & dropped
    swaps, near = int((swapped & far).sum()), int((swapped & ~far).sum())
    returns = _returns(starts)
    # Who answers in turn is an older process at times; a clock that is behind only says so later.
    back = bool((far & (moved < 0)).any())
    in_turn = (swaps >= _SWAPS and back) or near >= _NEAR_SWAPS or (swaps > 0 and returns > 0)
    return times[1:][anew], in_turn or turns(starts)


def turns(starts: Series | None) -> bool:
    """Whether starts alone tell that processes answer in turn: they come back, again and again."""
    if starts is None:
        return False
    return _returns(starts) >= max(_RETURNS, _RETURNS_RATIO * len(starts.times))


def _returns(starts: Series) -> int:
    """How often a start was one of before again, after one that is another process's."""
    values = starts.values
    far = np.abs(np.diff(values)) > SAME_START_SECONDS
    if not far.any():
        return 0
    _, first, which = np.unique(np.round(values, 1), return_index=True, return_inverse=True)
    return int(np.count_nonzero(far & (first[which[1:]] < np.arange(1, len(values)))))


def previous(values: Array) -> NDArray[np.int64]:
    """For each cell of a table, the column of the value before it in its row; -1 for the first."""
    columns = np.where(np.isnan(values), -1, np.arange(values.shape[1]))
    found = np.full(values.shape, -1, dtype=np.int64)
    found[:, 1:] = np.maximum.accumulate(columns, axis=1)[:, :-1]
    return found


def _drops(found: Sequence[Counters]) -> list[tuple[float, float]]:
    """The times between which values dropped, in the order of the later one."""
    drops: set[tuple[float, float]] = set()
    for counters in found:
        before = previous(counters.values)
        base = np.take_along_axis(counters.values, np.maximum(before, 0), axis=1)
        rows, columns = np.nonzero((before >= 0) & (counters.values < base))
        starts = counters.times[before[rows, columns]].tolist()
        drops.update(zip(starts, counters.times[columns].tolist(), strict=True))
    return sorted(drops, key=lambda drop: (drop[1], drop[0]))


def increase(counters: Counters, scrapes: Scrapes, polls: Polls) -> Increase:
    """Increments of counters in each poll; whole numbers for counters of whole numbers."""
    times, values, size = counters.times, counters.values, len(polls.epoch)
    if scrapes.in_turn:
        return Increase(np.zeros((len(values), size)), 0.0, 0.0, 0.0)
    row, column = np.nonzero(~np.isnan(values))
    before = previous(values)[row, column]
    value, first = values[row, column], before < 0

    anew = first | _between(scrapes.restarts, times, before, column)
    fell = ~anew & _between(scrapes.falls, times, before, column)
    base = np.where(anew, 0.0, np.where(fell, value, values[row, np.maximum(before, 0)]))
    begin = np.where(anew, _scrape_before(scrapes, times)[column], times[before])

    poll = _interval(polls, times, "left")[column]
    epoch = _epoch(polls, poll)
    inside = (epoch == _epoch(polls, _interval(polls, begin, "right"))) & (epoch != LEFT_OUT)
    unknown = np.isnan(begin)

    # A stretch: samples of one series in one poll that follow each other and are treated alike.
    differs = anew | fell
    for key in (row, poll, inside, unknown):
        differs[1:] |= key[1:] != key[:-1]
    differs[:1] = True
    starts = np.flatnonzero(differs)
    ends = np.append(starts[1:], len(row)) - 1
    amount = value[ends] - base[starts]
    counted, lost = inside[starts], ~inside[starts] & (poll[starts] >= 0) & (poll[starts] < size)
    cell = (row * size + poll)[starts][counted]
    by_poll = np.bincount(cell, amount[counted], len(values) * size).astype(np.float64)
    doubted = inside & ~first & _between(scrapes.inferred, times, before, column)
    return Increase(
        by_poll=by_poll.reshape(len(values), size),
        left_out=float(amount[lost & ~unknown[starts]].sum()),
        unseen=float(amount[lost & unknown[starts]].sum()),
        doubtful=float(value[doubted].sum()),
    )


def _between(
    events: Array, times: Array, before: NDArray[np.int64], column: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether an event lies after the scrape `before` and not after the scrape `column`."""
    upto = np.searchsorted(events, times, side="right")
    return np.asarray((before >= 0) & (upto[column] > upto[before]))


def _scrape_before(scrapes: Scrapes, times: Array) -> Array:
    """The scrape of the target before each time; NaN where nobody knows of one."""
    before = np.searchsorted(scrapes.times, times, side="left") - 1
    found = np.where(before >= 0, scrapes.times[np.maximum(before, 0)], np.nan)
    if scrapes.started is not None:
        found[(before < 0) & (times >= scrapes.started)] = scrapes.started
    return found


def _interval(polls: Polls, times: Array, side: str) -> NDArray[np.int64]:
    """Index of the poll of each time; -1 or len(polls) outside of the grid, or for NaN."""
    found = np.searchsorted(polls.edges, times, side=side) - 1  # type: ignore[call-overload]
    return np.asarray(found, dtype=np.int64)


def _epoch(polls: Polls, interval: NDArray[np.int64]) -> NDArray[np.int64]:
    padded = np.concatenate((polls.epoch, [LEFT_OUT]))
    outside = (interval < 0) | (interval >= len(polls.epoch))
    return padded[np.where(outside, len(polls.epoch), interval)]
