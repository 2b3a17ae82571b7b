"""Exact tests of two proportions in small samples."""

import math

import numpy as np
from scipy.special import gammaln

from abctl.stats._contrast import Null
from abctl.stats._score import Strata
from abctl.stats.estimate import Alternative
from abctl.stats.summary import Array

# Tables as likely as the one that was seen, but for rounding.
_SAME = 1e-7
_NUISANCES = 101
_ROUNDS = 3


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


def barnard_p(
    n: tuple[int, int], seen: tuple[int, int], null: Null, alternative: Alternative
) -> float:
    """The unconditional p-value of a linear null, tables being ordered by the score statistic.

    The largest probability, over all points of the null, of a table at least as extreme.

    Args:
        n: trials of control and treatment.
        seen: successes of control and treatment.
        null: treatment = ratio * control + offset.
        alternative: which statistics are extreme.

    Source: Barnard (1947), doi:10.1093/biomet/34.1-2.123; with a margin Chan (1998),
    doi:10.1002/(SICI)1097-0258(19980630)17:12<1403::AID-SIM834>3.0.CO;2-Y.
    """
    statistic = _scores(n, null)
    if alternative == "two-sided":
        statistic = np.abs(statistic)
    elif alternative == "less":
        statistic = -statistic
    extreme = (statistic >= statistic[seen] - _SAME).astype(np.float64)
    low = max(0.0, -null.offset / null.ratio)
    high = min(1.0, (1.0 - null.offset) / null.ratio)
    best = 0.0
    for _ in range(_ROUNDS):
        x = np.linspace(low, high, _NUISANCES)
        y = np.clip(null.ratio * x + null.offset, 0.0, 1.0)
        p = np.einsum("ga,gb,ab->g", _binomial(n[0], x), _binomial(n[1], y), extreme, optimize=True)
        best, step = max(best, float(p.max())), (high - low) / (_NUISANCES - 1)
        center = float(x[int(p.argmax())])
        low, high = max(low, center - step), min(high, center + step)
    return min(1.0, best)


def hypergeometric(n_a: float, n_b: float, successes: float) -> tuple[float, Array]:
    """The fewest successes of b, and the log probabilities from there on."""
    low, high = max(0.0, successes - n_a), min(n_b, successes)
    s_b = np.arange(low, high + 1.0)
    log_pmf = _log_choose(n_b, s_b) + _log_choose(n_a, successes - s_b)
    return low, log_pmf - np.logaddexp.reduce(log_pmf)


def _convolved(one: Array, other: Array) -> Array:
    """Log probabilities of a sum, without underflow."""
    short, long = sorted((one, other), key=len)
    found = np.full(short.size + long.size - 1, -math.inf)
    for i, log_p in enumerate(short):
        part = found[i : i + long.size]
        np.logaddexp(part, long + log_p, out=part)
    return found


def _scores(n: tuple[int, int], null: Null) -> Array:
    """The score statistic of every table, shape (n_a + 1, n_b + 1)."""
    s_a, s_b = (
        grid.ravel()
        for grid in np.meshgrid(np.arange(n[0] + 1.0), np.arange(n[1] + 1.0), indexing="ij")
    )
    n_a, n_b = np.full_like(s_a, n[0]), np.full_like(s_b, n[1])
    one = np.ones((1, 1))
    z = Strata(n_a, s_a, n_b, s_b, ()).each_z(null.ratio * one, null.offset * one)
    return z.reshape(n[0] + 1, n[1] + 1)


def _binomial(n: int, p: Array) -> Array:
    """Probabilities of 0 .. n successes, shape (p, n + 1)."""
    k = np.arange(n + 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        up = np.where(k == 0.0, 0.0, k * np.log(p)[:, None])
        down = np.where(k == n, 0.0, (n - k) * np.log1p(-p)[:, None])
    return np.asarray(np.exp(_log_choose(float(n), k) + up + down))


def _log_choose(n: float, k: Array) -> Array:
    return np.asarray(gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0))
