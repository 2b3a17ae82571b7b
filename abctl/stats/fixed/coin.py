"""Tails of a fair coin, in logarithms, so that they do not underflow."""

import math

import numpy as np

from abctl.stats.estimate import Alternative
from abctl.stats.fixed.exact import log_choose


def log_p_of_coin(
    heads: float, tails: float, alternative: Alternative, *, of_seen: float = 1.0
) -> float:
    """Logarithm of the p-value of a fair coin.

    >>> round(math.exp(log_p_of_coin(8.0, 2.0, "greater")), 4)  # 56 of 1024
    0.0547

    Args:
        heads: how often they came.
        tails: the same.
        alternative: `greater`: more heads than tails.
        of_seen: how much of the probability of what was seen counts; half of it for mid-p.
    """
    if alternative == "two-sided":
        if heads == tails:
            return 0.0
        more, fewer = max(heads, tails), min(heads, tails)
        return min(0.0, math.log(2.0) + _log_upper(more, fewer, of_seen))
    return _log_upper(*((heads, tails) if alternative == "greater" else (tails, heads)), of_seen)


def _log_upper(heads: float, tails: float, of_seen: float) -> float:
    n = heads + tails
    each = log_choose(n, np.arange(heads, n + 1.0)) - n * math.log(2.0)
    each[0] += math.log(of_seen)
    return min(0.0, float(np.logaddexp.reduce(each)))
