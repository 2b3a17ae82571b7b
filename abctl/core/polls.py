"""Time, cut into polls: the grid on which counters become increments.

A window is the part of an epoch that counts (its settling time is left out). Polls never cross a
window, so no increment mixes two splits.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEFT_OUT = -1
EVEN_POLLS = 128
# No scrape for so many usual intervals is a gap: one or two fail at times, Prometheus itself takes
# a target for gone after five minutes without one, which at its common interval of 1 min is five.
GAP_INTERVALS = 5.0


@dataclass(frozen=True)
class Window:
    """The seconds [start, end] of one epoch that count as evidence.

    >>> Window(epoch=0, start=60.0, end=600.0).seconds
    540.0
    """

    epoch: int
    start: float
    end: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start


@dataclass(frozen=True, eq=False)
class Polls:
    """Consecutive intervals (edges[i], edges[i+1]].

    >>> polls = cut([Window(0, 0.0, 90.0), Window(1, 120.0, 180.0)], step_seconds=60.0)
    >>> polls.edges, polls.epoch  # from 90 to 120 nothing counts
    (array([  0.,  60.,  90., 120., 180.]), array([ 0,  0, -1,  1]))
    >>> polls.counted
    array([ True,  True, False,  True])

    Attributes:
        edges: shape (polls + 1,), ascending, unix seconds.
        epoch: shape (polls,), the epoch of each interval; LEFT_OUT between two windows.
    """

    edges: NDArray[np.float64]
    epoch: NDArray[np.int64]

    @property
    def counted(self) -> NDArray[np.bool_]:
        """Which intervals lie in a window."""
        return np.not_equal(self.epoch, LEFT_OUT)

    @property
    def times(self) -> NDArray[np.float64]:
        """Begin and end of each interval that counts, shape (counted, 2)."""
        return np.column_stack((self.edges[:-1], self.edges[1:]))[self.counted]

    @property
    def of_epochs(self) -> Mapping[int, int]:
        """How many of them each epoch has."""
        epochs, counts = np.unique(self.epoch, return_counts=True)
        return dict(zip(epochs.tolist(), counts.tolist(), strict=True))

    def without_edges_after(self, blind: NDArray[np.bool_]) -> "Polls":
        """Merge every blind interval with the next one of its window (the last has none)."""
        keep = np.ones(len(self.edges), dtype=bool)  # without polls there is one edge
        keep[1:-1] = ~(blind[:-1] & (self.epoch[:-1] == self.epoch[1:]))
        return Polls(self.edges[keep], self.epoch[keep[1:]])


def cut(windows: Sequence[Window], step_seconds: float) -> Polls:
    """Cut the windows at the edges of one grid that begins with the first of them.

    The first 128 polls are `step_seconds` long; with every doubling of the age of the experiment
    polls get twice as long, 64 of each length. So none is longer than 1/64 of its age, and a month
    at a step of 30 seconds is 730 polls, a year 960: their number grows with the logarithm.

    Where an edge lies depends on the begin of the first window and on the step, never on when the
    last window ends: a later look has the polls of the earlier one and some more. A sequential test
    goes on where it was, and what it has proven stays proven.

    Edges are whole milliseconds, as the times of scrapes are.
    """
    whole = [Window(w.epoch, round(w.start, 3), round(w.end, 3)) for w in windows]
    first, last = whole[0].start, whole[-1].end
    grid = _whole_ms(first + _ages(last - first, step_seconds))
    edges = [np.array([first])]
    epochs: list[int] = []
    for window in (w for w in whole if w.start < w.end):
        if window.start > edges[-1][-1]:
            edges.append(np.array([window.start]))
            epochs.append(LEFT_OUT)
        inside = grid[(grid > window.start) & (grid < window.end)]
        edges += [inside, np.array([window.end])]
        epochs += [window.epoch] * (len(inside) + 1)
    return Polls(np.concatenate(edges), np.array(epochs, dtype=np.int64))


def _ages(until: float, step: float) -> NDArray[np.float64]:
    """Ages at which the polls of an experiment end, at least up to `until`."""
    ages = step * np.arange(1.0, EVEN_POLLS + 1)
    while ages[-1] < until:
        step *= 2
        ages = np.concatenate((ages, ages[-1] + step * np.arange(1.0, EVEN_POLLS // 2 + 1)))
    return ages


def _whole_ms(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rounded so that they are the same numbers as times that were written with three decimals."""
    return np.rint(seconds * 1000.0) / 1000.0


def blind(polls: Polls, scrapes: Iterable[NDArray[np.float64]]) -> NDArray[np.bool_]:
    """Polls in which a living target was not scraped, so that its increments came later.

    Args:
        polls: the grid.
        scrapes: for each target, the times of its scrapes, ascending, at least one.
    """
    found = np.zeros(len(polls.epoch), dtype=bool)
    for times in scrapes:
        empty = np.diff(np.searchsorted(times, polls.edges, side="right")) == 0
        alive = (polls.edges[1:] > times[0]) & (polls.edges[1:] < times[-1])
        found |= empty & alive
    return found


def interval_seconds(times: NDArray[np.float64]) -> float:
    """The usual time between two scrapes of a target (their median); 0 where there is none."""
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0


def uncovered_seconds(
    window: Window, times: NDArray[np.float64], allowance_seconds: float
) -> float:
    """Seconds of a window that lie in gaps between scrapes longer than the allowance."""
    inside = times[(times > window.start) & (times < window.end)]
    gaps = np.diff(np.concatenate(([window.start], inside, [window.end])))
    return float(gaps[gaps > allowance_seconds].sum())
