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
