"""Two proportions in small samples, once: Barnard's unconditional exact test, also with a margin.

H0 (`two-sided`): treatment - control = null; with a relative null m,
treatment = (1 + m) * control. `greater`: H0 is "at most", `less`: H0 is "at least". p is exact:
the largest over all points with equality, tables being ordered by the score statistic. The interval
is that of `proportion`, except that it holds the null exactly if H0 is not rejected. For one epoch,
and at most 300,000 possible tables.

Sources: Barnard (1947), doi:10.1093/biomet/34.1-2.123; with a margin Chan (1998),
doi:10.1002/(SICI)1097-0258(19980630)17:12<1403::AID-SIM834>3.0.CO;2-Y.
"""

import numpy as np

from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.fixed.contrast import null_of
from abctl.stats.fixed.exact import SAME, Table, largest_log_p, scores, unconditional
from abctl.stats.summary import Counts, Stream

SUMMARY = Counts
SEQUENTIAL = False


def estimate(stream: Stream[Counts], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two proportions and its lift, with an exact p-value.

    >>> infected = Stream(Counts(15, 12), Counts(15, 7), epoch=0)
    >>> round(estimate(infected, Plan(alternative="less")).p, 4)
    0.0341
    """
    null = null_of(plan, 1.0)

    def log_p(n: Table, seen: Table) -> float:
        statistic = scores(n, null)
        if plan.alternative == "two-sided":
            statistic = np.abs(statistic)
        elif plan.alternative == "less":
            statistic = -statistic
        extreme = (statistic >= statistic[seen] - SAME).astype(np.float64)
        return largest_log_p(n, extreme, null)

    return unconditional("barnard", stream, plan, log_p)
