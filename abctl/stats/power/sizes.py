"""Sample size, power and smallest detectable effect, and what repeated looks cost.

Everything follows from an effect and the variance of one unit in each variant (`Target`); normal
approximations throughout. Power is the probability to find the effect with its own sign.

The often-quoted "15,000 users a group for a 2% effect at 5%" is wrong in every reading: two points
(5% to 7%) need 2,213 a group, a relative 2% (5% to 5.1%) needs 752,703 (alpha 0.05 two-sided, power
0.8). 14,913 is what the one-sample formula gives for half a point.

The cost of looking is the number of units of a sequential test over that of the fixed one.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import ndtr, ndtri

from abctl.stats.estimate import Plan
from abctl.stats.power.group_sequential import Spending, bounds, crossing
from abctl.stats.sequential.mixture import log_e_value
from abctl.stats.summary import Array, SummaryError

_LOOKS = 200


@lru_cache(maxsize=64)
def cost_of_looking(
    alpha: float = 0.05, power: float = 0.8, *, one_sided: bool = False
) -> tuple[float, float]:
    """Largest and expected number of units, as multiples of the fixed test's.

    >>> [round(times, 2) for times in cost_of_looking()]
    [1.49, 0.91]

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


__all__ = [
    "Target",
    "alpha_each",
    "best_shares",
    "cost_of_groups",
    "cost_of_looking",
    "design_effect",
    "margin",
    "means",
    "power_of",
    "proportions",
    "ratios",
    "sample_size",
    "smallest_effect",
]


@dataclass(frozen=True)
class Target:
    """The effect to be found, and the variance of a unit.

    >>> sample_size(Target(effect=0.5, variances=(4.0, 4.0)))  # 2 * 4 * (1.96 + 0.84)^2 / 0.5^2
    (252, 252)

    Attributes:
        effect: treatment minus control, not 0.
        variances: of one unit of control and of treatment.
        pooled: whether the test estimates its variance from both variants together, as if they
            were alike: the two-proportion z-test and chi-squared do.
        null_variances: what the test takes for variances under H0, if it is neither of these.
    """

    effect: float
    variances: tuple[float, float]
    pooled: bool = False
    null_variances: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.effect) or self.effect == 0:
            raise SummaryError(f"an effect of {self.effect:g} cannot be planned for")
        if min(self.variances) < 0 or max(self.variances) == 0:
            raise SummaryError("the variance of a unit must be positive")

    def deviations(self, ratio: float) -> tuple[float, float]:
        """Standard deviation of the difference, times sqrt(n_control): under H0, and as it is.

        Args:
            ratio: treatment units per control unit.
        """
        control, treatment = self.variances
        alternative = control + treatment / ratio
        if not self.pooled:
            null_control, null_treatment = self.null_variances or self.variances
            return math.sqrt(null_control + null_treatment / ratio), math.sqrt(alternative)
        # The variance of both variants thrown together: within them, and between their means.
        within = (control + ratio * treatment) / (1 + ratio)
        together = within + ratio * (self.effect / (1 + ratio)) ** 2
        return math.sqrt(together * (1 + 1 / ratio)), math.sqrt(alternative)


def proportions(control: float, effect: float, *, pooled: bool = True) -> Target:
    """A difference of two proportions.

    Source: Fleiss, Levin & Paik (2003), Statistical Methods for Rates and Proportions, 4.2; pooled
    and with equal sizes it is R's power.prop.test.
    """
    treatment = control + effect
    if not (0 <= control <= 1 and 0 <= treatment <= 1):
        raise SummaryError(f"proportions {control:g} and {treatment:g}, must be from 0 to 1")
    return Target(effect, (control * (1 - control), treatment * (1 - treatment)), pooled)


def margin(baseline: float, harm: float) -> Target:
    """That a treatment which changes nothing is not worse by `harm`, for proportions (one-sided).

    Source: Farrington & Manning (1990), doi:10.1002/sim.4780091208, with the control as it is.
    """
    worse = min(1.0, max(0.0, baseline + harm))
    same = baseline * (1 - baseline)
    return Target(harm, (same, same), null_variances=(same, worse * (1 - worse)))


def means(effect: float, sd: float, sd_treatment: float | None = None) -> Target:
    """A difference of two means, from the standard deviations of a unit."""
    return Target(effect, (sd**2, (sd if sd_treatment is None else sd_treatment) ** 2))


def ratios(
    effect: float, ratio: float, numerator_sd: float, size: tuple[float, float], correlation: float
) -> Target:
    """A difference of two ratios of sums per user (revenue per request); units are users.

    Args:
        effect: of the ratio.
        ratio: of the control: mean numerator over mean denominator.
        numerator_sd: standard deviation of a user's numerator (his revenue).
        size: mean and standard deviation of a user's denominator (his requests).
        correlation: of a user's numerator and denominator.

    Source: Deng, Knoblich & Lu (2018), arXiv:1803.06336, section 3.
    """
    mean, sd = size
    if mean <= 0 or sd < 0 or numerator_sd < 0 or not -1 <= correlation <= 1:
        raise SummaryError("users need a mean size above 0, deviations from 0, a correlation")
    shared = ratio * sd
    residual = numerator_sd**2 - 2 * correlation * numerator_sd * shared + shared**2
    return Target(effect, (residual / mean**2, residual / mean**2))


