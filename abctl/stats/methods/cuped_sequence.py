"""Two means, adjusted by a covariate of each unit from before, at any time (CUPED).

H0 is that of `mean_sequence`, of values that are adjusted by the slope of earlier polls alone (see
`pairs`): it needs 1 - correlation^2 of the units. Where the covariate itself differs between the
variants, by a test that may be looked at at any time, it was not fixed before units were assigned,
and there is no estimate.

Sources: those of `mean_sequence` and of `pairs`.
"""

from dataclasses import replace

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.methods import mean_sequence
from abctl.stats.sequential.sequence import Contrasts, kept
from abctl.stats.summaries.pairs import Pairs, adjusted
from abctl.stats.summary import Moments, Stream

SUMMARY = Pairs
SEQUENTIAL = True
COVARIATE = "the covariate was fixed before units were assigned"
# Of the check of the covariate, as of that of the split.
CHECK = Plan(alpha=0.001)


def estimate(stream: Stream[Pairs], plan: Plan) -> Estimate | NotEstimable:
    """The adjusted difference of two means and its lift, valid however often anyone looks.

    >>> n, total, square = [100, 100], [250, 260], [750, 780]  # of x, and of y without its noise
    >>> control = Pairs(n, total, total, [850, 880], square, square)
    >>> treatment = Pairs(n, [300, 310], total, [1125, 1165], square, [875, 910])  # y is 0.5 more
    >>> found = estimate(Stream(control, treatment, [0, 0]), Plan())
    >>> round(found.effect, 4), found.notes[0].code, found.rejects
    (0.5, 'varianceReduced', True)
    """
    found = contrasts(stream, plan)
    return found if isinstance(found, NotEstimable) else found.estimate(plan)


@kept
def contrasts(stream: Stream[Pairs], plan: Plan) -> Contrasts | NotEstimable:
    """The contrast of adjusted values at every look, or why there is none."""
    if not stream.epoch.size:
        return NotEstimable("cuped_sequence", Remark("noSharedEpoch"))
    one, other = (Moments(side.n, side.x, side.xx) for side in (stream.control, stream.treatment))
    before = mean_sequence.estimate(Stream(one, other, stream.epoch), CHECK)
    if isinstance(before, Estimate) and before.rejects:
        return NotEstimable("cuped_sequence", Remark("differedBefore", {"p": before.p}), before.n)
    values = adjusted(stream)
    found = mean_sequence.contrasts(values.stream, plan)
    if isinstance(found, NotEstimable):
        return replace(found, method="cuped_sequence")
    return as_adjusted("cuped_sequence", found, values.reduced)


def as_adjusted(method: str, of: Contrasts, reduced: float) -> Contrasts:
    """The same, and each estimate says what was gained."""

    def estimated(plan: Plan) -> Estimate | NotEstimable:
        found = of.estimate(plan)
        if isinstance(found, NotEstimable):
            return replace(found, method=method)
        gained = Remark("varianceReduced", {"reduced_ratio": reduced})
        assumptions, notes = (COVARIATE, *found.assumptions), (gained, *found.notes)
        return replace(found, method=method, assumptions=assumptions, notes=notes)

    return replace(of, estimate=estimated)
