"""Two proportions, once: Newcombe's interval of the difference, from two Wilson intervals.

H0 (`two-sided`): treatment - control = null; with a relative null m,
treatment = (1 + m) * control. `greater`: H0 is "at most", `less`: H0 is "at least". p is the level
at which the interval would touch the null. For one epoch; over several use `proportion`.

Sources: Wilson (1927), doi:10.1080/01621459.1927.10502953; Newcombe (1998),
doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I, method 10; for the lift
Donner & Zou (2012), doi:10.1177/0962280210383758.
"""

from functools import partial

import numpy as np

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.fixed.contrast import lift_of, null_of
from abctl.stats.fixed.mover import Mover
from abctl.stats.fixed.reference import critical, p_value
from abctl.stats.fixed.score import Strata
from abctl.stats.summary import Array, Counts, Stream

SUMMARY = Counts
SEQUENTIAL = False
ASSUMPTIONS = (
    "each trial is independent of the others (requests of one user are not: use ratio)",
    "looked at once, when the planned size is reached",
)
# Standard errors beyond which a Wilson interval is taken to hold everything.
_FURTHEST = 1e4


def wilson(successes: float, n: float, deviations: Array) -> tuple[Array, Array]:
    """Wilson's confidence interval of one proportion, at each number of standard errors.

    >>> [end.round(4) for end in wilson(81, 263, np.array([1.96]))]
    [array([0.2553]), array([0.3662])]
    """
    square = np.square(deviations)
    center = successes + 0.5 * square
    half = deviations * np.sqrt(successes * (n - successes) / n + 0.25 * square)
    low = np.zeros_like(center) if successes == 0.0 else (center - half) / (n + square)
    high = np.ones_like(center) if successes == n else (center + half) / (n + square)
    return low, high


def estimate(stream: Stream[Counts], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two proportions and its lift.

    >>> found = estimate(Stream(Counts(80, 48), Counts(70, 56), epoch=0), Plan())
    >>> [round(end, 4) for end in found.interval]  # Newcombe (1998), table II, example a
    [0.0524, 0.3339]
    """
    strata = Strata.of(stream)
    if isinstance(strata, Remark):
        return NotEstimable("newcombe", strata)
    if len(strata.epochs) > 1:
        return NotEstimable("newcombe", Remark("oneEpochOnly"), strata.n)
    (n_a, n_b), (a, b) = strata.n, strata.means()
    around_a, around_b = partial(wilson, a * n_a, n_a), partial(wilson, b * n_b, n_b)
    mover = Mover(a, b, around_a, around_b, _FURTHEST)
    p, log_p = p_value(mover.statistic(null_of(plan, a)), plan.alternative)
    crit = critical(plan.alpha, plan.alternative)
    return Estimate(
        method="newcombe",
        control=a,
        treatment=b,
        effect=b - a,
        interval=mover.interval(crit, plan.alternative),
        lift=lift_of(a, b),
        lift_interval=mover.lift_interval(crit, plan.alternative),
        p=p,
        log_p=log_p,
        alpha=plan.alpha,
        alternative=plan.alternative,
        guarantee="asymptotic",
        assumptions=ASSUMPTIONS,
        n=strata.n,
        epochs=strata.epochs,
        notes=strata.notes,
    )
