"""A ratio of sums as a mean of one value for each unit: its linearization (delta method).

Source: Deng, Knoblich & Lu (2018), arXiv:1803.06336, section 3.
"""

import numpy as np
from numpy.typing import ArrayLike

from abctl.stats.summary import Array


def linearized(numerator: Array, denominator: Array) -> Array | None:
    """Values whose mean is the ratio of the sums, and whose spread is that of the ratio.

    >>> linearized(np.array([1.0, 3.0]), np.array([2.0, 2.0]))
    array([0.5, 1.5])

    Args:
        numerator: of each unit (a user, or a bucket of them).
        denominator: of the same unit.

    Returns:
        None where the denominators sum to 0 or less.
    """
    total = denominator.sum()
    if total <= 0:
        return None
    ratio = numerator.sum() / total
    return np.asarray(ratio + denominator.size * (numerator - ratio * denominator) / total)


def spread(
    n: ArrayLike,
    one: tuple[ArrayLike, ArrayLike],
    other: tuple[ArrayLike, ArrayLike],
    products: tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike],
) -> tuple[Array, Array, Array]:
    """Two ratios, and the sum over units of the product of what their linearizations deviate.

    It takes sums alone: of one ratio with itself, it is the sum of squares about the mean. All
    arguments have one shape. Where a denominator is 0, it counts as 1. What is too large to be
    multiplied is no number.

    >>> s, d = np.array([1.0, 3.0]), np.array([2.0, 2.0])
    >>> ratio, _, squares = spread(2, (4.0, 4.0), (4.0, 4.0), (s @ s, s @ d, d @ s, d @ d))
    >>> float(ratio), float(squares)  # of 0.5 and 1.5
    (1.0, 0.5)

    Args:
        n: how many units.
        one: sums of numerator s and denominator d.
        other: the same of another ratio, t and e.
        products: sums of s t, s e, d t and d e.
    """
    units = np.asarray(n, dtype=np.float64)
    (s, d), (t, e) = (map(np.asarray, sums) for sums in (one, other))
    d, e = (np.where(below > 0.0, below, 1.0) for below in (d, e))
    r, q = s / d, t / e
    st, se, dt, de = map(np.asarray, products)
    with np.errstate(over="ignore", invalid="ignore"):
        centered = st - q * se - r * dt + r * q * de
        return np.asarray(r), np.asarray(q), np.asarray(units / d * (units / e) * centered)
