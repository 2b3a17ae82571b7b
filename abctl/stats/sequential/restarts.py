"""Harm that begins late: tests that begin anew through time, beside the one over everything.

After a week of health the evidence against harm is overwhelming, and an e-process over everything
takes as long again to turn. One that began an hour ago has nothing to unlearn. Each beginning has a
share of alpha, decreasing with its number so that all together sum to 1; p divided by its share is
valid for all of them together (Bonferroni), however often anyone looks. The test over everything
has nine tenths of alpha, all beginnings together one.

Source: Shin, Ramdas & Rinaldo (2024), arXiv:2203.03532 (e-detectors).
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from abctl.stats.estimate import Estimate, NotEstimable, Plan

WHOLE_SHARE = 0.9
# The sum over n >= 2 of 1 / (n log(n)^2).
_SUM = 2.109742801
Method = Callable[[Any, Plan], Estimate | NotEstimable]


def share_of(number: int) -> float:
    """The share of alpha of the nth beginning, 1 for the first.

    >>> round(share_of(1), 4), round(share_of(168), 6)  # after a week of hours
    (0.0493, 1.1e-05)
    """
    n = number + 1.0
    return (1.0 - WHOLE_SHARE) / (_SUM * n * math.log(n) ** 2) if number else WHOLE_SHARE


def with_share(method: Method, stream: Any, plan: Plan, share: float) -> Estimate | NotEstimable:
    """The estimate with a share of the plan's alpha: p over it, and an interval that agrees.

    >>> from abctl.stats.methods import proportion_sequence
    >>> from abctl.stats.summary import Counts, Stream
    >>> stream = Stream(Counts([500] * 4, [50] * 4), Counts([500] * 4, [80] * 4), [0] * 4)
    >>> judge = proportion_sequence.estimate
    >>> whole, half = (with_share(judge, stream, Plan(), share) for share in (1.0, 0.5))
    >>> round(half.p / whole.p, 6), half.interval[0] < whole.interval[0], half.alpha
    (2.0, True, 0.05)
    """
    found = method(stream, replace(plan, alpha=plan.alpha * share))
    if isinstance(found, NotEstimable):
        return found
    log_p = min(0.0, found.log_p - math.log(share))
    log_e = None if found.log_e is None else found.log_e + math.log(share)
    return replace(found, alpha=plan.alpha, p=math.exp(log_p), log_p=log_p, log_e=log_e)
