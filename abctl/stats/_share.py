"""The share of values above an edge of a histogram, as counts."""

from abctl.stats.estimate import Plan
from abctl.stats.summary import Counts, Histogram, Stream, SummaryError, common_edges


def counts_above(stream: Stream[Histogram], plan: Plan) -> Stream[Counts] | str:
    """How many values were above the plan's threshold, or why that cannot be said.

    Between two edges nothing is known, so the threshold has to be an edge of both variants.
    """
    if plan.threshold is None:
        return "no threshold in the plan"
    try:
        control, treatment = common_edges(stream.control, stream.treatment)
    except SummaryError as error:
        return str(error)
    if plan.threshold not in control.edges:
        nearest = min(control.edges, key=lambda edge: abs(edge - float(plan.threshold or 0.0)))
        return f"{plan.threshold:g} is no edge of the histogram; the nearest is {nearest:g}"
    cell = control.edges.index(plan.threshold) + 1
    above_a, above_b = (
        Counts(side.counts.sum(axis=1), side.counts[:, cell:].sum(axis=1))
        for side in (control, treatment)
    )
    return Stream(above_a, above_b, stream.epoch)
