"""Upper tails of distributions whose logarithm stays finite where the probability underflows."""

import math

from scipy.special import betainc, betaln, gammaincc, hyp2f1

# scipy.special functions lose their last digits as they come near the smallest double.
_SMALLEST = 1e-290


def chi2_tail(statistic: float, df: float) -> tuple[float, float]:
    """P(chi-squared with `df` > statistic) and its natural logarithm.

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
