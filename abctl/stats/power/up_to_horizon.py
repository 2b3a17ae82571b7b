"""What a test costs that may be looked at at any time up to a planned information."""

import math
from functools import lru_cache

import numpy as np
from scipy.special import ndtri

from abctl.stats.power.group_sequential import crossing
from abctl.stats.sequential.horizon import EVER_SHARE, SHAPE, allowance, limit

# About as many polls as an experiment has; more or fewer change it by less than 0.01.
_LOOKS = 100


def planned_power(power: float, alpha: float) -> float:
    """The power that is planned for; where it is not over alpha, the one halfway to 1.

    >>> planned_power(0.8, alpha=0.05), planned_power(0.3, alpha=0.4)
    (0.8, 0.7)

    Such a power is no plan, but a file may say so.
    """
    return power if power > alpha else 0.5 * (1.0 + alpha)


def planned_information(alpha: float, power: float = 0.8, *, one_sided: bool) -> float:
    """Planned information times the square of the effect, such as `Plan.horizon`.

    >>> round(planned_information(0.05, one_sided=True), 2)  # 6.18 with one look
    6.9
    """
    power = planned_power(power, alpha)
    once = float(ndtri(power) - ndtri(alpha if one_sided else alpha / 2.0)) ** 2
    return once * cost_of_horizon(alpha, power, one_sided=one_sided)[0]


@lru_cache(maxsize=64)
def cost_of_horizon(
    alpha: float = 0.05, power: float = 0.8, *, one_sided: bool = False
) -> tuple[float, float]:
    """Largest and expected number of units, as multiples of the fixed test's.

    >>> [round(times, 2) for times in cost_of_horizon()]
    [1.09, 0.76]

    The largest is what the planned information has: it gives the wanted power. The effect is as
    planned. The score of the effect is a Brownian motion with drift; it is followed through 100
    evenly spaced looks by numerical integration (see `group_sequential`). What the e-process beside
    the boundary finds earlier is left out: it is next to nothing.
    """
    sides = 1.0 if one_sided else 2.0
    once = -float(ndtri(alpha / sides)) + float(ndtri(power))
    reached = np.arange(1, _LOOKS + 1) / _LOOKS
    x = limit(alpha * (1.0 - EVER_SHARE) / sides)
    upper = (x - allowance(reached, x)) * reached**SHAPE
    lower = np.full_like(upper, -math.inf)
    drift, missing = once, 1.0
    # In normal quantiles power grows about as the drift does.
    while abs(missing) > 1e-4:
        _, above = crossing(reached, lower, upper, drift=drift)
        found = np.cumsum(above)
        missing = float(ndtri(power) - ndtri(found[-1]))
        drift += missing
    largest = (drift / once) ** 2
    going_on = 1.0 - np.append(0.0, found[:-1])
    return largest, largest * float(going_on.sum()) / _LOOKS
