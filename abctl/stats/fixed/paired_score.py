"""The score test of two shares on the same requests, and its inversion.

The variance under a null is that of the likeliest shares of the four kinds of pairs there: for a
difference that is Tango's test, for a ratio that of Nam and Blackwelder, and for "no difference"
McNemar's chi-squared.

Sources: Tango (1998), doi:10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B; Nam &
Blackwelder (2002), doi:10.1002/sim.1052; McNemar (1947), doi:10.1007/BF02295996.
"""

import math
from collections.abc import Callable

import numpy as np

from abctl.stats.fixed.contrast import Interval
from abctl.stats.fixed.reference import crossing
from abctl.stats.summary import Array

_SMALLEST = 1e-9


def statistic(cells: Array, ratio: Array, offset: Array) -> Array:
    """The standardized distance from each null.

    >>> pairs = np.array([900.0, 30.0, 15.0, 55.0])
    >>> statistic(pairs, np.ones(2), np.array([0.0, 0.01])).round(4)  # (30 - 15) / sqrt(30 + 15)
    array([2.2361, 0.7554])

    Args:
        cells: pairs in which both are right, the treatment alone, the control alone, and neither.
        ratio: of the nulls treatment = ratio * control + offset, shape (nulls,).
        offset: the same; 0 where the ratio is not 1.
    """
    n = float(cells.sum())
    both, treatment, control, neither = (float(each) / n for each in cells)
    b, a = both + treatment, both + control
    # Pairs in which the control alone is right, under the null: roots of quadratics.
    half = -(treatment + control) + (2.0 - treatment + control) * offset
    root = np.sqrt(np.maximum(half * half + 8.0 * control * offset * (1.0 - offset), 0.0))
    alone = 0.25 * (root - half)
    of_difference = 2.0 * alone + offset * (1.0 - offset)
    square = ratio * ratio
    root = np.sqrt((b - square * a) ** 2 + 4.0 * square * treatment * control)
    alone = (-b + square * (a + 2.0 * treatment) + root) / (2.0 * ratio * (ratio + 1.0))
    other = ratio * alone - (ratio - 1.0) * (1.0 - neither)
    of_ratio = ratio * (alone + other)
    variance = np.where(ratio == 1.0, of_difference, of_ratio)
    some = variance > _SMALLEST**2
    distance = b - ratio * a - offset
    return np.asarray(np.where(some, distance / np.sqrt(np.where(some, variance, 1.0) / n), 0.0))


def differences(cells: Array, crit: float) -> Interval:
    """Differences that `crit` standard errors do not exclude.

    >>> [round(end, 4) for end in differences(np.array([900.0, 30.0, 15.0, 55.0]), 1.96)]
    [0.0019, 0.0291]
    """
    effect = float(cells[1] - cells[2]) / float(cells.sum())

    def z(offset: Array) -> Array:
        return statistic(cells, np.ones_like(offset), offset)

    return _ends(z, effect, (_SMALLEST - 1.0, 1.0 - _SMALLEST), crit)


def lifts(cells: Array, crit: float) -> Interval:
    """Lifts that `crit` standard errors do not exclude."""
    # Ratios are looked for on the scale of their logarithm.
    a, b = float(cells[0] + cells[2]), float(cells[0] + cells[1])

    def z(log_ratio: Array) -> Array:
        return statistic(cells, np.exp(log_ratio), np.zeros_like(log_ratio))

    furthest = math.log(cells.sum()) + 8.0
    low, high = _ends(z, math.log(b / a) if b else -furthest, (-furthest, furthest), crit)
    most = math.inf if high >= furthest else math.expm1(high)
    return (-1.0 if low <= -furthest else math.expm1(low)), most


def _ends(z: Callable[[Array], Array], middle: float, furthest: Interval, crit: float) -> Interval:
    """Nulls that are `crit` away from what was seen; z decreases in them."""
    low = crossing(lambda null: z(null) - crit, furthest[0], middle)
    return low, crossing(lambda null: z(null) + crit, middle, furthest[1])
