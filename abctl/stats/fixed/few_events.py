"""Exact p-values of two Poisson rates with few events, where the score test rejects too often.

A null that is a ratio is tested given the number of all events: the treatment's are binomial, over
epochs a sum of binomials. A null that is a difference has no such condition: p is the largest
probability, over all levels of the null, of numbers of events whose score is at least as extreme.

Levels at which the events seen are out of the question are left out, and their chance is added
(Berger & Boos 1994, doi:10.1080/01621459.1994.10476836).

Sources: Przyborowski & Wilenski (1940), doi:10.1093/biomet/31.3-4.313; for the largest probability
Barnard (1947), doi:10.1093/biomet/34.1-2.123.
"""

import math

import numpy as np
from scipy.special import gammaincinv, gammaln, xlog1py, xlogy

from abctl.stats.estimate import Alternative
from abctl.stats.fixed.contrast import Null
from abctl.stats.fixed.exact import SAME, log_choose
from abctl.stats.fixed.score import Strata
from abctl.stats.summary import Array

FEW = 40.0
_LEVELS, _ROUNDS = 61, 3
# The chance of levels that are left out; it is added to p.
_BEYOND = 1e-9


def few_log_p(strata: Strata, null: Null, alternative: Alternative) -> float:
    """Logarithm of the exact p-value; counts that are not whole are rounded.

    >>> none, four = np.zeros(1), np.full(1, 4.0)
    >>> strata = Strata(np.ones(1), none, np.ones(1), four, (0,), poisson=True)
    >>> math.exp(few_log_p(strata, Null(1.0, 0.0), "greater"))  # four fair coins
    0.0625
    """
    if null.offset == 0.0:
        return _conditional(strata, null.ratio, alternative)
    n_a, s_a, n_b, s_b = (
        float(each.sum()) for each in (strata.n_a, strata.s_a, strata.n_b, strata.s_b)
    )
    return _unconditional((n_a, n_b), (round(s_a), round(s_b)), null, alternative)


def _conditional(strata: Strata, ratio: float, alternative: Alternative) -> float:
    law = np.ones(1)
    for n_a, s_a, n_b, s_b in zip(strata.n_a, strata.s_a, strata.n_b, strata.s_b, strict=True):
        total, share = round(s_a) + round(s_b), ratio * n_b / (n_a + ratio * n_b)
        k = np.arange(total + 1.0)
        log_pmf = log_choose(float(total), k) + xlogy(k, share) + xlog1py(total - k, -share)
        law = np.convolve(law, np.exp(log_pmf))
    seen = sum(round(float(each)) for each in strata.s_b)
    if alternative == "two-sided":
        p = law[law <= law[seen] * (1.0 + SAME)].sum()
    else:
        p = law[seen:].sum() if alternative == "greater" else law[: seen + 1].sum()
    return min(0.0, math.log(p))


def _unconditional(
    n: tuple[float, float], seen: tuple[int, int], null: Null, alternative: Alternative
) -> float:
    most_a, most_b = (float(gammaincinv(k + 1.0, 1.0 - _BEYOND)) for k in seen)
    low = max(0.0, -null.offset / null.ratio)
    # With more than that, so few events as were seen are out of the question.
    high = max(low, min(most_a / n[0], (most_b / n[1] - null.offset) / null.ratio))
    means = n[0] * high, n[1] * max(0.0, null.ratio * high + null.offset)
    s_a, s_b = (
        np.arange(max(k, mean + 8.0 * math.sqrt(mean)) + 10.0)
        for k, mean in zip(seen, means, strict=True)
    )
    grid_a, grid_b = (grid.ravel() for grid in np.meshgrid(s_a, s_b, indexing="ij"))
    one = np.ones((1, 1))
    tables = Strata(
        np.full_like(grid_a, n[0]), grid_a, np.full_like(grid_b, n[1]), grid_b, (), poisson=True
    )
    z = tables.each_z(null.ratio * one, null.offset * one).reshape(s_a.size, s_b.size)
    z = np.nan_to_num(z, posinf=1e9, neginf=-1e9)
    z = np.abs(z) if alternative == "two-sided" else -z if alternative == "less" else z
    extreme = (z >= z[seen] - SAME) * 1.0
    lowest, highest, best = low, high, 0.0
    for _ in range(_ROUNDS):
        x = np.linspace(low, high, _LEVELS)
        y = np.maximum(null.ratio * x + null.offset, 0.0)
        a, b = _pmf(s_a, x * n[0]), _pmf(s_b, y * n[1])
        p = ((a @ extreme) * b).sum(axis=1)
        best, at, step = max(best, float(p.max())), float(x[p.argmax()]), (high - low) / _LEVELS
        low, high = max(lowest, at - step), min(highest, at + step)
    return min(0.0, math.log(best + 2.0 * _BEYOND))


def _pmf(k: Array, mean: Array) -> Array:
    """Poisson probabilities, shape (means, numbers)."""
    log_pmf = xlogy(k, mean[:, None]) - mean[:, None] - gammaln(k + 1.0)
    return np.asarray(np.exp(log_pmf))
