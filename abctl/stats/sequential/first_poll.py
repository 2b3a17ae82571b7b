"""E-values of the first poll, where no earlier poll says how many to expect.

*Equal proportions*, given all margins: the treatment's successes are hypergeometric, and the factor
is exp(t S) over its expectation, t the log odds that are tried. The distribution is that of a sum
of independent indicators (its generating function has real roots only), so where its support is
long, Bennett's bound with the exact variance stands for the expectation: V (e^|t| - 1 - |t|).
It needs no memory, and the larger the counts the smaller are the log odds that matter, at which the
bound is the expectation.

*A null with a margin*: the probability of the counts, if the treatment is a planned effect from the
null and the control's level has a prior, over the largest that the null can give them. Whatever is
true under the null, that is at least its true probability, so the expectation is at most 1. The
integral over the level is a sum over places around its likeliest value; what it leaves out makes it
smaller.

Sources: Vatutin & Mikhailov (1982), doi:10.1137/1127091; Bennett (1962),
doi:10.1080/01621459.1962.10482149; Wasserman, Ramdas & Balakrishnan (2020),
doi:10.1073/pnas.1922664117; Rissanen (1983), doi:10.1214/aos/1176346150, for a prior of rates.
"""

import math

import numpy as np
from scipy.special import xlog1py, xlogy

from abctl.stats.estimate import Plan
from abctl.stats.fixed import score
from abctl.stats.fixed.contrast import Null
from abctl.stats.fixed.exact import hypergeometric
from abctl.stats.sequential.mixture import points
from abctl.stats.summary import Array

_LONGEST_SUPPORT = 10_000
# Places around the likeliest level, and how far they reach, in standard errors.
_PLACES, _REACH = 400, 9.0


def tilted(n_a: float, s_a: float, n_b: float, s_b: float, log_odds: Array) -> Array:
    """Log e-values of equal proportions given all margins, for each of the log odds.

    >>> tilted(50.0, 5.0, 50.0, 15.0, np.array([0.0, 1.0])).round(2)
    array([-0.  ,  3.02])
    """
    successes = s_a + s_b
    if min(n_a, n_b, successes, n_a + n_b - successes) < _LONGEST_SUPPORT:
        low, log_pmf = hypergeometric(n_a, n_b, successes)
        each = log_pmf + log_odds[:, None] * np.arange(log_pmf.size)
        return np.asarray(log_odds * (s_b - low) - np.logaddexp.reduce(each, axis=1))
    return bennett(n_a, n_b, successes, s_b, log_odds)


def bennett(
    n_a: Array | float,
    n_b: Array | float,
    successes: Array | float,
    s_b: Array | float,
    log_odds: Array,
) -> Array:
    """The same by Bennett's bound; arrays of any shapes that fit each other."""
    n = n_a + n_b
    share = successes / n
    expected = n_b * share
    variance = expected * (1.0 - share) * n_a / np.maximum(n - 1.0, 1.0)
    size = np.abs(log_odds)
    return np.asarray(log_odds * (s_b - expected) - variance * (np.expm1(size) - size))


