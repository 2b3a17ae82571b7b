"""Ratios of sums over buckets of units, at every look, with the variance between buckets.

The unit of chance is the bucket of users, not the request. A bucket's residual is added up over
epochs before it is squared, so users that return in a later epoch are not counted as new ones; and
from the second epoch on, residuals of the two variants are paired by bucket, because a ramp moves
users from one variant to the other.

*Beside the same ratio from before*: users return, so a user's sums grow from poll to poll while
what is known from before does not change. So at each look everything up to it is adjusted, by the
slope that was known at the look before. The adjusted ratio of a variant is R - slope (R before - R
before of both together); a bucket's part in it is what is left of its linearization (delta method).

Sources: Deng, Knoblich & Lu (2018), arXiv:1803.06336; Deng, Xu, Kohavi & Walker (2013),
doi:10.1145/2433396.2433413.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abctl.stats.estimate import Remark
from abctl.stats.sequential.mixture import relative_default
from abctl.stats.sequential.sequence import Paths
from abctl.stats.summaries.moments import supported
from abctl.stats.summary import (
    Array,
    Buckets,
    Stream,
    Summary,
    SummaryError,
    compared,
    over_epochs,
    running,
)

_BURN_IN = 10.0
# Shares of the denominator from which on a bucket matters by more than its linearization says.
_LARGE = 0.05
MIN_BUCKETS = 8


def comparable(
    stream: Stream[Buckets],
) -> tuple[Stream[Buckets], tuple[float, float], Remark | None]:
    """The comparable epochs, their denominators, and the reason if there can be no estimate.

    Epochs with one variant alone are left out: users known from there would not count as new ones
    when the experiment begins, and their events would support what is not compared.
    """
    a, b = (side.denominator.sum(axis=1) for side in (stream.control, stream.treatment))
    both = stream.only(compared(a, b, stream.epoch))
    n = (float(both.control.denominator.sum()), float(both.treatment.denominator.sum()))
    buckets, others = (s.denominator.shape[1] for s in (stream.control, stream.treatment))
    if buckets != others:
        facts = {"control_count": buckets, "treatment_count": others}
        return both, n, Remark("otherBuckets", facts)
    if buckets < MIN_BUCKETS:
        facts = {"buckets_count": buckets, "needed_count": MIN_BUCKETS}
        return both, n, Remark("tooFewBuckets", facts)
    return both, n, None if both.epoch.size else Remark("noSharedEpoch")


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
    equal_a, equal_b = equal_events(stream.control), equal_events(stream.treatment)
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
    df = degrees_of_freedom(var_a, var_b, buckets, paired=paired)
    ready = np.minimum(equal_a, equal_b) >= needed(buckets)
    # Of a sum of independent buckets, as of one of independent users.
    cubes = buckets**2 / ((buckets - 1.0) * (buckets - 2.0))
    third_a, third_b = (cubes * np.sum(i**3, axis=1) for i in (influence_a, influence_b))
    default = relative_default(0.5 * (a + b))
    return Paths(a, b, var_a, var_b, cov, df, ready & (total > 0.0), default, third_a, third_b)


def degrees_of_freedom(
    var_a: Array, var_b: Array, buckets: int, *, paired: NDArray[np.bool_]
) -> Array:
    """Satterthwaite's of sums over buckets; buckets - 1 where both variants' are paired."""
    squares = var_a**2 + var_b**2
    satterthwaite = (var_a + var_b) ** 2 / np.where(squares > 0.0, squares, 1.0)
    return np.asarray((buckets - 1.0) * np.where(paired, 1.0, np.maximum(satterthwaite, 1.0)))


def needed(buckets: int) -> float:
    """As many equal buckets are needed for sums over buckets to be close to normal."""
    return min(_BURN_IN, buckets / 2.0)


def _ratios(side: Buckets, stream: Stream[Buckets]) -> tuple[Array, Array, Array]:
    """Ratio of sums, residual of each bucket over the sum of denominators, that sum."""
    numerator = running(side.numerator, stream.epoch)
    denominator = running(side.denominator, stream.epoch)
    total = denominator.sum(axis=1)
    safe = np.where(total > 0.0, total, 1.0)
    ratio = numerator.sum(axis=1) / safe
    residual = (numerator - ratio[:, None] * denominator) / safe[:, None]
    share = denominator / safe[:, None]
    least = max(_LARGE, 2.0 / share.shape[1])
    # Without a bucket the ratio moves by that much more: the bucket is not in the denominator then.
    moved = np.where(share > least, (1.0 - least) / np.maximum(1.0 - share, 1e-9), 1.0)
    return ratio, residual * moved, total


def equal_events(side: Buckets) -> Array:
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


@dataclass(frozen=True, eq=False)
class BucketPairs(Summary):
    """Sums by bucket during the experiment and before it, each of shape (polls, buckets).

    >>> ones = np.ones((2, 16))
    >>> BucketPairs(0.1 * ones, ones, 0.2 * ones, ones).during.numerator.shape
    (2, 16)

    What is from before belongs to the poll in which a unit is first seen in an epoch; its
    denominator is 1 for each unit if the covariate is one value of it.
    """

    numerator: Array
    denominator: Array
    before_numerator: Array
    before_denominator: Array

    def _check(self) -> None:
        if self.numerator.shape != self.before_numerator.shape:
            raise SummaryError("as many buckets before as during the experiment")
        if self.during.polls != self.before.polls:
            raise SummaryError("as many polls before as during the experiment")

    @property
    def during(self) -> Buckets:
        """What is compared."""
        return Buckets(self.numerator, self.denominator)

    @property
    def before(self) -> Buckets:
        """The covariate."""
        return Buckets(self.before_numerator, self.before_denominator)


@dataclass(frozen=True, eq=False)
class AdjustedBuckets:
    """Sums by bucket whose ratio is the adjusted one, at every look.

    >>> sums, ones = np.tile([1.0, 2.0, 3.0, 4.0], (2, 4)), np.ones((2, 16))
    >>> side = BucketPairs(2.0 * sums, ones, sums, ones)
    >>> adjusted_buckets(Stream(side, side, [0, 0])).slope  # the first look has none yet
    array([0., 2.])

    Attributes:
        slope: of the ratio on that from before, at every look.
        reduced: the share that it takes off the variance in the end: the squared correlation.
    """

    stream: Stream[Buckets]
    slope: Array
    reduced: float


def adjusted_buckets(stream: Stream[BucketPairs]) -> AdjustedBuckets:
    """Everything up to each look, adjusted by the slope of the look before."""
    sides = [_Side.of(side, stream) for side in (stream.control, stream.treatment)]
    xx, yy, xy = (
        over_epochs(sum(np.sum(each, axis=1) for each in products), stream.epoch)
        for products in zip(*(side.products() for side in sides), strict=True)
    )
    known = xx > 0.0
    slope = np.where(known, xy, 0.0) / np.where(known, xx, 1.0)
    reduced = xy[-1] ** 2 / (xx[-1] * yy[-1]) if known[-1] and yy[-1] > 0.0 else 0.0
    slope = np.concatenate((np.zeros(1), slope[:-1]))
    pooled = sum(side.x.sum(axis=1) for side in sides)
    common = pooled / _some(sum(side.m.sum(axis=1) for side in sides))
    control, treatment = (side.adjusted(slope, common, stream) for side in sides)
    return AdjustedBuckets(
        Stream(control, treatment, stream.epoch), slope, float(min(1.0, reduced))
    )


@dataclass(frozen=True, eq=False)
class _Side:
    """Sums of a variant in the epoch up to each look: y over d during, x over m before."""

    y: Array
    d: Array
    x: Array
    m: Array

    @classmethod
    def of(cls, side: BucketPairs, stream: Stream[BucketPairs]) -> "_Side":
        fields = (
            side.numerator,
            side.denominator,
            side.before_numerator,
            side.before_denominator,
        )
        return cls(*(running(each, stream.epoch) for each in fields))

    def residuals(self) -> tuple[Array, Array]:
        """What each bucket adds to the ratio of its variant, during and before."""
        return _residual(self.y, self.d), _residual(self.x, self.m)

    def products(self) -> tuple[Array, Array, Array]:
        """Squares of what is from before and during, and products, as sums over units."""
        during, before = self.residuals()
        units = self.m.sum(axis=1)[:, None]
        return units * before * before, units * during * during, units * during * before

    def adjusted(self, slope: Array, common: Array, stream: Stream[BucketPairs]) -> Buckets:
        """Increments of the adjusted sums."""
        _, before = self.residuals()
        ratio = self.x.sum(axis=1) / _some(self.m.sum(axis=1))
        total = self.d.sum(axis=1)[:, None]
        moved = slope * np.where(self.m.sum(axis=1) > 0.0, ratio - common, 0.0)
        so_far = self.y - slope[:, None] * total * before - moved[:, None] * self.d
        starts = np.diff(stream.epoch, prepend=stream.epoch[:1] - 1) != 0
        earlier = np.where(starts[:, None], 0.0, np.roll(so_far, 1, axis=0))
        denominator = np.where(starts[:, None], self.d, self.d - np.roll(self.d, 1, axis=0))
        return Buckets(so_far - earlier, denominator)


def _residual(numerator: Array, denominator: Array) -> Array:
    total = _some(denominator.sum(axis=1))
    ratio = numerator.sum(axis=1) / total
    return np.asarray((numerator - ratio[:, None] * denominator) / total[:, None])


def _some(values: Array) -> Array:
    return np.where(values > 0.0, values, 1.0)
