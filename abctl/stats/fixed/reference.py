"""Reference distributions of a test statistic: p-values, critical values, tails and roots.

The logarithm of a tail stays finite where the probability underflows.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy.special import betainc, betaln, gammaincc, hyp2f1, log_ndtr, ndtri, stdtr, stdtrit

from abctl.stats.estimate import Alternative
from abctl.stats.summary import Array

_SMALLEST = 1e-290
_NEARLY_NORMAL = 1e5
_LOG_2 = math.log(2.0)
_GRID = np.linspace(0.0, 1.0, 33)
# Around a guess, in widths of where the root may be: from a quarter to next to nothing.
_AROUND = 4.0 ** -np.arange(1.0, 17.0)
_AROUND = np.concatenate((-_AROUND, [0.0], _AROUND[::-1]))
_ROUNDS, _NARROW, _SLOW = 40, 2.0**-50, 1.0 / 16.0

# scipy.special functions lose their last digits as they come near the smallest double.


def chi2_tail(statistic: float, df: float) -> tuple[float, float]:
    """P(chi-squared with `df` > statistic) and its natural logarithm.

    >>> round(chi2_tail(3.8415, df=1)[0], 4)
    0.05

    Far out, the continued fraction of the incomplete gamma function (NIST DLMF 8.9.2).
    """
    a, x = df / 2, statistic / 2
    p = float(gammaincc(a, x))
    if p > _SMALLEST:
        return p, math.log(p)
    # Evaluated from the inside out; at x this far out, 200 terms are many more than needed.
    fraction = 0.0
    for k in range(200, 0, -1):
        fraction = k * (a - k) / (x + 2 * k + 1 - a + fraction)
    return p, a * math.log(x) - x - math.lgamma(a) - math.log(x + 1 - a + fraction)


def equal_shares(counts: Array) -> tuple[float, float]:
    """Pearson's chi-squared test that all rows have the same shares, and its natural logarithm.

    >>> round(equal_shares(np.array([[10.0, 90.0], [20.0, 80.0]]))[0], 4)
    0.0477

    Rows and columns without a count say nothing; without two of each, p is 1.

    Args:
        counts: of shape (rows, columns).

    Source: Pearson (1900), doi:10.1080/14786440009463897.
    """
    some = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    df = float((some.shape[0] - 1) * (some.shape[1] - 1))
    if df <= 0.0:
        return 1.0, 0.0
    expected = np.outer(some.sum(axis=1), some.sum(axis=0)) / some.sum()
    return chi2_tail(float(np.sum((some - expected) ** 2 / expected)), df)


def f_tail(statistic: float, df1: float, df2: float) -> tuple[float, float]:
    """P(F with `df1` and `df2` > statistic) and its natural logarithm; df1 = 1 is Student's t^2.

    Far out, the hypergeometric series of the incomplete beta function (NIST DLMF 8.17.8).
    """
    a, b = df2 / 2, df1 / 2
    x, y = df2 / (df2 + df1 * statistic), df1 * statistic / (df2 + df1 * statistic)
    p = float(betainc(a, b, x))
    if p > _SMALLEST:
        return p, math.log(p)
    series = float(hyp2f1(a + b, 1.0, a + 1, x))
    log_p = a * math.log(x) + b * math.log(y) - math.log(a) - float(betaln(a, b)) + math.log(series)
    return p, log_p


def p_value(
    statistic: float, alternative: Alternative, df: float = math.inf
) -> tuple[float, float]:
    """The p-value and its logarithm, which is finite where p underflows.

    >>> p_value(40.0, "greater")
    (0.0, -804.6084420137539)

    Args:
        statistic: (effect - null) / standard error.
        alternative: the side on which large values speak against the null.
        df: degrees of freedom of Student's t; infinite for the normal distribution.
    """
    if alternative == "two-sided":
        tail, log_tail = _upper(abs(statistic), df)
        return (2.0 * tail, _LOG_2 + log_tail) if tail < 0.5 else (1.0, 0.0)
    return _upper(statistic if alternative == "greater" else -statistic, df)


def _upper(t: float, df: float) -> tuple[float, float]:
    if df < math.inf:
        tail = float(stdtr(df, -t))
        if tail > _SMALLEST:
            return tail, math.log(tail)
    if df > _NEARLY_NORMAL:
        # The series below does not converge there in reasonable time.
        log_tail = float(log_ndtr(-(normal_of_t(np.array(t), df) if df < math.inf else t)))
        return math.exp(log_tail), log_tail
    both, log_both = f_tail(t * t, 1.0, df)
    return both / 2.0, log_both - _LOG_2


def critical(alpha: float, alternative: Alternative, df: float = math.inf) -> float:
    """The statistic at which p equals alpha (its absolute value).

    >>> round(critical(0.05, "two-sided"), 4), round(critical(0.05, "two-sided", df=10), 4)
    (1.96, 2.2281)
    """
    tail = alpha / 2.0 if alternative == "two-sided" else alpha
    return -float(stdtrit(df, tail)) if df < math.inf else -float(ndtri(tail))


def normal_of_t(t: Array, df: Array | float) -> Array:
    """The standard normal quantile with about the same tail as Student's t.

    Source: Wallace (1959), doi:10.1214/aoms/1177706090; closed, monotone and never underflowing.
    """
    shrink = (8.0 * df + 1.0) / (8.0 * df + 3.0)
    return np.asarray(np.sign(t) * shrink * np.sqrt(df * np.log1p(np.square(t) / df)))


def t_of_normal(z: float, df: float) -> float:
    """The inverse of `normal_of_t`."""
    stretch = (8.0 * df + 3.0) / (8.0 * df + 1.0)
    return math.copysign(math.sqrt(df * math.expm1(min((z * stretch) ** 2 / df, 700.0))), z)


def crossing(
    decreasing: Callable[[Array], Array], low: float, high: float, guess: float | None = None
) -> float:
    """Where a decreasing function changes its sign in [low, high]; an end if it never does.

    >>> round(crossing(lambda x: 2.0 - x * x, 0.0, 2.0), 6)
    1.414214

    Evaluates the function on arrays: a grid, then points that are ever denser around where a line
    through both ends is 0. Where that does not help, a grid again.

    Args:
        decreasing: the function, of arrays of shape (points,).
        low: where to look, from here
        high: to here.
        guess: where it may be; a bad one costs time only.
    """
    reach = high - low
    points = low + reach * _GRID if guess is None else _points_around(guess, low, high)
    for _ in range(_ROUNDS):
        values = decreasing(points)
        positive = np.flatnonzero(values > 0.0)
        if positive.size == 0:
            return float(points[0])
        last = int(positive[-1])
        if last == points.size - 1:
            return float(points[-1])
        before = high - low
        low, high = float(points[last]), float(points[last + 1])
        if high - low <= _NARROW * reach:
            break
        above, below = float(values[last]), float(values[last + 1])
        zero = low + (high - low) * above / (above - below) if math.isfinite(above - below) else low
        slow = high - low > _SLOW * before or not low < zero < high
        points = low + (high - low) * _GRID if slow else _points_around(zero, low, high)
    return 0.5 * (low + high)


def _points_around(guess: float, low: float, high: float) -> Array:
    """Ascending points of [low, high] with both ends, dense around a guess."""
    return np.concatenate(([low], (guess + (high - low) * _AROUND).clip(low, high), [high]))
