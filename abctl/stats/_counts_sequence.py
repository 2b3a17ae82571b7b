"""Proportions and rates at any time: the exact e-process, and a confidence sequence beside it."""

import math
from dataclasses import replace

import numpy as np

from abctl.stats._contrast import Interval, lift_of, null_of
from abctl.stats._linear_e import Pairs, log_e_path
from abctl.stats._mixture import boundary, log_always_valid_p, relative_default, scale_of
from abctl.stats._rare import rare_intervals
from abctl.stats._score import Strata, tried
from abctl.stats._sequence import EARLIER, EARLY_SHARE, agreeing
from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.summary import Counts, Events, Stream

_BURN_IN = 10.0


def counts_sequence(
    method: str,
    stream: Stream[Counts] | Stream[Events],
    plan: Plan,
    assumptions: tuple[str, ...],
) -> Estimate | NotEstimable:
    """The answer at the last poll: e-value, always-valid p and confidence sequence."""
    strata = Strata.of(stream)
    if isinstance(strata, str):
        return NotEstimable(method, strata)
    control, treatment = strata.means()
    pairs = Pairs(*tried(stream.control), *tried(stream.treatment), strata.poisson)
    log_e = log_e_path(pairs, null_of(plan, 1.0), plan)
    log_p = log_always_valid_p(log_e)
    rejects = log_p <= math.log(plan.alpha)
    interval, lift_interval = agreeing(
        *_intervals(strata, plan), plan, control, treatment, rejects=rejects
    )
    earlier = (EARLIER,) if rejects and log_e[-1] < -math.log(plan.alpha) else ()
    return Estimate(
        method=method,
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
        assumptions=assumptions,
        n=strata.n,
        epochs=strata.epochs,
        log_e=float(log_e[-1]),
        notes=(*strata.notes, *earlier),
    )


def _intervals(strata: Strata, plan: Plan) -> tuple[Interval, Interval | None]:
    control, treatment = strata.means()
    fewest = min(strata.s_a.sum(), strata.s_b.sum())
    if not strata.poisson:
        fewest = min(fewest, (strata.n_a - strata.s_a).sum(), (strata.n_b - strata.s_b).sum())
    if fewest < _BURN_IN:
        return rare_intervals(strata, replace(plan, alpha=EARLY_SHARE * plan.alpha))
    plan = replace(plan, alpha=(1.0 - EARLY_SHARE) * plan.alpha)
    contrast = strata.contrast()
    variance = contrast.variance(null_of(plan, control).ratio)
    level = np.array([0.5 * (control + treatment)])
    scale = float(scale_of(plan, level, relative_default(level))[0])
    crit = boundary(1.0 / variance, scale, plan)
    return (
        contrast.interval(crit, plan.alternative),
        contrast.lift_interval(crit, plan.alternative),
    )
