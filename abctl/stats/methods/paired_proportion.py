"""Two shares of right answers to the same requests, at one look: the score test of pairs.

H0 (`two-sided`): treatment - control = null; with a relative null m,
treatment = (1 + m) * control. `greater`: H0 is "at most", `less`: H0 is "at least". Without a
margin it is McNemar's test (`mcnemar` has the exact one). Only pairs in which one alone is right
tell; epochs are added up, as a ramp moves no pair from one variant to the other.

Sources: Tango (1998), doi:10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B; Nam &
Blackwelder (2002), doi:10.1002/sim.1052; McNemar (1947), doi:10.1007/BF02295996.
"""

import math

import numpy as np

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.fixed.contrast import lift_of, null_of, one_sided
from abctl.stats.fixed.paired_score import differences, lifts, statistic
from abctl.stats.fixed.reference import critical, p_value
from abctl.stats.summaries.paired import (
    PairedCounts,
    cells_of,
    impossible,
    of_epochs,
    pair_paths,
)
from abctl.stats.summary import Stream

SUMMARY = PairedCounts
SEQUENTIAL = False
ASSUMPTIONS = (
    "both variants answered the same requests, and each pair is independent of the others",
    "looked at once, when the planned size is reached",
)


def estimate(stream: Stream[PairedCounts], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two shares and its lift.

    >>> from abctl.stats.summaries.paired import paired
    >>> found = estimate(paired(pairs=1000, both=900, control=15, treatment=30), Plan())
    >>> round(found.effect, 4), [round(end, 4) for end in found.interval], round(found.p, 4)
    (0.015, [0.0019, 0.0291], 0.0253)
    """
    epochs, reason = of_epochs(stream)
    total = float(stream.control.pairs.sum())
    reason = reason or impossible(stream, plan)
    if reason is not None:
        return NotEstimable("paired_proportion", reason, (total, total))
    cells = cells_of(stream).sum(axis=1)
    pooled = Stream(stream.control.pooled(), stream.treatment.pooled(), np.zeros(1, dtype=np.int64))
    contrast = pair_paths(pooled).last((total, total), epochs)
    null = null_of(plan, 1.0)
    z = float(statistic(cells, np.array([null.ratio]), np.array([null.offset]))[0])
    p, log_p = p_value(z, plan.alternative)
    crit = critical(plan.alpha, plan.alternative)
    labelled = stream.control.labelled
    lift = lift_of(contrast.a, contrast.b) if labelled else None
    return Estimate(
        method="paired_proportion",
        control=contrast.a,
        treatment=contrast.b,
        effect=contrast.b - contrast.a,
        interval=one_sided(differences(cells, crit), plan.alternative),
        lift=lift,
        lift_interval=None if lift is None else one_sided(lifts(cells, crit), plan.alternative),
        p=p,
        log_p=log_p,
        alpha=plan.alpha,
        alternative=plan.alternative,
        guarantee="asymptotic",
        assumptions=ASSUMPTIONS,
        n=contrast.n,
        epochs=epochs,
        notes=() if labelled else (Remark("agreementsUnlabelled"),),
        se=math.sqrt(contrast.variance()),
        statistic=z,
        df=math.inf,
    )
