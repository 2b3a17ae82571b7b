"""Means and variances from n, sum and sum of squares.

Cancellation is detected. A variance that few values determine is raised towards the pooled one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abctl.stats.estimate import Remark
from abctl.stats.sequential.sequence import Paths
from abctl.stats.summaries.thirds import equal_by_spread, third_moments
from abctl.stats.summary import Array, Moments, Stream, compared, over_epochs, running, weight_of

# Sums of doubles carry a relative error of about 1e-16 an addition; below this share of the sum
# of squares, the centered one is mostly rounding.
_LOST = 1e-10
_VALUES, _BURN_IN = 100.0, 100.0
_EQUAL_VALUES, _MANY = 10.0, 10_000.0
_DEFAULT_DEVIATIONS = 0.1
CANCELLED = Remark("spreadLost")
UNREADY = Remark("tooFewValuesForNormal", {"needed_count": _BURN_IN})


def supported(variance: Array, pooled: Array, equal_values: Array) -> Array:
    """A variance, raised towards that of both variants together while few values make it up.

    Of skewed values it is small exactly where their mean is, so that a canary that has not yet seen
    a large value would look proven to be lower. The support fades as values come in (100 count as
    much as the pooled variance does), so in the end each variant has a variance of its own.

    Args:
        variance: of one variant.
        pooled: of both, on the same scale.
        equal_values: as many equal values would make up the variant's data.
    """
    support = _VALUES / (_VALUES + equal_values)
    return np.asarray(variance + np.maximum(pooled - variance, 0.0) * support)


@dataclass(frozen=True, eq=False)
class Sample:
    """n, mean and sample variance; arrays of one shape.

    >>> Sample.of(Moments(n=3, sum=6, sum_sq=14))  # of 1, 2 and 3
    Sample(n=array([3.]), mean=array([2.]), variance=array([1.]))
    """

    n: Array
    mean: Array
    variance: Array

    @classmethod
    def of(cls, moments: Moments) -> "Sample":
        """Sample of each row; mean is 0 where n is 0, variance is 0 where n is under 2."""
        n = moments.n
        mean = moments.sum / np.maximum(n, 1.0)
        centered = np.maximum(moments.sum_sq - moments.sum * mean, 0.0)
        variance = np.where(n >= 2.0, centered / np.maximum(n - 1.0, 1.0), 0.0)
        return cls(n, np.where(n > 0.0, mean + moments.shift, 0.0), variance)


def cancelled(moments: Moments) -> bool:
    """Whether the spread of all values is lost in the rounding of their sums."""
    n, total, squares = (float(field.sum()) for field in (moments.n, moments.sum, moments.sum_sq))
    return n >= 2.0 and squares > 0.0 and squares - total * total / n <= _LOST * squares


def comparable(
    stream: Stream[Moments],
) -> tuple[Stream[Moments], tuple[float, float], Remark | None]:
    """The comparable epochs, their numbers of values, and the reason if there can be no estimate.

    Epochs with one variant alone are left out: their values must not support the other's variance.
    """
    both = stream.only(compared(stream.control.n, stream.treatment.n, stream.epoch, least=1.0))
    n = (float(both.control.n.sum()), float(both.treatment.n.sum()))
    return both, n, CANCELLED if cancelled(both.control) or cancelled(both.treatment) else None


def moment_paths(stream: Stream[Moments]) -> Paths:
    """The weighted mean of each variant after every poll, with Welch's variances.

    Epochs weigh n_a n_b / (n_a + n_b); an epoch counts from 2 values in each variant on.
    """
    a = Sample.of(_running(stream.control, stream.epoch))
    b = Sample.of(_running(stream.treatment, stream.epoch))
    weight = np.where((a.n >= 2.0) & (b.n >= 2.0), weight_of(a.n, b.n), 0.0)
    within = (a.n - 1.0) * a.variance + (b.n - 1.0) * b.variance
    pooled = within / np.maximum(a.n + b.n - 2.0, 1.0)
    equal_a, equal_b = _equal_values(stream.control), _equal_values(stream.treatment)
    part_a = weight**2 * supported(a.variance, pooled, equal_a) / np.maximum(a.n, 1.0)
    part_b = weight**2 * supported(b.variance, pooled, equal_b) / np.maximum(b.n, 1.0)
    part_df = part_a**2 / np.maximum(a.n - 1.0, 1.0) + part_b**2 / np.maximum(b.n - 1.0, 1.0)
    terms = (weight, weight * a.mean, weight * b.mean, part_a, part_b, part_df)
    total, mean_a, mean_b, var_a, var_b, spread = (
        over_epochs(term, stream.epoch) for term in terms
    )
    safe = np.where(total > 0.0, total, 1.0)
    variance = var_a + var_b
    df = np.where(spread > 0.0, variance**2 / np.where(spread > 0.0, spread, 1.0), 1.0)
    one_value = variance / safe
    return Paths(
        mean_a / safe,
        mean_b / safe,
        var_a / safe**2,
        var_b / safe**2,
        np.zeros_like(safe),
        df,
        _ready(stream.control, equal_a) & _ready(stream.treatment, equal_b) & (total > 0.0),
        _DEFAULT_DEVIATIONS * np.sqrt(one_value),
        *third_moments(stream, (var_a / safe**2, var_b / safe**2)),
    )


def _running(moments: Moments, epoch: NDArray[np.int64]) -> Moments:
    n, total, squares = (running(f, epoch) for f in (moments.n, moments.sum, moments.sum_sq))
    return Moments(n, total, squares, moments.shift)


def _equal_values(moments: Moments) -> Array:
    """As many equal values would make up the sum up to now: (sum x)^2 / sum x^2.

    Or, of values around zero, as many as their kurtosis says.
    """
    n, total, squares = (np.cumsum(field) for field in (moments.n, moments.sum, moments.sum_sq))
    raw = total + n * moments.shift
    raw_squares = squares + 2.0 * moments.shift * total + n * moments.shift**2
    found = raw**2 / np.where(raw_squares > 0.0, raw_squares, 1.0)
    return np.maximum(found, equal_by_spread(moments))


def _ready(moments: Moments, equal_values: Array) -> NDArray[np.bool_]:
    n = np.cumsum(moments.n)
    return (n >= _BURN_IN) & ((equal_values >= _EQUAL_VALUES) | (n >= _MANY))