def sample_size(
    target: Target,
    alpha: float = 0.05,
    power: float = 0.8,
    *,
    ratio: float = 1.0,
    one_sided: bool = False,
    inflation: float = 1.0,
) -> tuple[int, int]:
    """Units of control and of each treatment that find the effect with the wanted power.

    >>> sample_size(proportions(control=0.05, effect=0.02))
    (2213, 2213)

    Args:
        target: what shall be found.
        alpha: error rate of this comparison (see `alpha_each` for several treatments).
        power: probability to find it, at least alpha.
        ratio: treatment units per control unit.
        one_sided: whether only the effect's own sign counts.
        inflation: by what a unit is worth less: design effect, cost of looking, or their product.
    """
    _checked(alpha, power, ratio, inflation)
    null, alternative = target.deviations(ratio)
    z_alpha, z_power = _critical(alpha, one_sided), float(ndtri(power))
    n = inflation * ((z_alpha * null + z_power * alternative) / target.effect) ** 2
    return _round_up(n), _round_up(n * ratio)


def power_of(
    target: Target,
    n_control: float,
    n_treatment: float,
    alpha: float = 0.05,
    *,
    one_sided: bool = False,
    inflation: float = 1.0,
) -> float:
    """Probability to find the effect with so many units; the inverse of `sample_size`.

    >>> round(power_of(proportions(0.05, 0.02), n_control=2213, n_treatment=2213), 3)
    0.8
    """
    ratio = n_treatment / n_control
    _checked(alpha, 0.5, ratio, inflation)
    null, alternative = target.deviations(ratio)
    reach = abs(target.effect) * math.sqrt(n_control / inflation)
    return float(ndtr((reach - _critical(alpha, one_sided) * null) / alternative))


def smallest_effect(
    target_of: Callable[[float], Target],
    largest: float,
    n: tuple[float, float],
    alpha: float = 0.05,
    power: float = 0.8,
    *,
    one_sided: bool = False,
    inflation: float = 1.0,
) -> float | None:
    """The smallest effect that so many units find with the wanted power (the MDE).

    >>> round(smallest_effect(lambda effect: proportions(0.05, effect), 0.5, (2213, 2213)), 4)
    0.02

    Args:
        target_of: the target for an effect, as `lambda effect: proportions(0.05, effect)`.
        largest: the largest effect that makes sense, of the sign that is looked for.
        n: units of control and treatment.
        alpha: error rate of this comparison.
        power: probability to find it.
        one_sided: whether only the effect's own sign counts.
        inflation: by what a unit is worth less.

    Returns:
        The effect, of the sign of `largest`; None if even the largest would not be found.
    """

    def found(effect: float) -> bool:
        target = target_of(effect)
        reached = power_of(target, *n, alpha, one_sided=one_sided, inflation=inflation)
        return reached >= power

    if not found(largest):
        return None
    low, high = 0.0, largest
    while abs(high - low) > 1e-9 * abs(high):
        middle = (low + high) / 2
        low, high = (low, middle) if found(middle) else (middle, high)
    return high


def design_effect(mean_size: float, size_cv: float, correlation: float) -> float:
    """By what the variance grows when clusters of units (a user's requests) are assigned as one.

    >>> design_effect(mean_size=10, size_cv=0.0, correlation=0.05)  # 1 + 9 * 0.05
    1.45

    Args:
        mean_size: units per cluster.
        size_cv: coefficient of variation of the clusters' sizes; 0 if all are alike.
        correlation: of two units of one cluster (intra-class).

    Source: Kish (1965) for equal sizes; Eldridge, Ashby & Kerry (2006), doi:10.1093/ije/dyl129, for
    unequal ones.
    """
    if mean_size < 1 or size_cv < 0 or not 0 <= correlation <= 1:
        raise SummaryError("clusters need a size from 1, a cv from 0 and a correlation in [0, 1]")
    return 1 + (mean_size * (1 + size_cv**2) - 1) * correlation


def alpha_each(alpha: float, treatments: int) -> float:
    """The level of one of several comparisons with the control, as Holm's first step has it."""
    return alpha / treatments


def best_shares(treatments: int) -> tuple[float, ...]:
    """Shares of control and treatments with the least variance of each comparison.

    Source: Dunnett (1955), doi:10.1080/01621459.1955.10501294: sqrt(k) control units per unit of
    each of k treatments.
    """
    control = math.sqrt(treatments)
    return tuple(part / (control + treatments) for part in (control, *[1.0] * treatments))


def _critical(alpha: float, one_sided: bool) -> float:
    return -float(ndtri(alpha if one_sided else alpha / 2))


def _checked(alpha: float, power: float, ratio: float, inflation: float) -> None:
    if not (0 < alpha < 1 and alpha <= power < 1):
        raise SummaryError(f"alpha {alpha:g} and power {power:g} must be in (0, 1), power above")
    if not (0 < ratio < math.inf and 0 < inflation < math.inf):
        raise SummaryError("ratio and inflation must be positive")


def _round_up(n: float) -> int:
    # What is a whole number but for rounding is that number.
    return math.ceil(n * (1 - 1e-12))
