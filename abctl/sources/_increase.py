"""Exact increments of counters from raw samples (pure).

What a counter did between two scrapes is the difference of its values, or, where its process
restarted, its new value. Nothing is extrapolated: `rate()` and `increase()` are not used.

- Reset: a value that dropped, or a process that started anew. All series of a target restart
  together, so one that dropped tells of those that had already overtaken their old value.
- Birth: a series that was absent from an earlier scrape of its target stood at zero then. With no
  earlier scrape it counts from the start of its process, where that is known; else from its first
  sample on, and what it held by then is reported as `unseen`.
- An increment that began outside of the window in which it ended is left out, and reported.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abctl.core.polls import LEFT_OUT, Polls
from abctl.errors import SourceError
from abctl.sources import Series

# Some clients compute the start of their process anew at each scrape, to the second.
_SAME_START_SECONDS = 2.0


@dataclass(frozen=True, eq=False)
class Scrapes:
    """What the samples of one target tell about it.

    Attributes:
        times: of every scrape, ascending.
        restarts: times of the first scrape after each restart, ascending.
        started: when the process of the first scrape began; None where unknown.
    """

    times: NDArray[np.float64]
    restarts: NDArray[np.float64]
    started: float | None


@dataclass(frozen=True, eq=False)
class Increase:
    """Increments of one counter.

    Attributes:
        by_poll: shape (polls,); zero in intervals that are left out.
        left_out: sum of the increments that were seen, but not within one window.
        unseen: what the counter held at its first sample, if nobody knows since when.
    """

    by_poll: NDArray[np.float64]
    left_out: float
    unseen: float


def scrapes_of(counters: Sequence[Series], starts: Series | None = None) -> Scrapes:
    """When a target was scraped and when it restarted.

    Args:
        counters: series of this one target, at least one.
        starts: its `process_start_time_seconds`, if it has one.
    """
    times = np.unique(np.concatenate([s.times for s in counters]))
    restarts = [s.times[1:][np.diff(s.values) < 0] for s in counters]
    started = None
    if starts is not None and len(starts.times):
        times = np.union1d(times, starts.times)
        restarts.append(starts.times[1:][np.abs(np.diff(starts.values)) > _SAME_START_SECONDS])
        started = float(starts.values[0])
    return Scrapes(times, np.unique(np.concatenate(restarts)), started)


def increase(series: Series, scrapes: Scrapes, polls: Polls) -> Increase:
    """Increments of a counter in each poll; whole numbers for a counter of whole numbers.

    Raises:
        SourceError: a value that is negative or not a number, or times that do not ascend.
    """
    times, values = series.times, series.values
    if not len(times):
        return Increase(np.zeros(len(polls.epoch)), 0.0, 0.0)
    _check(series)
    before = np.searchsorted(scrapes.times, times, side="left") - 1
    last_scrape = np.where(before >= 0, scrapes.times[np.maximum(before, 0)], np.nan)
    if before[0] < 0 and scrapes.started is not None and scrapes.started <= times[0]:
        last_scrape[0] = scrapes.started

    anew = np.diff(np.searchsorted(scrapes.restarts, times, side="right"), prepend=0) > 0
    anew[0] = True
    amount = np.where(anew, values, np.diff(values, prepend=0.0))
    begin = np.where(anew, last_scrape, np.concatenate(([np.nan], times[:-1])))

    ends_in = _interval(polls, times, side="left")
    inside = (_epoch(polls, ends_in) == _epoch(polls, _interval(polls, begin, side="right"))) & (
        _epoch(polls, ends_in) != LEFT_OUT
    )
    by_poll = np.zeros(len(polls.epoch))
    np.add.at(by_poll, ends_in[inside], amount[inside])
    unknown = np.isnan(begin)
    lost = ~inside & (times > polls.edges[0]) & (times <= polls.edges[-1])
    left_out, unseen = amount[lost & ~unknown].sum(), amount[lost & unknown].sum()
    return Increase(by_poll, float(left_out), float(unseen))


def _interval(polls: Polls, times: NDArray[np.float64], side: str) -> NDArray[np.int64]:
    """Index of the poll of each time; -1 or len(polls) outside of the grid, or for NaN."""
    found = np.searchsorted(polls.edges, times, side=side) - 1  # type: ignore[call-overload]
    return np.asarray(found, dtype=np.int64)


def _epoch(polls: Polls, interval: NDArray[np.int64]) -> NDArray[np.int64]:
    padded = np.concatenate((polls.epoch, [LEFT_OUT]))
    outside = (interval < 0) | (interval >= len(polls.epoch))
    return padded[np.where(outside, len(polls.epoch), interval)]


def _check(series: Series) -> None:
    name = series.labels.get("__name__", "a counter")
    if not np.all(np.isfinite(series.values)) or np.any(series.values < 0):
        bad = series.values[~(np.isfinite(series.values) & (series.values >= 0))][0]
        raise SourceError(
            f"{name}{dict(series.labels)}: value {bad:g}, a counter is finite and not negative",
            "check that the selector names a counter (..._total, ..._count, ..._bucket)",
        )
    if np.any(np.diff(series.times) <= 0):
        raise SourceError(f"{name}{dict(series.labels)}: samples are not in the order of time")
