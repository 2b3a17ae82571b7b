"""The share of values above a threshold: `proportion` on a histogram.

H0 is that of `proportion`, for the share of values above the plan's threshold, which has to be
an edge of the histogram of both variants. A latency objective ("at most 1% of the requests over
250 ms") is such a share, and unlike a quantile it needs no interpolation.
"""

from dataclasses import replace

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.methods import proportion
from abctl.stats.summaries.histograms import counts_above
from abctl.stats.summary import Histogram, Stream

SUMMARY = Histogram
SEQUENTIAL = False


def estimate(stream: Stream[Histogram], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two shares and its lift.

    >>> edges = (0.1, 0.25, 0.5)  # seconds
    >>> control = Histogram([[700, 250, 40, 10]], edges)
    >>> treatment = Histogram([[600, 300, 80, 20]], edges)
    >>> found = estimate(Stream(control, treatment, epoch=0), Plan(threshold=0.25))
    >>> round(found.control, 4), round(found.treatment, 4), found.rejects
    (0.05, 0.1, True)
    """
    counts = counts_above(stream, plan)
    if isinstance(counts, Remark):
        return NotEstimable("share_above", counts)
    return replace(proportion.estimate(counts, plan), method="share_above")
