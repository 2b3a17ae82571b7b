"""Means and variances from n, sum and sum of squares, guarded against cancellation."""

from dataclasses import dataclass

import numpy as np

from abctl.stats.summary import Array, Moments

# Sums of doubles carry a relative error of about 1e-16 an addition; below this share of the sum
# of squares, the centered one is mostly rounding.
_LOST = 1e-10


@dataclass(frozen=True, eq=False)
class Sample:
    """n, mean and sample variance; arrays of one shape."""

    n: Array
    mean: Array
    variance: Array

    @classmethod
    def of(cls, moments: Moments) -> "Sample":
        """Sample of each row; mean is 0 where n is 0, variance is NaN where n is under 2."""
        n = moments.n
        shifted_mean = moments.sum / np.maximum(n, 1.0)
        centered = np.maximum(moments.sum_sq - moments.sum * shifted_mean, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = np.where(n >= 2.0, centered / (n - 1.0), np.nan)
        return cls(n, shifted_mean + moments.shift, variance)


def cancelled(moments: Moments) -> bool:
    """Whether the spread of all the values is lost in the rounding of their sums."""
    n, total, squares = (float(field.sum()) for field in (moments.n, moments.sum, moments.sum_sq))
    return n >= 2.0 and squares > 0.0 and squares - total * total / n <= _LOST * squares


CANCELLED = (
    "all values are the same, or their spread is lost in rounding: export the sums about a "
    "constant near the mean (shift)"
)