def universal(
    n: tuple[float, float], s: tuple[float, float], null: Null, plan: Plan, *, poisson: bool
) -> float:
    """Log e-value of any null.

    >>> margin = Null(1.0, 0.1)  # treatment = control + 10 points
    >>> from abctl.stats.delta import Delta
    >>> plan = Plan(alternative="less", null=Delta(0.1, relative=False))
    >>> round(universal((1e4, 1e4), (1e3, 1e3), margin, plan, poisson=False), 1)
    253.6

    Args:
        n: trials (or exposure) of control and treatment.
        s: their successes (or events).
        null: treatment = ratio * control + offset.
        plan: its alternatives and planned size.
        poisson: rates rather than proportions.
    """
    level = np.array([s[0] / n[0], s[1] / n[1]])
    distance = level[1] - null.ratio * level[0] - null.offset
    if distance == 0.0 or (plan.alternative, distance < 0.0) in (
        ("greater", True),
        ("less", False),
    ):
        # What was seen is in the null: nothing speaks against it.
        return -math.inf
    x = _likeliest(n, s, null, poisson=poisson)
    largest = _log_likelihood(n, s, x, null.ratio * x + null.offset, poisson=poisson)
    # About the variance of each level; it only chooses effects and places.
    spread = (level + 1.0 / np.array(n)) * (1.0 if poisson else 1.0 - np.minimum(level, 0.9))
    variance = spread / np.array(n)
    size = plan.mde or plan.null
    step = abs(size.value) * (float(level.mean()) if size.relative else 1.0)
    found = [-math.inf]
    information = step * step / float(variance.sum())
    for effect, weight in zip(*points(plan, information), strict=True):
        by = float(effect) * abs(size.value)
        line = Null(null.ratio + by * size.relative, null.offset + by * (not size.relative))
        if line.ratio <= 0.0:
            continue  # an effect of more than everything
        log_prior, x = _places(line, level, variance, sum(n), poisson=poisson)
        y = line.ratio * x + line.offset
        inside = (x >= 0.0) & (y >= 0.0) & (poisson | ((x <= 1.0) & (y <= 1.0)))
        if inside.any():
            each = _log_likelihood(n, s, x[inside], y[inside], poisson=poisson)
            found.append(math.log(weight) + float(np.logaddexp.reduce(each + log_prior[inside])))
    return float(np.logaddexp.reduce(found) - largest[0])


def _places(
    line: Null, level: Array, variance: Array, exposure: float, *, poisson: bool
) -> tuple[Array, Array]:
    """Levels of the control around the likeliest on a line, and the prior's mass of each.

    The prior is of the mean of both variants: Jeffreys', or of rates one that hardly has a scale.
    Places are even in the arcsine (the root) of the mean, where both are smooth.
    """
    precision = 1.0 / variance[0] + line.ratio**2 / variance[1]
    center = level[0] / variance[0] + line.ratio * (level[1] - line.offset) / variance[1]
    stretch = 0.5 * (1.0 + line.ratio)
    middle = stretch * center / precision + 0.5 * line.offset
    reach = _REACH * stretch / math.sqrt(precision)
    ends = np.maximum((middle - reach, middle + reach), 0.0)
    low, high = np.sqrt(ends) if poisson else np.arcsin(np.sqrt(np.minimum(ends, 1.0)))
    width = (high - low) / _PLACES
    at = low + width * (np.arange(_PLACES) + 0.5)
    if poisson:
        mean, number = at * at, at * at * exposure + 2.0
        mass = math.log(2.0) * exposure * 2.0 * at / (number * np.square(np.log(number)))
    else:
        mean, mass = np.square(np.sin(at)), np.full(_PLACES, 2.0 / math.pi)
    return np.log(np.maximum(width * mass, 1e-300)), (mean - 0.5 * line.offset) / stretch


def _likeliest(
    n: tuple[float, float], s: tuple[float, float], null: Null, *, poisson: bool
) -> Array:
    """The control's level under the null."""
    n_a, s_a, n_b, s_b = (np.array([each]) for each in (n[0], s[0], n[1], s[1]))
    relative = null.offset == 0.0
    size = np.array([null.ratio if relative else null.offset])
    if poisson:
        return (score.rate_at_ratio if relative else score.rate_at_difference)(
            n_a, s_a, n_b, s_b, size
        )
    return (score.proportion_at_ratio if relative else score.proportion_at_difference)(
        n_a, s_a, n_b, s_b, size
    )


def _log_likelihood(
    n: tuple[float, float], s: tuple[float, float], x: Array, y: Array, *, poisson: bool
) -> Array:
    found = np.zeros_like(x)
    for trials, events, level in zip(n, s, (x, y), strict=True):
        if poisson:
            found += xlogy(events, level * trials) - level * trials
        else:
            inside = np.clip(level, 0.0, 1.0)
            found += xlogy(events, inside) + xlog1py(trials - events, -inside)
    return found
