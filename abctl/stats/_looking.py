"""What it costs to look more than once: units of a test that does, against the fixed one."""

import math
from functools import lru_cache

import numpy as np
from scipy.special import ndtri

from abctl.stats._brownian import crossing
from abctl.stats._mixture import log_e_value
from abctl.stats.estimate import Plan
from abctl.stats.group_sequential import Spending, bounds
from abctl.stats.summary import Array

_LOOKS = 200


@lru_cache(maxsize=64)
def cost_of_looking(
    alpha: float = 0.05, power: float = 0.8, *, one_sided: bool = False
) -> tuple[float, float]:
    """Largest and expected number of units, as multiples of the fixed test's.

    The effect is as planned. The largest number gives the wanted power; an experiment that stops
    when it has its answer needs the expected one on average, though it may need the largest.

    The score of the effect is a Brownian motion with drift (any of the sequential methods, with
    many units); it is followed through 200 evenly spaced looks by numerical integration. More looks
    take a little less: 1,000 about 3%.
    """
    plan = Plan(alpha=alpha, alternative="greater" if one_sided else "two-sided")
    fixed = float(ndtri(alpha if one_sided else alpha / 2) - ndtri(power)) ** 2
    times = 2.0
    while True:
        information = np.linspace(0, times * fixed, _LOOKS + 1)[1:]
        upper = _edge(information, plan)
        lower = np.full_like(upper, -math.inf) if one_sided else -upper
        below, above = crossing(information, lower, upper, drift=1.0)
        found = np.cumsum(below + above)
        if found[-1] > power:
            break
        times *= 1.5
    largest = float(np.interp(power, found, information))
    looks = np.append(information[found < power], largest)
    going_on = 1 - np.append(0.0, found[found < power])
    expected = float(np.sum(np.diff(looks, prepend=0.0) * going_on))
    return largest / fixed, expected / fixed


@lru_cache(maxsize=64)
def cost_of_groups(
    alpha: float = 0.05,
    power: float = 0.8,
    *,
    one_sided: bool = False,
    looks: int = 5,
    spending: Spending = "obrien-fleming",
) -> tuple[float, float]:
    """The same for a few planned looks, evenly spaced, with the bounds of `group_sequential`."""
    share = np.arange(1, looks + 1) / looks
    z = bounds(share, alpha, spending, two_sided=not one_sided).z
    fixed = float(ndtri(alpha if one_sided else alpha / 2) - ndtri(power)) ** 2
    low, high = 1.0, 3.0
    for _ in range(40):
        largest = (low + high) / 2
        information = share * largest * fixed
        upper = z * np.sqrt(information)
        lower = np.full_like(upper, -math.inf) if one_sided else -upper
        below, above = crossing(information, lower, upper, drift=1.0)
        stops = below + above
        low, high = (largest, high) if stops.sum() < power else (low, largest)
    expected = float(stops @ share + 1.0 - stops.sum()) * largest
    return largest, expected


def _edge(information: Array, plan: Plan) -> Array:
    """The score at which the e-value is 1 / alpha, when the planned effect is 1."""
    low, high = np.zeros_like(information), 20 + 2 * information - 4 * math.log(plan.alpha)
    for _ in range(50):
        middle = (low + high) / 2
        over = log_e_value(middle, information, np.ones_like(middle), plan) > -math.log(plan.alpha)
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    return high
