"""The score process of a trial, looked at again and again: densities and crossing probabilities.

At information I the score is S ~ N(drift * I, I), with independent increments; a look stops the
trial outside of (lower, upper). The density of the trials that go on is carried from look to look
by numerical integration (Armitage, McPherson & Rowe, 1969), on Gauss-Legendre panels no wider than
the increments' standard deviation, and only where the kernel is not negligible.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.special import ndtr

from abctl.stats.summary import Array, SummaryError

_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(5)
_PANEL = 2.0  # in standard deviations of an increment
_TAIL = 9.0  # standard deviations of the score beyond which nothing is integrated
_KERNEL = 7.0  # standard deviations of the increment beyond which nothing comes from
_MIN_STEP = 1e-6


def checked_information(information: Array) -> Array:
    """Information of each look, positive and ascending.

    Raises:
        SummaryError: no look, not ascending, or two looks too near to tell apart.
    """
    info = np.atleast_1d(np.asarray(information, dtype=np.float64))
    if info.ndim != 1 or not info.size or not np.all(np.isfinite(info)):
        raise SummaryError("the information of the looks must be a list of finite numbers")
    if np.any(np.diff(info, prepend=0.0) <= _MIN_STEP * info):
        raise SummaryError("each look must have more information than the one before, by over 1e-6")
    return info


@dataclass(frozen=True, eq=False)
class Ongoing:
    """Trials that have not stopped: nodes of the score, their weights times density."""

    score: Array
    mass: Array

    def above(self, limit: float, shift: float, sd: float) -> float:
        """Probability that the next score is above a limit."""
        return float(self.mass @ ndtr((self.score + shift - limit) / sd))

    def density(self, at: Array, shift: float, sd: float) -> Array:
        """Density of the next score."""
        centers, size = at - shift, self.score.size
        first = np.searchsorted(self.score, centers - _KERNEL * sd)
        last = np.searchsorted(self.score, centers + _KERNEL * sd)
        # Every center gets as many nodes as the one with the most, so that rows are whole windows.
        width = max(1, int((last - first).max()))
        first = np.minimum(first, size - width)
        z = (centers[:, None] - sliding_window_view(self.score, width)[first]) / sd
        kernel = np.exp(-0.5 * z * z) * sliding_window_view(self.mass, width)[first]
        return np.asarray(kernel.sum(axis=1) / (sd * math.sqrt(2 * math.pi)), dtype=np.float64)


class Process:
    """Walks through the looks; each gets its limits and hands on what goes on."""

    def __init__(self, information: Array, drift: float = 0.0) -> None:
        self.information = checked_information(information)
        self.steps = np.diff(self.information, prepend=0.0)
        self.drift = drift
        self.look = 0
        self.ongoing = Ongoing(np.zeros(1), np.ones(1))

    @property
    def shift(self) -> float:
        """Expected increment of the score up to the next look."""
        return self.drift * float(self.steps[self.look])

    @property
    def sd(self) -> float:
        """Standard deviation of that increment."""
        return math.sqrt(self.steps[self.look])

    def above(self, limit: float) -> float:
        """Probability to go on to the next look and be above a limit there."""
        return self.ongoing.above(limit, self.shift, self.sd)

    def below(self, limit: float) -> float:
        """Probability to go on to the next look and be below a limit there."""
        return Ongoing(-self.ongoing.score, self.ongoing.mass).above(-limit, -self.shift, self.sd)

    def density(self, at: float) -> float:
        """Density of the next score."""
        return float(self.ongoing.density(np.array([at]), self.shift, self.sd)[0])

    def stop_outside(self, lower: float, upper: float) -> None:
        """Take the next look: trials outside of (lower, upper) end."""
        info, sd = float(self.information[self.look]), self.sd
        center, reach = self.drift * info, _TAIL * math.sqrt(info)
        low, high = max(lower, center - reach), min(upper, center + reach)
        ahead = math.sqrt(self.steps[min(self.look + 1, self.steps.size - 1)])
        panels = max(1, math.ceil((high - low) / (_PANEL * min(sd, ahead))))
        half = (high - low) / (2 * panels)
        centers = low + half * (2 * np.arange(panels) + 1)
        nodes = (centers[:, None] + half * _POINTS).ravel()
        weights = np.tile(half * _WEIGHTS, panels)
        self.ongoing = Ongoing(nodes, weights * self.ongoing.density(nodes, self.shift, sd))
        self.look += 1


def crossing(
    information: Array, lower: Array, upper: Array, drift: float = 0.0
) -> tuple[Array, Array]:
    """Probabilities to stop below `lower` and above `upper` (scores) at each look."""
    process = Process(information, drift)
    found = []
    for low, high in zip(lower, upper, strict=True):
        found.append((process.below(low), process.above(high)))
        if high <= low:
            found += [(0.0, 0.0)] * (process.steps.size - len(found))
            break
        process.stop_outside(low, high)
    below, above = np.array(found).T
    return below, above
