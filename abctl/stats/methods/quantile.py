"""A quantile of two histograms, once: Woodruff intervals, combined.

With q the plan's quantile of the values in all epochs (weighted alike in both variants):
H0 (`two-sided`): q_treatment - q_control = null; with a relative null m,
q_treatment = (1 + m) * q_control. `greater`: H0 is "at most", `less`: H0 is "at least".
As a guardrail on p95 latency with margin 10%: `less` with null +10% proves "p95 at most 10% worse",
`greater` with null 0 proves "p95 worse". Nothing is said of any other part of the distribution.

The interval of the difference takes from each variant's interval the side that matters; p is the
level at which it would touch the null. A quantile above the last edge is not estimable.

Sources: Woodruff (1952), doi:10.1080/01621459.1952.10483443; Zou & Donner (2008),
doi:10.1002/sim.3095 (the difference); Donner & Zou (2012), doi:10.1177/0962280210383758 (the lift).
"""

import math
from functools import partial

import numpy as np

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.fixed.contrast import lift_of, null_of
from abctl.stats.fixed.mover import Mover
from abctl.stats.fixed.reference import critical, p_value
from abctl.stats.summaries.histograms import MIN_BEYOND, Pair, bucket_notes, distributions
from abctl.stats.summary import Histogram, Stream

SUMMARY = Histogram
SEQUENTIAL = False
ASSUMPTIONS = (
    "each value is independent of the others",
    "inside a bucket of the histogram values are evenly spread",
    "looked at once, when the planned size is reached",
)


def estimate(stream: Stream[Histogram], plan: Plan) -> Estimate | NotEstimable:
    """The difference of the plan's quantile and its lift.

    >>> edges = (0.1, 0.25, 0.5)  # seconds
    >>> control = Histogram([[700, 250, 40, 10]], edges)  # 0.1 + 0.15 * 200 / 250
    >>> treatment = Histogram([[600, 300, 80, 20]], edges)
    >>> found = estimate(Stream(control, treatment, epoch=0), Plan(quantile=0.9))
    >>> round(found.control, 4), round(found.treatment, 4), found.rejects
    (0.22, 0.25, True)
    """
    if plan.quantile is None:
        return NotEstimable("quantile", Remark("noQuantile"))
    pair = distributions(stream.by_epoch())
    if isinstance(pair, Remark):
        return NotEstimable("quantile", pair)
    if (few := float(pair.few(plan.quantile)[-1])) < MIN_BEYOND:
        facts = {"expected_count": few, "needed_count": MIN_BEYOND}
        return NotEstimable("quantile", Remark("tooFewBeyondQuantile", facts), pair.n)
    mover = _mover(pair, plan.quantile)
    if not math.isfinite(mover.a) or not math.isfinite(mover.b):
        reason = Remark("quantileAboveEdges", {"edge": float(pair.a.edges[-1])})
        return NotEstimable("quantile", reason, pair.n)
    crit = critical(plan.alpha, plan.alternative)
    statistic = mover.statistic(null_of(plan, mover.a))
    p, log_p = p_value(statistic, plan.alternative)
    return Estimate(
        method="quantile",
        control=mover.a,
        treatment=mover.b,
        effect=mover.b - mover.a,
        interval=mover.interval(crit, plan.alternative),
        lift=lift_of(mover.a, mover.b),
        lift_interval=mover.lift_interval(crit, plan.alternative),
        p=p,
        log_p=log_p,
        alpha=plan.alpha,
        alternative=plan.alternative,
        guarantee="asymptotic",
        assumptions=ASSUMPTIONS,
        n=pair.n,
        epochs=pair.epochs,
        notes=bucket_notes(pair, plan.quantile, crit),
        statistic=statistic,
        df=math.inf,
    )


def _mover(pair: Pair, quantile: float) -> Mover:
    a, b = pair.a.last(), pair.b.last()
    furthest = 1.01 * math.sqrt(max(float(a.n[0]), float(b.n[0])) / (quantile * (1.0 - quantile)))
    level = np.array([quantile])
    return Mover(
        float(a.at(level)[0]),
        float(b.at(level)[0]),
        partial(a.around, quantile),
        partial(b.around, quantile),
        furthest,
    )
