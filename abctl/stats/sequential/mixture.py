"""Mixtures of alternatives: how likelihood ratios become e-values and confidence sequences.

An effect is tried at half, once and twice the planned size (weights 0.3, 0.6, 0.1), each on both
sides where the test has two. Any weights fixed beforehand are valid; these are efficient from half
to twice the planned effect. A tenth of the weight goes to others: to ones that are far larger, so
that a total failure is found at once, and to ever smaller ones, each half as large as the one
before. A bet grows under effects of more than half of its own, so one of them finds any effect in
the end. Each begins where the data begin to be enough for it, which keeps their number small.

In the limit of many data, with `score` the effect's distance from the null divided by its variance
and `information` one over that variance, the likelihood ratio of an effect h is
exp(h * score - h^2 * information / 2). There a share of the weight goes to a normal distribution,
without which a confidence sequence would stop shrinking at a quarter of the planned effect.

Sources: Robbins (1970), doi:10.1214/aoms/1177696786; Howard et al. (2021), arXiv:1810.08240;
Waudby-Smith et al. (2024), arXiv:2103.06476, theorem 2.2.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from abctl.stats.estimate import Alternative, Plan
from abctl.stats.fixed.reference import crossing
from abctl.stats.summary import Array

_NORMAL_SHARE = 0.1
# Of the weight, for effects that are far from the planned one.
OTHER_SHARE = 0.1
_BOLD_SIZES, _BOLD_SHARES = np.array([8.0, 32.0]), np.array([0.02, 0.01])
# And for what the first poll alone says of a margin.
FIRST_SHARE = 0.05
_DEFAULT_RELATIVE = 0.1


def points(plan: Plan, information: float = 0.0) -> tuple[Array, Array]:
    """Effects to try, in units of the planned size, with the sign of the alternative; weights.

    >>> points(Plan(alternative="less"))
    (array([ -0.5,  -1. ,  -2. ,  -8. , -32. ]), array([0.27, 0.54, 0.09, 0.02, 0.01]))
    >>> points(Plan(alternative="greater"), information=20.0)[0]  # and ever smaller ones
    array([ 0.5  ,  1.   ,  2.   ,  8.   , 32.   ,  0.25 ,  0.125])

    The weights sum to less than 1: the rest is of effects that are too small for these data, which
    do not bet yet.

    Args:
        plan: its planned size and sides.
        information: one over the variance of the effect, in units of the planned size.
    """
    sizes, weights = _one_sided_points(plan)
    if plan.prior == "six-point":
        smallest, number = float(sizes.min()), 0
        while smallest * 0.5 ** (number + 1) >= _begins(information):
            number += 1
        nth = np.arange(1.0, number + 1.0)
        small = (OTHER_SHARE - _BOLD_SHARES.sum()) / (nth * (nth + 1.0))
        sizes = np.concatenate((sizes, _BOLD_SIZES, smallest * 0.5**nth))
        weights = np.concatenate(((1.0 - OTHER_SHARE) * weights, _BOLD_SHARES, small))
    if plan.alternative == "two-sided":
        return np.concatenate((sizes, -sizes)), np.concatenate((weights, weights)) / 2.0
    return (sizes if plan.alternative == "greater" else -sizes), weights


def begun(effects: Array, plan: Plan, information: Array) -> NDArray[np.bool_]:
    """Which effects bet in which poll, shape (effects, polls), by the information up to it."""
    planned = np.abs(effects) >= _one_sided_points(plan)[0].min()
    return np.asarray(planned[:, None] | (np.abs(effects)[:, None] >= _begins(information)))


def _begins(information: Array | float) -> Array:
    """The smallest effect for which there are enough data: half a standard error."""
    with np.errstate(divide="ignore"):
        return np.asarray(0.5 / np.sqrt(np.maximum(information, 0.0)))


def mixed(paths: Array, weights: Array) -> Array:
    """The log e-value of effects that bet, shape (effects, polls), and of those that do not yet."""
    rest = max(0.0, 1.0 - float(weights.sum()))
    none = np.zeros((1, paths.shape[1]))
    return log_mean(np.concatenate((paths, none)), np.append(weights, rest))


def _one_sided_points(plan: Plan) -> tuple[Array, Array]:
    if plan.prior == "two-point":
        return np.array([1.0]), np.array([1.0])
    return np.array([0.5, 1.0, 2.0]), np.array([0.3, 0.6, 0.1])


def scale_of(plan: Plan, level: Array, default: Array) -> Array:
    """The planned size of the effect at a level of the metric.

    It is the MDE; without one the margin, so that "no effect" is what a guardrail bets on; without
    either `default`.
    """
    size = plan.mde or (plan.null if plan.null.value else None)
    if size is None:
        return default
    return abs(size.value) * (np.abs(level) if size.relative else np.ones_like(level))


def relative_default(level: Array) -> Array:
    """The size that is looked for if none was planned: 10% of the level."""
    return _DEFAULT_RELATIVE * np.abs(level)


def log_e_value(score: Array, information: Array, scale: Array, plan: Plan) -> Array:
    """Logarithm of the mixture's e-value, asymptotically valid; arrays of shape (looks,)."""
    if plan.alternative == "less":
        return _one_side(-score, information, scale, plan)
    upper = _one_side(score, information, scale, plan)
    if plan.alternative == "greater":
        return upper
    return np.logaddexp(upper, _one_side(-score, information, scale, plan)) - math.log(2.0)


def boundary(information: float, scale: float, plan: Plan) -> float:
    """The standardized effect at which the e-value is 1 / alpha: a confidence sequence's edge.

    >>> round(boundary(information=784.0, scale=0.1, plan=Plan()), 2)  # the fixed test has 1.96
    2.86
    """
    one = np.ones(1)

    def missing(statistic: Array) -> Array:
        v, tau = information * np.ones_like(statistic), scale * np.ones_like(statistic)
        return -math.log(plan.alpha) - log_e_value(math.sqrt(information) * statistic, v, tau, side)

    side = plan if plan.alternative != "less" else _greater(plan)
    high = 1.0
    while missing(high * one)[0] > 0.0:
        high *= 2.0
    return crossing(missing, 0.0, high)


def _greater(plan: Plan) -> Plan:
    flipped: Alternative = "greater"
    return Plan(alpha=plan.alpha, alternative=flipped, prior=plan.prior)


def _one_side(score: Array, information: Array, scale: Array, plan: Plan) -> Array:
    multiples, weights = _one_sided_points(plan)
    effects = multiples[:, None] * scale
    exponents = effects * score - 0.5 * effects**2 * information
    discrete = log_mean(exponents, weights * (1.0 - _NORMAL_SHARE))
    spread = 1.0 + information * scale**2
    z = score * scale / np.sqrt(spread)
    half_normal = math.log(2.0 * _NORMAL_SHARE) - 0.5 * np.log(spread) + 0.5 * z * z + log_ndtr(z)
    return np.logaddexp(discrete, half_normal)


def log_mean(exponents: Array, weights: Array) -> Array:
    """log(sum(weights * exp(exponents))) over the first axis."""
    top = exponents.max(axis=0)
    # Below -700 exp is slow, and adds nothing.
    return np.asarray(top + np.log(weights @ np.exp(np.maximum(exponents - top, -700.0))))


def log_always_valid_p(log_e: Array) -> float:
    """Logarithm of the p-value that is valid at any stopping time: one over the largest e-value.

    >>> round(math.exp(log_always_valid_p(np.log([2.0, 40.0, 25.0]))), 4)
    0.025
    """
    return -max(0.0, float(log_e.max())) if log_e.size else 0.0
