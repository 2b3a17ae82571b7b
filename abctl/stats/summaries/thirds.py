"""Third central moments of means, from what polls have: n, sum and sum of squares.

The covariance of a poll's sum and its sum of squares (both about one constant near the mean) is n
times the third central moment, however large polls are. Where the level drifts from poll to poll
the sums vary more than the values' spread allows; then the skewness is divided by that larger
spread, so that drift is not taken for skewness.

A small variant has not seen the largest values yet, exactly where its mean is low. So each variant
has its own skewness, or that of both together if this is larger.
"""

import numpy as np

from abctl.stats.fixed.contrast import LOST
from abctl.stats.summary import Array, Moments, Stream

_LEAST_POLLS = 4


def equal_by_spread(moments: Moments) -> Array:
    """As many values as n over their kurtosis, which does not depend on where zero is.

    >>> n, sums, squares = [50] * 4, [5, -5, 5, -5], [50, 52, 48, 50]  # around zero
    >>> float(equal_by_spread(Moments(n, sums, squares))[-1]) > 100.0
    True

    The kurtosis comes from how much the polls' sums of squares vary; 0 with under 4 polls.
    """
    n, total = moments.n, np.cumsum(moments.n)
    safe = np.maximum(total, 1.0)
    sums, squares = (np.cumsum(each) / safe for each in (moments.sum, moments.sum_sq))
    center = float(moments.sum[:1].sum() / max(moments.n[:1].sum(), 1.0))
    about = moments.sum_sq - 2.0 * center * moments.sum + center * center * n
    q, nn = np.cumsum(about) / safe, np.cumsum(n * n)
    between = np.cumsum(about * about) - 2.0 * q * np.cumsum(about * n) + q * q * nn
    fourth = np.maximum(between, 0.0) / np.maximum(total - nn / safe, 1.0) + q * q
    variance = np.maximum(squares - sums * sums, 0.0)
    polls = np.cumsum(n > 0.0)
    usable = (variance > LOST * squares) & (polls >= _LEAST_POLLS)
    return np.where(usable, total * variance**2 / np.where(usable, fourth, 1.0), 0.0)


def doubt_of_variance(stream: Stream[Moments], variances: tuple[Array, Array]) -> Array:
    """Standard error of the variance of a difference of means over that variance, at every look.

    >>> rng = np.random.default_rng(1)
    >>> x = rng.exponential(size=(2, 50, 200))  # of 10,000 values in each: sqrt(9 / 20,000)
    >>> n = np.full(50, 200)
    >>> stream = Stream(*(Moments(n, s.sum(1), (s * s).sum(1)) for s in x), np.zeros(50))
    >>> float(doubt_of_variance(stream, (np.ones(50), np.ones(50)))[-1].round(2))
    0.02

    By the kurtosis; 0 with under 4 polls, which do not tell it.

    Args:
        stream: what was counted in each poll.
        variances: of both means, at every look.
    """
    total = variances[0] + variances[1]
    square = np.zeros_like(total)
    for side, variance in zip((stream.control, stream.treatment), variances, strict=True):
        equal = equal_by_spread(side)
        square += np.where(equal > 0.0, variance**2 / np.where(equal > 0.0, equal, 1.0), 0.0)
    return np.asarray(np.sqrt(square) / np.where(total > 0.0, total, 1.0))


def third_moments(stream: Stream[Moments], variances: tuple[Array, Array]) -> tuple[Array, Array]:
    """Third central moments of the means of control and treatment, at every look.

    >>> n, totals, squares = [10, 10, 10], [10, 10, 40], [20, 20, 500]
    >>> side = Moments(n, totals, squares)
    >>> one, other = third_moments(Stream(side, side, [0, 0, 0]), (np.ones(3), np.ones(3)))
    >>> bool(one[-1] > 0.0), bool(np.all(one == other))
    (True, True)

    Args:
        stream: what was counted in each poll.
        variances: of both means, at every look.
    """
    first = stream.control.n[:1].sum() + stream.treatment.n[:1].sum()
    sums = stream.control.sum[:1].sum() + stream.treatment.sum[:1].sum()
    center = float(sums / max(first, 1.0))
    sides = [skewness_of(side, center) for side in (stream.control, stream.treatment)]
    n_a, n_b = np.cumsum(stream.control.n), np.cumsum(stream.treatment.n)
    pooled = (n_a * sides[0][0] + n_b * sides[1][0]) / np.maximum(n_a + n_b, 1.0)
    found = [
        np.where(np.abs(own) > np.abs(pooled), own, pooled)
        * variance**2
        / np.where(deviation > 0.0, deviation, 1.0)
        for (own, deviation), variance in zip(sides, variances, strict=True)
    ]
    return found[0], found[1]


def skewness_of(moments: Moments, center: float) -> tuple[Array, Array]:
    """Skewness of one value and its standard deviation, at every look."""
    n = moments.n
    sums = moments.sum - center * n
    squares = moments.sum_sq - 2.0 * center * moments.sum + center * center * n
    total, s, q = np.cumsum(n), np.cumsum(sums), np.cumsum(squares)
    safe = np.maximum(total, 1.0)
    mean, square, nn = s / safe, q / safe, np.cumsum(n * n)
    sn, qn = np.cumsum(sums * n), np.cumsum(squares * n)
    free = np.maximum(total - nn / safe, 1.0)
    both = np.cumsum(sums * squares) - square * sn - mean * qn + mean * square * nn
    between = np.cumsum(sums * sums) - 2.0 * mean * sn + mean * mean * nn
    variance = np.maximum(square - mean * mean, 0.0)
    third = both / free - 2.0 * mean * variance
    spread = np.maximum(variance, between / free)
    known = spread > LOST * np.maximum(square, 0.0)
    skewness = np.where(known, third, 0.0) / np.where(known, spread, 1.0) ** 1.5
    return skewness, np.sqrt(variance)
