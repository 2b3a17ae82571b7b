"""Two histograms, at any time: an exact e-process on the cells of each poll.

H0 (`two-sided`): control and treatment have the same distribution in every poll, whatever it is.
`greater`: H0 is "in every poll, values of the treatment are stochastically at most as large", i.e.
not more of them are above any edge; `less`: "at least as large". There is no margin: a null other
than 0 is not estimable (see `quantile_sequence` and `share_above_sequence`).

`control`, `treatment`, effect and lift are those of `mann_whitney`. p and the decision are exact at
any sample size and stopping time; the interval of the effect is asymptotic, except that it holds 0
exactly if H0 is not rejected.

Sources: Turner, Ly & Grünwald (2024), arXiv:2106.02693; Newcombe (2006), doi:10.1002/sim.2324.
"""

import math
from dataclasses import replace

import numpy as np

from abctl.stats._contrast import lift_of
from abctl.stats._histogram_e import log_e_path
from abctl.stats._mixture import boundary, log_always_valid_p
from abctl.stats._ranks import Ranks, as_effect
from abctl.stats._sequence import EARLIER, agreeing
from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.summary import Histogram, Stream, SummaryError, common_edges

SUMMARY = Histogram
SEQUENTIAL = True
ASSUMPTIONS = (
    "each value is independent of the others",
    "the null holds in every poll; the load may drift and the split may change between polls",
)
# The effect 2 theta - 1 of a small change of log odds.
_EFFECT_PER_LOG_ODDS = 1.0 / 3.0


def estimate(stream: Stream[Histogram], plan: Plan) -> Estimate | NotEstimable:
    """How much more often the treatment's values are larger, valid however often anyone looks."""
    if plan.null.value != 0.0:
        return NotEstimable("histogram_sequence", "it tests equality only, without a margin")
    try:
        control, treatment = common_edges(stream.control, stream.treatment)
    except SummaryError as error:
        return NotEstimable("histogram_sequence", str(error))
    ranks = Ranks.of(replace(stream, control=control, treatment=treatment))
    if isinstance(ranks, str):
        return NotEstimable("histogram_sequence", ranks)
    log_e, log_odds = log_e_path(control, treatment, plan)
    log_p = log_always_valid_p(log_e)
    rejects = log_p <= math.log(plan.alpha)
    theta = ranks.superiority
    information = 0.25 / float(ranks.variance(np.array([0.5]))[0])
    crit = boundary(information, _EFFECT_PER_LOG_ODDS * float(log_odds[-1]), plan)
    interval, lift_interval = agreeing(
        *as_effect(ranks.interval(crit, plan.alternative), plan.alternative),
        plan,
        1.0 - theta,
        theta,
        rejects=rejects,
    )
    return Estimate(
        method="histogram_sequence",
        control=1.0 - theta,
        treatment=theta,
        effect=2.0 * theta - 1.0,
        interval=interval,
        lift=lift_of(1.0 - theta, theta),
        lift_interval=lift_interval if theta < 1.0 else None,
        p=math.exp(log_p),
        log_p=log_p,
        alpha=plan.alpha,
        alternative=plan.alternative,
        guarantee="exact",
        assumptions=ASSUMPTIONS,
        n=(float(ranks.n_a.sum()), float(ranks.n_b.sum())),
        epochs=ranks.epochs,
        log_e=float(log_e[-1]),
        notes=(EARLIER,) if rejects and log_e[-1] < -math.log(plan.alpha) else (),
    )
