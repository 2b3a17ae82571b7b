"""Group sequential tests: the bounds of each look, and the probabilities to cross them.

The bounds: a planned share of alpha is spent at the information actually reached. Any number of
looks, at any information; neither has to be planned. Under H0 the probability to
cross the first k bounds is what the spending function allows at the information of look k.

Source: Lan & DeMets (1983), Biometrika 70:659, which gives both spending functions.

The probabilities are those of the score process of a trial that is looked at again and again. At
information I the score is S ~ N(drift * I, I), with independent increments; a look stops the
trial outside of (lower, upper). The density of the trials that go on is carried from look to look
by numerical integration (Armitage, McPherson & Rowe, 1969), on Gauss-Legendre panels no wider than
the increments' standard deviation, and only where the kernel is not negligible.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from abctl.stats.summary import Array, SummaryError

_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(5)
_PANEL = 2.0  # in standard deviations of an increment
_TAIL = 9.0  # standard deviations of the score beyond which nothing is integrated
_KERNEL = 7.0  # standard deviations of the increment beyond which nothing comes from
_MIN_STEP = 1e-6
Spending = Literal["obrien-fleming", "pocock"]
# What every look may spend at least, so that no bound is further out than z = 8.
_LEAST = 1e-15


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
    """Trials that have not stopped: nodes of the score, their weights times density.

    >>> start = Ongoing(score=np.zeros(1), mass=np.ones(1))
    >>> round(start.above(1.96, shift=0.0, sd=1.0), 4)
    0.025
    """

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
    """Follows the score from look to look; each look has limits outside of which trials stop.

    >>> process = Process(information=np.array([1.0, 2.0]))
    >>> round(process.above(1.96), 4)
    0.025
    >>> process.stop_outside(-1.96, 1.96)
    >>> round(process.above(1.96 * math.sqrt(2)), 4)  # and has not stopped at the first look
    0.0166
    """

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
    """Probabilities to stop below `lower` and above `upper` (scores) at each look.

    >>> information, limit = np.array([1.0, 2.0]), 1.96 * np.sqrt([1.0, 2.0])
    >>> below, above = crossing(information, -limit, limit)
    >>> round(float(np.sum(below + above)), 3)  # type I error of two looks at 5% each
    0.083
    """
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


@dataclass(frozen=True, eq=False)
class Bounds:
    """Bounds of each look, all arrays of shape (looks,).

    >>> found = bounds([0.5, 1.0])
    >>> found.nominal_p.round(4), found.spent.round(4)
    (array([0.0031, 0.049 ]), array([0.0031, 0.05  ]))

    Attributes:
        information: as a fraction of the planned maximum.
        z: reject where the z statistic reaches it (its absolute value where two-sided).
        nominal_p: the same bound for the ordinary p-value of that look.
        spent: type I error used up to and including the look.
    """

    information: Array
    z: Array
    nominal_p: Array
    spent: Array


def spend(information: ArrayLike, alpha: float, spending: Spending = "obrien-fleming") -> Array:
    """Type I error that may be used up to a fraction of the information; all of it from 1 on.

    >>> spend([0.5, 1.0], alpha=0.025).round(4)
    array([0.0015, 0.025 ])

    Raises:
        SummaryError: a spending function of another name.
    """
    if spending not in get_args(Spending):
        raise SummaryError(f"spending {spending!r}, must be one of {', '.join(get_args(Spending))}")
    t = np.clip(np.asarray(information, dtype=np.float64), 0.0, 1.0)
    if spending == "pocock":
        return np.asarray(alpha * np.log1p((math.e - 1) * t), dtype=np.float64)
    with np.errstate(divide="ignore"):
        return np.asarray(2 * ndtr(ndtri(alpha / 2) / np.sqrt(t)), dtype=np.float64)


def bounds(
    information: ArrayLike,
    alpha: float = 0.05,
    spending: Spending = "obrien-fleming",
    *,
    two_sided: bool = True,
) -> Bounds:
    """Bounds at the given looks; two-sided, each side spends alpha / 2.

    >>> bounds([0.5, 1.0]).z.round(3)
    array([2.963, 1.969])

    Args:
        information: of each look, as a fraction of the planned maximum; above 1 where the trial
            ran over, which spends what is left.
        alpha: type I error over all looks together.
        spending: how it is spent: hardly early (O'Brien-Fleming) or evenly (Pocock).
        two_sided: whether both signs count.

    Raises:
        SummaryError: looks without new information, an alpha outside of (0, 1), or a spending
            function of another name.
    """
    if not 0 < alpha < 1:
        raise SummaryError(f"alpha {alpha}, must be in (0, 1)")
    info = checked_information(np.asarray(information, dtype=np.float64))
    sides = 2 if two_sided else 1
    allowed = spend(info, alpha / sides, spending)
    process, limits = Process(info), list[float]()
    for budget, at in zip(np.diff(allowed, prepend=0.0), info, strict=True):
        limit = _limit(process, max(budget, _LEAST), math.sqrt(at), limits[-1:])
        limits.append(limit)
        process.stop_outside(-limit if two_sided else -math.inf, limit)
    z = np.array(limits) / np.sqrt(info)
    return Bounds(info, z, sides * ndtr(-z), sides * allowed)


def _limit(process: Process, budget: float, scale: float, before: list[float]) -> float:
    """The score that the next look exceeds with the probability `budget`.

    Newton's method on the logarithm, which is concave there, kept inside a shrinking bracket.
    """
    low, high = -12 * scale, 12 * scale
    limit = before[0] if before else -scale * float(ndtri(budget))
    for _ in range(60):
        above = process.above(limit)
        error = math.log(above / budget) if above > 0 else -math.inf
        if abs(error) < 1e-10:
            break
        low, high = (limit, high) if error > 0 else (low, limit)
        slope = process.density(limit)
        newton = limit + error * above / slope if above > 0 and slope > 0 else math.inf
        limit = newton if low < newton < high else (low + high) / 2
    return limit
