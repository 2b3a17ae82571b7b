"""A ratio of sums as a mean of one value for each unit: its linearization (delta method).

It holds where no few units make up the denominator. One unit with a share w of it moves the ratio
by 1 / (1 - w) of what its linearization says, so that a load test would prove whatever it does.

Source: Deng, Knoblich & Lu (2018), arXiv:1803.06336, section 3.
"""

import numpy as np
from numpy.typing import ArrayLike

from abctl.stats.estimate import Remark
from abctl.stats.summary import Array

# As many equal units have the denominator at least: of four, with an eighth each, all are in one
# variant once in eight times.
_NEEDED = 20.0


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


def too_few_units(total: float, squares: float, most: float) -> Remark | None:
    """Why a linearization says nothing: a few units have nearly all of the denominator.

    >>> too_few_units(total=1000.0, squares=501_000.0, most=700.0).facts["largest_ratio"]
    0.7
    >>> too_few_units(total=1000.0, squares=2000.0, most=2.0)

    Args:
        total: sum of the denominators of one variant's units.
        squares: sum of their squares.
        most: the largest of them; where it is not known, what it could be by the squares.

    Source: Kish (1965), Survey Sampling, section 8.2, of how many equal units they are like.
    """
    equal = total * total / squares if squares > 0.0 else _NEEDED
    if equal >= _NEEDED:
        return None
    largest = min(1.0, most / total)
    facts = {"effective_count": equal, "needed_count": _NEEDED, "largest_ratio": largest}
    return Remark("fewUnitsHoldAll", facts)
