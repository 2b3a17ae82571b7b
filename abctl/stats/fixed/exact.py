"""Exact tests of two proportions in small samples.

The conditional test (Fisher) takes the total number of successes as given. The unconditional tests
(Barnard, Boschloo) do not: they order all possible tables by their evidence against the null, and p
is the largest probability, over all points of the null, of a table at least as extreme as the
observed one.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
from scipy.special import gammaln, xlog1py, xlogy

from abctl.stats.estimate import Alternative, Estimate, NotEstimable, Plan, Remark
from abctl.stats.fixed.contrast import Null, agreeing
from abctl.stats.fixed.score import Strata, score_test
from abctl.stats.summary import Array, Counts, Stream

# Tables as likely as the one that was seen, but for rounding.
_SAME = 1e-7
Table = tuple[int, int]
# Tables as extreme as the one that was seen, but for rounding.
SAME = 1e-7
_MOST_TABLES = 300_000
_NUISANCES = 101
_ROUNDS = 3


def with_exact_p(method: str, found: Estimate, plan: Plan, log_p: float) -> Estimate:
    """An estimate with an exact p-value instead of its own, and intervals that agree with it.

    Args:
        method: its name.
        found: effect and intervals.
        plan: what is tested.
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


def unconditional(
    method: str, stream: Stream[Counts], plan: Plan, log_p_of: Callable[[Table, Table], float]
) -> Estimate | NotEstimable:
    """The score test's estimate and intervals, with an exact p-value.

    Args:
        method: its name.
        stream: of one epoch.
        plan: what is tested.
        log_p_of: logarithm of p, from trials and successes of control and treatment.
    """
    strata = Strata.of(stream)
    if isinstance(strata, Remark):
        return NotEstimable(method, strata)
    if len(strata.epochs) > 1:
        return NotEstimable(method, Remark("oneEpochOnly"), strata.n)
    n = int(strata.n[0]), int(strata.n[1])
    if (n[0] + 1) * (n[1] + 1) > _MOST_TABLES:
        return NotEstimable(method, Remark("smallSamplesOnly"), strata.n)
    found = score_test(method, strata, plan, ())
    if isinstance(found, NotEstimable):
        return found
    log_p = log_p_of(n, (int(strata.s_a[0]), int(strata.s_b[0])))
    return replace(
        with_exact_p(method, found, plan, log_p),
        assumptions=(
            "each trial is independent of the others (requests of one user are not: use ratio)",
            "looked at once, when the planned size is reached",
        ),
        notes=strata.notes,
    )


def largest_log_p(n: Table, extreme: Array, null: Null) -> float:
    """Logarithm of the largest probability of the extreme tables on a linear null.

    A grid over the control's level, refined around its best point. It is even in the arcsine of the
    level's root, on which all binomial distributions are about equally wide: in an even grid of the
    level, a table that is only likely beside 0 or 1 would be missed.

    Args:
        n: trials of control and treatment.
        extreme: 1 for each table that is, else 0; shape (n_control + 1, n_treatment + 1).
        null: treatment = ratio * control + offset.
    """
    least = max(0.0, -null.offset / null.ratio)
    most = min(1.0, (1.0 - null.offset) / null.ratio)
    low, high, best = 0.0, math.pi / 2.0, -math.inf
    for _ in range(_ROUNDS):
        angle = np.linspace(low, high, _NUISANCES)
        x = np.clip(least + (most - least) * np.square(np.sin(angle)), least, most)
        y = np.clip(null.ratio * x + null.offset, 0.0, 1.0)
        # One of the two in logarithms: both together may underflow.
        inner = np.exp(_log_binomial(n[1], y)) @ extreme.T
        with np.errstate(divide="ignore"):
            log_p = np.logaddexp.reduce(_log_binomial(n[0], x) + np.log(inner), axis=1)
        best, step = max(best, float(log_p.max())), (high - low) / (_NUISANCES - 1)
        center = float(angle[int(log_p.argmax())])
        low, high = max(low, center - step), min(high, center + step)
    return min(0.0, best)


def scores(n: Table, null: Null) -> Array:
    """The score statistic of every table, shape (n_control + 1, n_treatment + 1)."""
    s_a, s_b = (
        grid.ravel()
        for grid in np.meshgrid(np.arange(n[0] + 1.0), np.arange(n[1] + 1.0), indexing="ij")
    )
    n_a, n_b = np.full_like(s_a, n[0]), np.full_like(s_b, n[1])
    one = np.ones((1, 1))
    z = Strata(n_a, s_a, n_b, s_b, ()).each_z(null.ratio * one, null.offset * one)
    return z.reshape(n[0] + 1, n[1] + 1)


def fisher_tails(n: Table) -> Array:
    """Log of Fisher's p of every table, for many successes of the treatment; shape as `scores`."""
    s_a, s_b = np.arange(n[0] + 1.0)[:, None], np.arange(n[1] + 1.0)
    tails = log_choose(n[0], s_a) + log_choose(n[1], s_b)
    # A table's tail goes on in the row before: as many successes, one more of them the treatment's.
    for before, row in pairwise(tails):
        row[:-1] = np.logaddexp(row[:-1], before[1:])
    return np.asarray(tails - log_choose(n[0] + n[1], s_a + s_b))


def _log_binomial(n: int, p: Array) -> Array:
    """Log probabilities of 0 .. n successes, shape (p, n + 1)."""
    k = np.arange(n + 1.0)
    return np.asarray(log_choose(float(n), k) + xlogy(k, p[:, None]) + xlog1py(n - k, -p[:, None]))
