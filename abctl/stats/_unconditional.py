"""Exact tests of two proportions in small samples that do not take the successes as given.

All tables that were possible are ordered by how much they speak against the null; p is the largest
probability, over all points of the null, of a table at least as extreme as the one that was seen.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
from scipy.special import xlog1py, xlogy

from abctl.stats._contrast import Null
from abctl.stats._exact import log_choose, with_exact_p
from abctl.stats._score import Strata, score_test
from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.summary import Array, Counts, Stream

Table = tuple[int, int]

# Tables as extreme as the one that was seen, but for rounding.
SAME = 1e-7
_MOST_TABLES = 300_000
_NUISANCES = 101
_ROUNDS = 3


def unconditional(
    method: str, stream: Stream[Counts], plan: Plan, log_p_of: Callable[[Table, Table], float]
) -> Estimate | NotEstimable:
    """The score test's estimate and intervals, with an exact p-value.

    Args:
        method: its name.
        stream: of one epoch.
        plan: what is asked.
        log_p_of: logarithm of p, from trials and successes of control and treatment.
    """
    strata = Strata.of(stream)
    if isinstance(strata, str):
        return NotEstimable(method, strata)
    if len(strata.epochs) > 1:
        return NotEstimable(method, "for one epoch only: use fisher or proportion", strata.n)
    n = int(strata.n[0]), int(strata.n[1])
    if (n[0] + 1) * (n[1] + 1) > _MOST_TABLES:
        return NotEstimable(method, "for small samples: use proportion", strata.n)
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
