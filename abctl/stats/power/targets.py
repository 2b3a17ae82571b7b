"""What sizes of rates and of quantiles follow from, as `sizes` has it for proportions and means."""

import math

from scipy.special import ndtri

from abctl.stats.power.sizes import Target
from abctl.stats.summary import SummaryError


def rates(control: float, effect: float) -> Target:
    """A difference of two Poisson rates; units are those of the exposure (requests, hours).

    >>> from abctl.stats.power.sizes import sample_size
    >>> sample_size(rates(control=0.02, effect=0.005))  # (1.96 + 0.84)^2 (0.02 + 0.025) / 0.005^2
    (14128, 14128)
    """
    treatment = control + effect
    if not (control > 0 and treatment >= 0):
        raise SummaryError(f"rates {control:g} and {treatment:g}, must be over 0")
    return Target(effect, (control, treatment))


def rate_margin(baseline: float, harm: float) -> Target:
    """That a treatment which changes nothing is not worse by `harm`, for rates (one-sided)."""
    worse = baseline + harm
    if not (baseline > 0 and worse > 0):
        raise SummaryError(f"rates {baseline:g} and {worse:g}, must be over 0")
    return Target(harm, (baseline, baseline), null_variances=(baseline, worse))


def quantiles(control: float, effect: float, quantile: float, log_sd: float) -> Target:
    """A difference of two quantiles of values whose logarithms are about normal, as latencies are.

    The variance of a quantile Q of n values is q (1 - q) / (n f^2), with f their density at Q.

    >>> from abctl.stats.power.sizes import sample_size
    >>> sample_size(quantiles(control=0.2, effect=0.02, quantile=0.95, log_sd=0.5))
    (1937, 1937)

    Args:
        control: its quantile, over 0.
        effect: treatment minus control.
        quantile: which, in (0, 1).
        log_sd: standard deviation of the logarithm of a value; of both variants.

    Source: Mood, Graybill & Boes (1974), Introduction to the Theory of Statistics, VI 5.3.
    """
    treatment = control + effect
    if not (control > 0 and treatment > 0):
        raise SummaryError(f"quantiles {control:g} and {treatment:g}, must be over 0")
    if not (0 < quantile < 1 and 0 < log_sd < math.inf):
        raise SummaryError(f"quantile {quantile:g} must be in (0, 1), a log sd {log_sd:g} over 0")
    height = math.exp(-0.5 * float(ndtri(quantile)) ** 2) / math.sqrt(2 * math.pi)
    relative = quantile * (1 - quantile) * (log_sd / height) ** 2
    return Target(effect, (relative * control**2, relative * treatment**2))


def quantile_margin(baseline: float, harm: float, quantile: float, log_sd: float) -> Target:
    """That a treatment which changes nothing is not worse by `harm`, for quantiles (one-sided)."""
    null = quantiles(baseline, harm, quantile, log_sd).variances
    return Target(harm, (null[0], null[0]), null_variances=null)


def pairs(effect: float, differ: float) -> Target:
    """A difference of two shares on the same requests; a unit is a pair of answers.

    >>> from abctl.stats.power.sizes import proportions, sample_size
    >>> sample_size(pairs(effect=0.01, differ=0.03))[0]  # (1.96 * 0.173 + 0.84 * 0.173)^2 / 0.01^2
    2353
    >>> sample_size(proportions(control=0.93, effect=0.01))[0]  # of each variant
    9540

    Where both are right, or neither is, nothing differs, so the variance of a pair is the share of
    the others, less the square of the effect.

    Args:
        effect: treatment minus control.
        differ: the share of pairs in which one variant alone is right, at least that of the effect.

    Source: Connor (1987), doi:10.2307/2531961; Miettinen (1968), doi:10.2307/2528271.
    """
    if not abs(effect) <= differ <= 1.0:
        raise SummaryError(f"an effect of {effect:g}, where {differ:g} of the pairs differ")
    return Target(effect, (0.0, differ - effect * effect), null_variances=(0.0, differ))
