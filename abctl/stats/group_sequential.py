"""Group sequential bounds: a planned share of alpha is spent at the information actually reached.

Any number of looks, at any information; neither has to be planned. Under H0 the probability to
cross the first k bounds is what the spending function allows at the information of look k.

Source: Lan & DeMets (1983), Biometrika 70:659, which gives both spending functions.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from abctl.stats._brownian import Process, checked_information
from abctl.stats.summary import Array, SummaryError

Spending = Literal["obrien-fleming", "pocock"]

# What every look may spend at least, so that no bound is further out than z = 8.
_LEAST = 1e-15


@dataclass(frozen=True, eq=False)
class Bounds:
    """Bounds of each look, all arrays of shape (looks,).

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
    """Type I error that may be used up to a fraction of the information; all of it from 1 on."""
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

    Args:
        information: of each look, as a fraction of the planned maximum; above 1 where the trial
            ran over, which spends what is left.
        alpha: type I error over all looks together.
        spending: how it is spent: hardly early (O'Brien-Fleming) or evenly (Pocock).
        two_sided: whether both signs count.

    Raises:
        SummaryError: looks without new information, or an alpha outside of (0, 1).
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
