"""Two proportions in small samples, once: Barnard's unconditional exact test, also with a margin.

H0 (`two-sided`): treatment - control = null; with a relative null m,
treatment = (1 + m) * control. `greater`: H0 is "at most", `less`: H0 is "at least". p is exact:
the largest over all points with equality. The interval is that of `proportion`, except that it
holds the null exactly if H0 is not rejected. For one epoch, and at most 300,000 possible tables.

Sources: Barnard (1947), doi:10.1093/biomet/34.1-2.123; Chan (1998),
doi:10.1002/(SICI)1097-0258(19980630)17:12<1403::AID-SIM834>3.0.CO;2-Y.
"""

import math
from dataclasses import replace

from abctl.stats._contrast import null_of
from abctl.stats._exact import barnard_p
from abctl.stats._score import Strata
from abctl.stats._sequence import agreeing
from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.methods import proportion
from abctl.stats.summary import Counts, Stream

SUMMARY = Counts
SEQUENTIAL = False
_MOST_TABLES = 300_000


def estimate(stream: Stream[Counts], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two proportions and its lift, with an exact p-value."""
    strata = Strata.of(stream)
    if isinstance(strata, str):
        return NotEstimable("barnard", strata)
    if len(strata.epochs) > 1:
        return NotEstimable("barnard", "for one epoch only: use fisher or proportion", strata.n)
    n_a, n_b = int(strata.n[0]), int(strata.n[1])
    if (n_a + 1) * (n_b + 1) > _MOST_TABLES:
        return NotEstimable("barnard", "for small samples: use proportion", strata.n)
    found = proportion.estimate(stream, plan)
    if isinstance(found, NotEstimable):
        return replace(found, method="barnard")
    seen = int(strata.s_a[0]), int(strata.s_b[0])
    p = barnard_p((n_a, n_b), seen, null_of(plan, 1.0), plan.alternative)
    interval, lift_interval = agreeing(
        found.interval,
        found.lift_interval,
        plan,
        found.control,
        found.treatment,
        rejects=p < plan.alpha,
    )
    return replace(
        found,
        method="barnard",
        p=p,
        log_p=math.log(p),
        interval=interval,
        lift_interval=lift_interval,
        guarantee="exact",
        notes=strata.notes,
    )
