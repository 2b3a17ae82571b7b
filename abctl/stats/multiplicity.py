"""Adjusted p-values for several comparisons.

Holm for what decides (primaries, variants against the control), Benjamini-Hochberg for exploring,
e-BH for exploring with sequential methods, intersection-union for guardrails: all must pass, which
corrects them for one another; an alarm needs no correction.

An adjusted value is the smallest alpha at which that comparison would be rejected together with the
others; so it is compared with alpha as a p-value is. Arrays have the shape (comparisons,) and keep
their order.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abctl.stats.summary import Array, SummaryError


def holm(p: ArrayLike) -> Array:
    """Adjusted p-values; a wrong rejection anywhere has at most probability alpha.

    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])

    Holds for any dependence between the comparisons. Source: Holm (1979), Scand. J. Statist. 6:65.
    """
    values = _checked(p)
    order = np.argsort(values)
    remaining = np.arange(values.size, 0, -1)
    return _in_place(order, np.maximum.accumulate(values[order] * remaining))


def holm_steps(p: ArrayLike, alpha: float) -> tuple[Array, Array]:
    """The factor and the floor of each p-value in Holm's procedure at level alpha.

    >>> holm_steps([0.01, 0.04, 0.03], alpha=0.05)
    (array([3., 2., 2.]), array([0.  , 0.03, 0.03]))

    For what is made up of several tests, each of which is to be shown corrected: a comparison is
    rejected if all of its tests are, and its p is the largest of theirs.

    Args:
        p: of the comparisons.
        alpha: the level; from the first that is not rejected on, the others wait with it.

    Returns:
        How many comparisons are left when it is the turn of each, and the adjusted value of the one
        before it (0 for the first): the adjusted value of a test is the larger of that and of its
        own p times the former.

    Source: Holm (1979), Scand. J. Statist. 6:65.
    """
    values = _checked(p)
    order = np.argsort(values, kind="stable")
    adjusted = holm(values)[order]
    turn = np.minimum(np.arange(values.size), np.count_nonzero(adjusted <= alpha))
    left, before = np.empty_like(values), np.empty_like(values)
    left[order] = values.size - turn
    before[order] = np.concatenate(([0.0], adjusted))[turn]
    return left, before


def benjamini_hochberg(p: ArrayLike) -> Array:
    """Adjusted p-values; of the rejections, at most a share alpha is wrong on average.

    >>> benjamini_hochberg([0.01, 0.04, 0.03])
    array([0.03, 0.04, 0.04])

    Holds for independent or positively dependent comparisons. Source: Benjamini & Hochberg (1995),
    doi:10.1111/j.2517-6161.1995.tb02031.x.
    """
    values = _checked(p)
    order = np.argsort(values)
    return _in_place(order, _least_from(values[order] * values.size / _ranks(values.size)))


def e_bh(log_e: ArrayLike) -> Array:
    """Adjusted values of e-values; of the rejections, at most a share alpha is wrong on average.

    >>> e_bh(np.log([100.0, 10.0, 1.0]))
    array([0.03, 0.15, 1.  ])

    Holds for any dependence, and at any time if the e-values do. Takes natural logarithms.
    Source: Wang & Ramdas (2022), arXiv:2009.02824, definition 2 and theorem 2.
    """
    values = np.atleast_1d(np.asarray(log_e, dtype=np.float64))
    if np.any(np.isnan(values)):
        raise SummaryError("an e-value is missing")
    order = np.argsort(-values)
    log_share = math.log(max(1, values.size)) - np.log(_ranks(values.size)) - values[order]
    return _in_place(order, _least_from(np.exp(np.minimum(log_share, 0.0))))


def intersection_union(p: ArrayLike) -> float:
    """The p-value of "every one of these is proven": the largest of theirs, without correction.

    >>> intersection_union([0.01, 0.04, 0.03])
    0.04

    Source: Berger (1982), doi:10.1080/00401706.1982.10487790.
    """
    values = _checked(p)
    return float(values.max()) if values.size else 0.0


def _ranks(size: int) -> Array:
    return np.arange(1.0, size + 1)


def _least_from(values: Array) -> Array:
    """For each place the least value from there on."""
    return np.minimum.accumulate(values[::-1])[::-1]


def _in_place(order: NDArray[np.intp], values: Array) -> Array:
    found = np.empty_like(values)
    found[order] = np.minimum(values, 1.0)
    return found


def _checked(p: ArrayLike) -> Array:
    values = np.atleast_1d(np.asarray(p, dtype=np.float64))
    if not np.all((values >= 0) & (values <= 1)):
        raise SummaryError("a p-value is missing or not from 0 to 1")
    return values
