"""A quantile of two variants by groups of users, at any time: a confidence sequence.

H0 is that of `quantile_sequence`, whose quantile it is: of all requests. But users are assigned,
and requests of one user are alike, so the variance is the one between groups of users, widened as
far as requests came in bursts (see `grouped`). The difference in such errors is mapped from
Student's t to a normal one and enters a mixture over effects around the MDE (see `mixture`). Looks
count from 10 values expected beyond the quantile in each variant, from about 16 polls, and from the
time that the values beyond it and those below it are spread over at least 8 groups of 16: while a
few users hold nearly all of them, there is no estimate.

Inside an edge and the next of the histogram the quantile and its ends are interpolated, as those of
`quantile_sequence` are.

Sources: Deng, Knoblich & Lu (2018), arXiv:1803.06336; Woodruff (1952),
doi:10.1080/01621459.1952.10483443; Waudby-Smith et al. (2024), arXiv:2103.06476, theorem 2.2.
"""

from dataclasses import replace

import numpy as np

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.methods.quantile_sequence import quantile_bursts
from abctl.stats.sequential.sequence import Contrasts, kept, sequential
from abctl.stats.summaries.bursts import TOO_SHORT
from abctl.stats.summaries.grouped import GroupedHistogram, comparable, grouped_paths, totals
from abctl.stats.summaries.histograms import bucket_notes
from abctl.stats.summary import Stream

SUMMARY = GroupedHistogram
SEQUENTIAL = True
_NAME = "grouped_quantile_sequence"
ASSUMPTIONS = (
    "users are assigned at random and hashed to groups independently of that",
    "values may be alike for a time (bursts), if that is short against all the time seen",
    "inside a bucket of the histogram values are evenly spread",
    "quantiles of this many users are close to normal",
)


def estimate(stream: Stream[GroupedHistogram], plan: Plan) -> Estimate | NotEstimable:
    """The difference of the plan's quantile and its lift, valid however often anyone looks.

    >>> edges, polls = (0.1, 0.25, 0.5), 40  # edges in seconds
    >>> control = GroupedHistogram([[[70, 25, 4, 1], [72, 23, 4, 1]] * 8] * polls, edges)
    >>> treatment = GroupedHistogram([[[60, 30, 8, 2], [62, 28, 8, 2]] * 8] * polls, edges)
    >>> found = estimate(Stream(control, treatment, [0] * polls), Plan(quantile=0.9))
    >>> round(found.control, 4), round(found.treatment, 4), found.rejects
    (0.2188, 0.25, True)
    """
    found = contrasts(stream, plan)
    return found if isinstance(found, NotEstimable) else found.estimate(plan)


@kept
def contrasts(stream: Stream[GroupedHistogram], plan: Plan) -> Contrasts | NotEstimable:
    """The contrast at every look, or why there is none."""
    if (quantile := plan.quantile) is None:
        return NotEstimable(_NAME, Remark("noQuantile"))
    known = comparable(stream)
    if isinstance(known, Remark):
        return NotEstimable(_NAME, known)
    same, pair = known
    bursts = quantile_bursts(totals(same), pair, quantile)
    extra = np.zeros(same.epoch.size)
    extra[pair.looks] = bursts.factor - 1.0
    found = grouped_paths(same, pair, quantile, support=True, extra=extra)
    why = found.unready(same, quantile)
    if why is not None or not bursts.enough[-1]:
        return NotEstimable(_NAME, why or TOO_SHORT, pair.n)
    paths = replace(
        found.paths,
        df=np.minimum(found.paths.df, bursts.df),
        ready=found.paths.ready & bursts.enough,
    )
    contrast = paths.last(pair.n, pair.epochs)
    notes = bucket_notes(pair, quantile, 3.0)

    def of(plan: Plan) -> Estimate | NotEstimable:
        return sequential(_NAME, paths, contrast, plan, assumptions=ASSUMPTIONS, notes=notes)

    return Contrasts(paths, pair.n, of)
