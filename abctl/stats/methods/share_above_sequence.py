"""The share of values above a threshold: `proportion_sequence` on a histogram.

H0 is that of `proportion_sequence`, for the share of values above the threshold, which has to be
an edge of the histogram of both variants. A latency objective ("at most 1% of the requests over
250 ms") is such a share, and unlike a quantile it needs no interpolation.
"""

from dataclasses import replace

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.methods import proportion_sequence
from abctl.stats.summaries.histograms import counts_above
from abctl.stats.summary import Histogram, Stream

SUMMARY = Histogram
SEQUENTIAL = True


def estimate(stream: Stream[Histogram], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two shares and its lift, valid however often anyone looks.

    >>> edges = (0.1, 0.25, 0.5)  # seconds
    >>> control = Histogram([[700, 250, 40, 10]] * 4, edges)  # four polls
    >>> treatment = Histogram([[600, 300, 80, 20]] * 4, edges)
    >>> found = estimate(Stream(control, treatment, epoch=[0] * 4), Plan(threshold=0.25))
    >>> round(found.effect, 4), found.rejects
    (0.05, True)
    """
    counts = counts_above(stream, plan)
    if isinstance(counts, Remark):
        return NotEstimable("share_above_sequence", counts)
    return replace(proportion_sequence.estimate(counts, plan), method="share_above_sequence")
