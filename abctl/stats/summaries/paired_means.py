"""Pairs of numbers: both variants answered the same request, with an error (or a gain) each.

What is alike in both, an easy or a hard request, is no noise of their difference.
"""

from dataclasses import dataclass, field

import numpy as np

from abctl.stats.estimate import Remark
from abctl.stats.sequential.sequence import Paths
from abctl.stats.summaries.moments import CANCELLED, cancelled
from abctl.stats.summaries.thirds import equal_by_spread, skewness_of
from abctl.stats.summary import Array, Moments, Stream, Summary, SummaryError

_BURN_IN, _EQUAL_VALUES, _MANY = 100.0, 10.0, 10_000.0
_DEFAULT_DEVIATIONS = 0.1


@dataclass(frozen=True, eq=False)
class PairedMoments(Summary):
    """What one variant has of `n` pairs of numbers; all of shape (polls,).

    >>> both = paired_moments(np.array([1.0, 2.0]), np.array([3.0, 5.0]))
    >>> both.treatment.sum, both.treatment.apart  # 2 * 2 + 3 * 3
    (array([8.]), array([13.]))

    Attributes:
        n: how many pairs there are; the same of both variants.
        sum, sum_sq: of this variant's numbers and their squares, about `shift`.
        apart: of squares of the differences, treatment - control; the same of both. Where models
            agree on most requests, products of their numbers would lose it.
    """

    n: Array
    sum: Array
    sum_sq: Array
    apart: Array
    shift: float = field(default=0.0, metadata={"additive": False})

    def _check(self) -> None:
        Moments(self.n, self.sum, self.sum_sq)


def paired_moments(
    control: Array, treatment: Array, shift: float = 0.0, polls: int = 1
) -> Stream[PairedMoments]:
    """Pairs of numbers as a stream of one epoch.

    Args:
        control: numbers of the control.
        treatment: of the same requests, in the same order.
        shift: a constant near both, so that digits are kept.
        polls: into how many the pairs are cut, in their order.
    """
    a, b = (np.asarray(each, dtype=np.float64) for each in (control, treatment))
    poll = np.arange(a.size) * polls // max(a.size, 1)

    def sums(values: Array) -> Array:
        return np.asarray(np.bincount(poll, values, polls), dtype=np.float64)

    n, apart = sums(np.ones_like(a)), sums(np.square(b - a))
    about = (each - shift for each in (a, b))
    one, other = (PairedMoments(n, sums(x), sums(x * x), apart, shift) for x in about)
    return Stream(one, other, np.zeros(polls, dtype=np.int64))


def comparable(
    stream: Stream[PairedMoments],
) -> tuple[tuple[float, float], tuple[int, ...], Remark | None]:
    """Their number twice, their epochs, and why there can be no estimate.

    Raises:
        SummaryError: the variants do not have the same pairs.
    """
    one, other = stream.control, stream.treatment
    if not (np.array_equal(one.n, other.n) and np.array_equal(one.apart, other.apart)):
        raise SummaryError("control and treatment are not of the same pairs")
    n = float(one.n.sum())
    epochs = tuple(int(each) for each in np.unique(stream.epoch[one.n > 0.0]))
    if not epochs:
        return (n, n), epochs, Remark("noSharedEpoch")
    each = *(Moments(side.n, side.sum, side.sum_sq) for side in (one, other)), differences(stream)
    return (n, n), epochs, CANCELLED if any(map(cancelled, each)) else None


def differences(stream: Stream[PairedMoments]) -> Moments:
    """The differences of the pairs, treatment - control.

    >>> differences(paired_moments(np.array([1.0, 2.0]), np.array([3.0, 5.0]))).sum
    array([5.])
    """
    one, other = stream.control, stream.treatment
    return Moments(one.n, other.sum - one.sum, one.apart)


def moment_pair_paths(stream: Stream[PairedMoments]) -> Paths:
    """The mean of each variant after every poll, with the covariance of both.

    >>> values = np.arange(200.0)
    >>> paths = moment_pair_paths(paired_moments(values, values + np.tile([1.0, 2.0], 100)))
    >>> float((paths.b - paths.a)[-1]), bool(paths.variance()[-1] < paths.var_a[-1] / 1000)
    (1.5, True)
    """
    one, other = stream.control, stream.treatment
    n = np.cumsum(one.n)
    safe, free = np.maximum(n, 1.0), np.maximum(n - 1.0, 1.0)
    sums = [np.cumsum(side.sum) for side in (one, other)]
    squares = [np.cumsum(side.sum_sq) for side in (one, other)]
    var_a, var_b = (
        np.maximum(q - s * s / safe, 0.0) / free / safe for s, q in zip(sums, squares, strict=True)
    )
    each = differences(stream)
    between = np.cumsum(each.sum_sq) - np.square(np.cumsum(each.sum)) / safe
    variance = np.maximum(between, 0.0) / free / safe
    equal = equal_by_spread(each)
    # About the first poll's mean: later polls must not change what earlier looks said.
    center = float(each.sum[:1].sum() / max(each.n[:1].sum(), 1.0))
    skewness, deviation = skewness_of(each, center)
    third = skewness * variance**2 / np.where(deviation > 0.0, deviation, 1.0)
    return Paths(
        sums[0] / safe + one.shift,
        sums[1] / safe + one.shift,
        var_a,
        var_b,
        0.5 * (var_a + var_b - variance),
        np.maximum(n - 1.0, 1.0),
        (n >= _BURN_IN) & ((equal >= _EQUAL_VALUES) | (n >= _MANY)),
        _DEFAULT_DEVIATIONS * np.sqrt(variance * safe),
        np.zeros_like(third),
        third,
        1.0 / np.sqrt(np.maximum(equal, 1.0)),
        variance,
    )
