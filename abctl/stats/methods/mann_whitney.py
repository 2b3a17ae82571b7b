"""Two histograms, once: Mann & Whitney's test with its correction for ties, stratified by epoch.

H0: control and treatment have the same distribution in every epoch. With theta the probability that
a value of the treatment is larger than one of the control (equal ones count half), `greater` speaks
against H0 if theta is large, `less` if it is small. There is no margin: a null other than 0 is not
estimable.

`control` is 1 - theta, `treatment` is theta, so the effect is 2 theta - 1: 0 if none is larger, 1
if the treatment always is; the lift is that of the win odds theta / (1 - theta).

Sources: Mann & Whitney (1947), doi:10.1214/aoms/1177730491; van Elteren (1960); for the interval
Newcombe (2006), doi:10.1002/sim.2324.
"""

from dataclasses import replace

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.fixed.contrast import lift_of
from abctl.stats.fixed.reference import critical, p_value
from abctl.stats.summaries.histograms import FEW_EDGES, Ranks, as_effect
from abctl.stats.summary import Histogram, Stream, SummaryError, common_edges

SUMMARY = Histogram
SEQUENTIAL = False
ASSUMPTIONS = (
    "each value is independent of the others",
    "values in one bucket of the histogram count as equal",
    "looked at once, when the planned size is reached",
)


def estimate(stream: Stream[Histogram], plan: Plan) -> Estimate | NotEstimable:
    """The probability that the treatment's values are larger, minus that of the control's.

    >>> edges = (1.0, 2.0)
    >>> stream = Stream(Histogram([[60, 40, 0]], edges), Histogram([[40, 60, 0]], edges), epoch=0)
    >>> found = estimate(stream, Plan())
    >>> round(found.treatment, 4), round(found.effect, 4)  # 0.6 * 0.6 + (0.4 * 0.6 + 0.6 * 0.4) / 2
    (0.6, 0.2)
    """
    if plan.null.value != 0.0:
        return NotEstimable("mann_whitney", Remark("equalityOnly"))
    try:
        control, treatment = common_edges(stream.control, stream.treatment)
    except SummaryError:
        return NotEstimable("mann_whitney", FEW_EDGES)
    ranks = Ranks.of(replace(stream, control=control, treatment=treatment))
    if isinstance(ranks, Remark):
        return NotEstimable("mann_whitney", ranks)
    theta = ranks.superiority
    p, log_p = p_value(ranks.statistic(), plan.alternative)
    crit = critical(plan.alpha, plan.alternative)
    interval, lift_interval = as_effect(ranks.interval(crit, plan.alternative), plan.alternative)
    return Estimate(
        method="mann_whitney",
        control=1.0 - theta,
        treatment=theta,
        effect=2.0 * theta - 1.0,
        interval=interval,
        lift=lift_of(1.0 - theta, theta),
        lift_interval=lift_interval if theta < 1.0 else None,
        p=p,
        log_p=log_p,
        alpha=plan.alpha,
        alternative=plan.alternative,
        guarantee="asymptotic",
        assumptions=ASSUMPTIONS,
        n=(float(ranks.n_a.sum()), float(ranks.n_b.sum())),
        epochs=ranks.epochs,
    )
