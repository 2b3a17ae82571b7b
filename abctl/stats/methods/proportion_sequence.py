"""Two proportions, at any time: an exact e-process on the increments of each poll.

H0 (`two-sided`): treatment - control = null in every poll; with a relative null m,
treatment = (1 + m) * control in every poll. `greater`: H0 is "at most", `less`: H0 is "at least".
The base rate may drift and the split may ramp as they like. p and the decision are exact at any
sample size and stopping time; the interval is a mixture confidence sequence of the difference
weighted over epochs, which is asymptotic and says nothing before 10 successes and 10 failures in
each variant, except that it holds the null exactly if the null is not rejected.

Sources: Turner, Ly & Grünwald (2024), arXiv:2106.02693; Robbins (1970),
doi:10.1214/aoms/1177696786; Agresti & Caffo (2000), doi:10.1080/00031305.2000.10474560.
"""

import math

import numpy as np

from abctl.stats._contrast import Contrast, Interval, lift_of, null_of, one_sided
from abctl.stats._counts_e import log_e_path
from abctl.stats._mixture import boundary, log_always_valid_p, relative_default, scale_of
from abctl.stats._score import Strata
from abctl.stats._sequence import EARLIER, agreeing
from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.summary import Counts, Stream

SUMMARY = Counts
SEQUENTIAL = True
ASSUMPTIONS = (
    "each trial is independent of the others (requests of one user are not: use ratio_sequence)",
    "the null holds in every poll; the base rate may drift and the split may change between polls",
)
_BURN_IN = 10.0


def estimate(stream: Stream[Counts], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two proportions and its lift, valid however often anyone looks."""
    strata = Strata.of(stream)
    if isinstance(strata, str):
        return NotEstimable("proportion_sequence", strata)
    control, treatment = strata.means()
    log_e = log_e_path(stream.control, stream.treatment, null_of(plan, 1.0), plan)
    log_p = log_always_valid_p(log_e)
    rejects = log_p <= math.log(plan.alpha)
    interval, lift_interval = agreeing(
        *_intervals(strata, plan), plan, control, treatment, rejects=rejects
    )
    notes = (EARLIER,) if rejects and log_e[-1] < -math.log(plan.alpha) else ()
    return Estimate(
        method="proportion_sequence",
        control=control,
        treatment=treatment,
        effect=treatment - control,
        interval=interval,
        lift=lift_of(control, treatment),
        lift_interval=lift_interval,
        p=math.exp(log_p),
        log_p=log_p,
        alpha=plan.alpha,
        alternative=plan.alternative,
        guarantee="exact",
        assumptions=ASSUMPTIONS,
        n=strata.n,
        epochs=strata.epochs,
        log_e=float(log_e[-1]),
        notes=notes,
    )


def _intervals(strata: Strata, plan: Plan) -> tuple[Interval, Interval | None]:
    control, treatment = strata.means()
    failures = min((strata.n_a - strata.s_a).sum(), (strata.n_b - strata.s_b).sum())
    if min(strata.s_a.sum(), strata.s_b.sum(), failures) < _BURN_IN:
        lifts = one_sided((-1.0, math.inf), plan.alternative) if control > 0.0 else None
        return one_sided((-1.0, 1.0), plan.alternative), lifts
    contrast = _contrast(strata)
    variance = contrast.variance(null_of(plan, control).ratio)
    level = np.array([0.5 * (control + treatment)])
    scale = float(scale_of(plan, level, relative_default(level))[0])
    crit = boundary(1.0 / variance, scale, plan)
    return (
        contrast.interval(crit, plan.alternative),
        contrast.lift_interval(crit, plan.alternative),
    )


def _contrast(strata: Strata) -> Contrast:
    """Weighted proportions; variances with a success and a failure added in every epoch."""
    control, treatment = strata.means()
    squares = (strata.weights / strata.weights.sum()) ** 2
    share_a, share_b = (
        (strata.s_a + 1.0) / (strata.n_a + 2.0),
        (strata.s_b + 1.0) / (strata.n_b + 2.0),
    )
    var_a = float(np.sum(squares * share_a * (1.0 - share_a) / strata.n_a))
    var_b = float(np.sum(squares * share_b * (1.0 - share_b) / strata.n_b))
    return Contrast(control, treatment, var_a, var_b, math.inf, strata.n, strata.epochs)
