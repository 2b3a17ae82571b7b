"""Two proportions in small samples, once: Boschloo's unconditional exact test.

H0: treatment = control (`two-sided`); `greater`: at most, `less`: at least. There is no margin: a
null other than 0 is not estimable (see `barnard`). p is exact: the largest over all common levels,
tables being ordered by Fisher's one-sided p, which it is never above; `two-sided` is twice the
smaller side. The interval is that of `proportion`, except that it holds 0 exactly if H0 is not
rejected. For one epoch, and at most 300,000 possible tables.

Source: Boschloo (1970), doi:10.1111/j.1467-9574.1970.tb00104.x.
"""

import math

import numpy as np

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.fixed.contrast import Null
from abctl.stats.fixed.exact import SAME, Table, fisher_tails, largest_log_p, unconditional
from abctl.stats.summary import Counts, Stream

SUMMARY = Counts
SEQUENTIAL = False
_EQUAL = Null(1.0, 0.0)


def estimate(stream: Stream[Counts], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two proportions, with an exact test of "no difference".

    >>> stream = Stream(Counts(63, 31), Counts(117, 74), epoch=0)
    >>> round(estimate(stream, Plan(alternative="greater")).p, 4)  # Fisher's test gives 0.0483
    0.0356
    """
    if plan.null.value != 0.0:
        return NotEstimable("boschloo", Remark("equalityOnly"))

    def log_p(n: Table, seen: Table) -> float:
        if plan.alternative == "greater":
            return _more_in_treatment(n, seen)
        less = _more_in_treatment((n[1], n[0]), (seen[1], seen[0]))
        if plan.alternative == "less":
            return less
        return min(0.0, math.log(2.0) + min(less, _more_in_treatment(n, seen)))

    return unconditional("boschloo", stream, plan, log_p)


def _more_in_treatment(n: Table, seen: Table) -> float:
    """Logarithm of the one-sided p, for many successes of the second variant."""
    tails = fisher_tails(n)
    extreme = (tails <= tails[seen] + SAME).astype(np.float64)
    return largest_log_p(n, extreme, _EQUAL)
