"""Exact p-values, and the conditional test of two proportions, given how many succeeded in all."""

import math
from dataclasses import replace

import numpy as np
from scipy.special import gammaln

from abctl.stats._score import Strata
from abctl.stats._sequence import agreeing
from abctl.stats.estimate import Alternative, Estimate, Plan
from abctl.stats.summary import Array

# Tables as likely as the one that was seen, but for rounding.
_SAME = 1e-7


def with_exact_p(method: str, found: Estimate, plan: Plan, log_p: float) -> Estimate:
    """An estimate with an exact p-value instead of its own, and intervals that agree with it.

    Args:
        method: its name.
        found: effect and intervals.
        plan: what is asked.
        log_p: logarithm of the exact p-value.
    """
    interval, lift_interval = agreeing(
        found.interval,
        found.lift_interval,
        plan,
        found.control,
        found.treatment,
        rejects=log_p < math.log(plan.alpha),
    )
    return replace(
        found,
        method=method,
        p=math.exp(log_p),
        log_p=log_p,
        interval=interval,
        lift_interval=lift_interval,
        guarantee="exact",
    )


def fisher_log_p(strata: Strata, alternative: Alternative) -> float:
    """Logarithm of the conditional p-value of equal proportions in every stratum.

    The distribution of the treatment's successes, given all margins, is hypergeometric in each
    stratum, and the convolution of these over strata; two-sided is the sum over all outcomes that
    are at most as likely as the one seen.

    Source: Fisher (1935); over strata Gart (1970), doi:10.1093/biomet/57.3.471.
    """
    total, start = np.zeros(1), 0.0
    for n_a, s_a, n_b, s_b in zip(strata.n_a, strata.s_a, strata.n_b, strata.s_b, strict=True):
        low, log_pmf = hypergeometric(float(n_a), float(n_b), float(s_a + s_b))
        total, start = _convolved(total, log_pmf), start + low
    seen = round(float(strata.s_b.sum()) - start)
    if alternative == "greater":
        chosen = total[seen:]
    elif alternative == "less":
        chosen = total[: seen + 1]
    else:
        chosen = total[total <= total[seen] + _SAME]
    return min(0.0, float(np.logaddexp.reduce(chosen)))


def support(strata: Strata) -> float:
    """How many outcomes `fisher_log_p` has to go through."""
    successes = strata.s_a + strata.s_b
    return float(np.sum(np.minimum(successes, np.minimum(strata.n_a, strata.n_b)) + 1.0))


def hypergeometric(n_a: float, n_b: float, successes: float) -> tuple[float, Array]:
    """The fewest successes of b, and the log probabilities from there on."""
    low, high = max(0.0, successes - n_a), min(n_b, successes)
    s_b = np.arange(low, high + 1.0)
    log_pmf = log_choose(n_b, s_b) + log_choose(n_a, successes - s_b)
    return low, log_pmf - np.logaddexp.reduce(log_pmf)


def _convolved(one: Array, other: Array) -> Array:
    """Log probabilities of a sum, without underflow."""
    short, long = sorted((one, other), key=len)
    found = np.full(short.size + long.size - 1, -math.inf)
    for i, log_p in enumerate(short):
        part = found[i : i + long.size]
        np.logaddexp(part, long + log_p, out=part)
    return found


def log_choose(n: float, k: Array) -> Array:
    """Logarithm of the binomial coefficients."""
    return np.asarray(gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0))
