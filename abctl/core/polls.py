"""Time, cut into polls: the grid on which counters become increments.

A window is the part of an epoch that counts (its settling time is left out). Polls never cross a
window, so no increment mixes two splits.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEFT_OUT = -1
_EVEN_POLLS = 2_000
_HAIR = 1e-6


@dataclass(frozen=True)
class Window:
    """The seconds [start, end] of one epoch that count as evidence."""

    epoch: int
    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.start


@dataclass(frozen=True, eq=False)
class Polls:
    """Consecutive intervals (edges[i], edges[i+1]].

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

    def without_edges_after(self, blind: NDArray[np.bool_]) -> "Polls":
        """Merge every blind interval with the next one of its window (the last has none)."""
        same = self.epoch[:-1] == self.epoch[1:]
        keep = np.concatenate(([True], ~(blind[:-1] & same), [True]))
        return Polls(self.edges[keep], self.epoch[keep[1:]])


def cut(windows: Sequence[Window], step_seconds: float) -> Polls:
    """Cut each window into polls of `step_seconds`, and later ones in proportion to their age.

    Where an edge lies depends on when the windows before it began, never on when the last one ends:
    whoever looks again finds the polls of the last look and some more. A sequential test goes on
    where it was, and what it has proven stays proven.

    No poll is longer than it has to be for a bounded number of them: 30 days at a step of 30
    seconds are 9,600 polls, the last of them 22 minutes long.
    """
    edges: list[NDArray[np.float64]] = []
    epochs: list[int] = []
    for window in windows:
        if edges and window.start == edges[-1][-1]:
            edges[-1] = edges[-1][:-1]
        elif edges:
            epochs.append(LEFT_OUT)
        edges.append(_edges(window, windows[0].start, step_seconds))
        epochs += [window.epoch] * (len(edges[-1]) - 1)
    return Polls(np.concatenate(edges), np.array(epochs, dtype=np.int64))


def _edges(window: Window, first: float, step: float) -> NDArray[np.float64]:
    """Even until the window is as old as so many even polls, then each longer than the last."""
    start, end = window.start - first, window.end - first
    even = max(0, int(np.ceil(_EVEN_POLLS - start / step)))
    shown = min(even, int(np.ceil(window.seconds / step)))
    edges = start + step * np.arange(shown + 1)
    growth = np.log1p(1 / _EVEN_POLLS)
    grown = max(0, int(np.ceil(np.log(end / edges[-1]) / growth))) if shown == even else 0
    edges = np.concatenate((edges, edges[-1] * np.exp(growth * np.arange(1, grown + 1))))
    inside = edges < end - _HAIR * step
    return np.concatenate((first + edges[inside], [window.end]))


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
