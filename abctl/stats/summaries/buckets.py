"""Ratios of sums over buckets of units, at every look, with the variance between buckets.

The unit of chance is the bucket of users, not the request. A bucket's residual is added up over
epochs before it is squared, so users that return in a later epoch are not counted as new ones; and
from the second epoch on, residuals of the two variants are paired by bucket, because a ramp moves
users from one variant to the other.
"""

import numpy as np

from abctl.stats.sequential.mixture import relative_default
from abctl.stats.sequential.sequence import Paths
from abctl.stats.summaries.moments import supported
from abctl.stats.summary import Array, Buckets, Stream, compared, over_epochs, running

_BURN_IN = 10.0
_MIN_BUCKETS = 8


def comparable(stream: Stream[Buckets]) -> tuple[Stream[Buckets], tuple[float, float], str]:
    """The comparable epochs, their denominators, and the reason if there can be no estimate.

    Epochs with one variant alone are left out: users known from there would not count as new ones
    when the experiment begins, and their events would support what is not compared.
    """
    a, b = (side.denominator.sum(axis=1) for side in (stream.control, stream.treatment))
    both = stream.only(compared(a, b, stream.epoch))
    n = (float(both.control.denominator.sum()), float(both.treatment.denominator.sum()))
    buckets, others = (s.denominator.shape[1] for s in (stream.control, stream.treatment))
    if buckets != others:
        return both, n, f"{buckets} buckets in the control, {others} in the treatment"
    if buckets < _MIN_BUCKETS:
        return both, n, f"{buckets} buckets, needs {_MIN_BUCKETS}"
    return both, n, "" if both.epoch.size else "no epoch with data in both variants"


def bucket_paths(stream: Stream[Buckets], *, support: bool) -> Paths:
    """The weighted ratio of each variant after every poll.

    Epochs weigh D_a D_b / (D_a + D_b) with D the denominators. The variance is first-order: delta
    method and delete-one jackknife agree in it. Degrees of freedom are Satterthwaite's in the first
    epoch, and buckets - 1 where residuals are paired.

    Args:
        stream: sums by bucket.
        support: whether variances that few events make up are raised towards the pooled one, as
            constant looking needs.

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
    paired = over_epochs((weight > 0.0).astype(np.float64), stream.epoch) > 1.0
    cov = np.where(paired, factor * np.einsum("th,th->t", influence_a, influence_b), 0.0)
    equal_a, equal_b = _equal_events(stream.control), _equal_events(stream.treatment)
    var_a, var_b = (factor * np.einsum("th,th->t", i, i) for i in (influence_a, influence_b))
    if support:
        # The variance of a mean over that of one unit of the denominator, by epochs' weights.
        unit_a, unit_b = (
            _positive(over_epochs(np.square(weight) / _positive(each), stream.epoch) * share**2)
            for each in (total_a, total_b)
        )
        one_a, one_b = var_a / unit_a, var_b / unit_b
        pooled = (one_a * unit_b + one_b * unit_a) / (unit_a + unit_b)
        var_a = supported(one_a, pooled, equal_a) * unit_a
        var_b = supported(one_b, pooled, equal_b) * unit_b
    squares = var_a**2 + var_b**2
    satterthwaite = (var_a + var_b) ** 2 / np.where(squares > 0.0, squares, 1.0)
    df = (buckets - 1.0) * np.where(paired, 1.0, np.maximum(satterthwaite, 1.0))
    ready = np.minimum(equal_a, equal_b) >= min(_BURN_IN, buckets / 2.0)
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


def _equal_events(side: Buckets) -> Array:
    """As many equal events would give the variance between buckets of the numerator up to now.

    Or of what the numerator lacks of the denominator, if those are fewer: failures, where nearly
    all succeed. One user with many events is one.
    """
    numerator = np.cumsum(side.numerator, axis=0)
    lack = np.cumsum(side.denominator, axis=0) - numerator
    buckets = numerator.shape[1]
    one, other = (
        np.square(np.abs(part).sum(axis=1)) / _positive(buckets * part.var(axis=1, ddof=1))
        for part in (numerator, lack)
    )
    return np.asarray(np.minimum(one, other))


def _positive(values: Array) -> Array:
    return np.where(values > 0.0, values, 1.0)
