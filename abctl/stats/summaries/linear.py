"""A ratio of sums as a mean of one value for each unit: its linearization (delta method).

Source: Deng, Knoblich & Lu (2018), arXiv:1803.06336, section 3.
"""

import numpy as np

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
