"""Ratios of sums over buckets of units, at every look, with the variance between buckets.

The unit of chance is the bucket of users, not the request. A bucket's residual is added up over
epochs before it is squared, so users that return in a later epoch are not counted as new ones; and
from the second epoch on, residuals of the two variants are paired by bucket, because a ramp moves
users from one variant to the other.
"""

import numpy as np

from abctl.stats._epochs import over_epochs, running
from abctl.stats._mixture import relative_default
from abctl.stats._sequence import Paths
from abctl.stats.summary import Array, Buckets, Stream

_BURN_IN = 10.0


def bucket_paths(stream: Stream[Buckets]) -> Paths:
    """The weighted ratio of each variant after every poll.

    Epochs weigh D_a D_b / (D_a + D_b) with D the denominators. The variance is first-order: delta
    method and delete-one jackknife agree in it. Degrees of freedom are Satterthwaite's in the first
    epoch, and buckets - 1 where residuals are paired.

    Source: Deng, Knoblich & Lu (2018), arXiv:1803.06336, section 3.
    """
    buckets = stream.control.denominator.shape[1]
    ratio_a, residual_a, total_a = _ratios(stream.control, stream)
    ratio_b, residual_b, total_b = _ratios(stream.treatment, stream)
    weight = total_a * total_b / np.where(total_a + total_b > 0.0, total_a + total_b, 1.0)
    total = over_epochs(weight, stream.epoch)
    share = 1.0 / np.where(total > 0.0, total, 1.0)
    a = over_epochs(weight * ratio_a, stream.epoch) * share
    b = over_epochs(weight * ratio_b, stream.epoch) * share
    influence_a = over_epochs(weight[:, None] * residual_a, stream.epoch) * share[:, None]
    influence_b = over_epochs(weight[:, None] * residual_b, stream.epoch) * share[:, None]
    factor = buckets / (buckets - 1.0)
    var_a = factor * np.einsum("th,th->t", influence_a, influence_a)
    var_b = factor * np.einsum("th,th->t", influence_b, influence_b)
    paired = over_epochs((weight > 0.0).astype(np.float64), stream.epoch) > 1.0
    cov = np.where(paired, factor * np.einsum("th,th->t", influence_a, influence_b), 0.0)
    squares = var_a**2 + var_b**2
    satterthwaite = (var_a + var_b) ** 2 / np.where(squares > 0.0, squares, 1.0)
    df = (buckets - 1.0) * np.where(paired, 1.0, np.maximum(satterthwaite, 1.0))
    ready = np.minimum(_spread(stream.control), _spread(stream.treatment)) >= _enough(buckets)
    return Paths(
        a, b, var_a, var_b, cov, df, ready & (total > 0.0), relative_default(0.5 * (a + b))
    )


def _ratios(side: Buckets, stream: Stream[Buckets]) -> tuple[Array, Array, Array]:
    """Ratio of sums, residual of each bucket over the sum of denominators, that sum."""
    numerator = running(side.numerator, stream.epoch)
    denominator = running(side.denominator, stream.epoch)
    total = denominator.sum(axis=1)
    safe = np.where(total > 0.0, total, 1.0)
    ratio = numerator.sum(axis=1) / safe
    return ratio, (numerator - ratio[:, None] * denominator) / safe[:, None], total


def _enough(buckets: int) -> float:
    """Buckets that have to matter before sums over them are close to normal."""
    return min(_BURN_IN, buckets / 2.0)


def _spread(side: Buckets) -> Array:
    """As many equal buckets would have the sum up to now: of the numerator, or of what it lacks.

    A variance that comes from a few events is small exactly where there were few of them, which
    looks like proof; and one user with many events is one.
    """
    numerator = np.cumsum(side.numerator, axis=0)
    lack = np.cumsum(side.denominator, axis=0) - numerator
    squares = (np.einsum("th,th->t", part, part) for part in (numerator, lack))
    sums = (np.abs(part).sum(axis=1) for part in (numerator, lack))
    one, other = (
        total**2 / np.where(square > 0.0, square, 1.0)
        for total, square in zip(sums, squares, strict=True)
    )
    return np.asarray(np.minimum(one, other))
