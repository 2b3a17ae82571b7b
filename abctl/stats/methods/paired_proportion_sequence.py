"""Two shares of right answers to the same requests, at any time: an exact e-process on pairs.

H0 (`two-sided`): treatment - control = null in every poll; with a relative null m,
treatment = (1 + m) * control in every poll. `greater`: H0 is "at most", `less`: H0 is "at least".

Both variants have answered each request, so only pairs in which one alone is right tell. Where
answers agree no label is needed to compare them; then nobody knows how many are right, and the
values of control and treatment are shares of pairs in which it alone is right.

Accuracies and the split may change as they like: epochs are added up. p and the decision are exact
at any sample size and stopping time, and so is the interval up to 10 pairs in which the one alone
is right, and 10 of the other; from there on it is a mixture confidence sequence of the difference,
which is asymptotic. It holds the null exactly if that is not rejected.

Sources: McNemar (1947), doi:10.1007/BF02295996; Waudby-Smith & Ramdas (2024),
doi:10.1093/jrsssb/qkad009; Robbins (1970), doi:10.1214/aoms/1177696786.
"""

import math
from dataclasses import replace
from functools import partial

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.fixed.contrast import Contrast, Interval, agreeing, lift_of, null_of, one_sided
from abctl.stats.sequential.mixture import boundary, log_always_valid_p, scale_of
from abctl.stats.sequential.paired_e import log_e_path
from abctl.stats.sequential.sequence import (
    EARLIER,
    EARLY_SHARE,
    Contrasts,
    Paths,
    event_bounds,
    kept,
)
from abctl.stats.summaries.paired import (
    PairedCounts,
    cells_of,
    impossible,
    of_epochs,
    pair_paths,
)
from abctl.stats.summary import Array, Stream

SUMMARY = PairedCounts
SEQUENTIAL = True
ASSUMPTIONS = (
    "both variants answered the same requests, and each pair is independent of the others",
    "the null holds in every poll; accuracies may drift between polls",
)


def estimate(stream: Stream[PairedCounts], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two shares and its lift, valid however often anyone looks.

    >>> from abctl.stats.summaries.paired import paired
    >>> four = paired([500] * 4, both=[440] * 4, control=[8] * 4, treatment=[20] * 4)
    >>> found = estimate(four, Plan())
    >>> round(found.effect, 4), round(found.p, 4), found.guarantee
    (0.024, 0.0004, 'exact')
    """
    method = "paired_proportion_sequence"
    epochs, reason = of_epochs(stream)
    cells = cells_of(stream)
    total = float(cells.sum())
    reason = reason or impossible(stream, plan)
    if reason is not None:
        return NotEstimable(method, reason, (total, total))
    paths = pair_paths(stream)
    contrast = paths.last((total, total), epochs)
    null = null_of(plan, 1.0)
    log_e = log_e_path(cells, null, plan)
    log_p = log_always_valid_p(log_e)
    rejects = log_p <= math.log(plan.alpha)
    interval, lift_interval = agreeing(
        *_intervals(cells, paths, contrast, plan), plan, contrast.a, contrast.b, rejects=rejects
    )
    labelled = stream.control.labelled
    earlier = (EARLIER,) if rejects and log_e[-1] < -math.log(plan.alpha) else ()
    return Estimate(
        method=method,
        control=contrast.a,
        treatment=contrast.b,
        effect=contrast.b - contrast.a,
        interval=interval,
        lift=lift_of(contrast.a, contrast.b) if labelled else None,
        lift_interval=lift_interval if labelled else None,
        p=math.exp(log_p),
        log_p=log_p,
        alpha=plan.alpha,
        alternative=plan.alternative,
        guarantee="exact",
        assumptions=ASSUMPTIONS,
        n=contrast.n,
        epochs=epochs,
        log_e=float(log_e[-1]),
        notes=earlier if labelled else (*earlier, Remark("agreementsUnlabelled")),
        se=math.sqrt(contrast.variance()),
        statistic=contrast.statistic(null),
        df=math.inf,
    )


@kept
def contrasts(stream: Stream[PairedCounts], _plan: Plan) -> Contrasts:
    """The contrast at every look."""
    total = float(stream.control.pairs.sum())
    return Contrasts(pair_paths(stream), (total, total), partial(estimate, stream))


def _intervals(
    cells: Array, paths: Paths, contrast: Contrast, plan: Plan
) -> tuple[Interval, Interval | None]:
    if not paths.ready[-1]:
        return _of_few(cells, contrast, replace(plan, alpha=EARLY_SHARE * plan.alpha))
    plan = replace(plan, alpha=(1.0 - EARLY_SHARE) * plan.alpha)
    variance = contrast.variance(null_of(plan, contrast.a).ratio)
    level = 0.5 * (paths.a[-1:] + paths.b[-1:])
    crit = boundary(1.0 / variance, float(scale_of(plan, level, paths.default[-1:])[0]), plan)
    return (
        contrast.interval(crit, plan.alternative),
        contrast.lift_interval(crit, plan.alternative),
    )


def _of_few(cells: Array, contrast: Contrast, plan: Plan) -> tuple[Interval, Interval | None]:
    """What cannot be excluded by the number of pairs in which one alone is right.

    A third of alpha is that of each: of both numbers, and of the control's level, for the lift.
    """
    both, treatment, control, neither = cells.sum(axis=1)
    n, threshold = both + treatment + control + neither, math.log(3.0 / plan.alpha)
    low_b, high_b = event_bounds(float(treatment), threshold)
    low_a, high_a = event_bounds(float(control), threshold)
    low, high = max(-1.0, (low_b - high_a) / n), min(1.0, (high_b - low_a) / n)
    interval = one_sided((low, high), plan.alternative)
    if lift_of(contrast.a, contrast.b) is None:
        return interval, None
    wrong = event_bounds(float(treatment + neither), threshold)
    right = event_bounds(float(both + control), threshold)
    least = max(0.0, right[0] / n, 1.0 - wrong[1] / n)
    most = min(1.0, right[1] / n, 1.0 - wrong[0] / n)

    def lift(effect: float, furthest: float, nearest: float) -> float:
        level = furthest if effect < 0.0 else nearest
        return effect / level if level > 0.0 else math.copysign(math.inf, effect)

    lifts = lift(low, least, most), lift(high, most, least)
    return interval, one_sided(lifts, plan.alternative)
