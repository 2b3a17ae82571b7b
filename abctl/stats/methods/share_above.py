"""The share of values above a threshold: `proportion` on a histogram.

H0 is that of `proportion`, for the share of values above the plan's threshold, which has to be
an edge of the histogram of both variants. A latency objective ("at most 1% of the requests over
250 ms") is such a share, and unlike a quantile it needs no interpolation.
"""

from dataclasses import replace

from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.methods import proportion
from abctl.stats.summaries.histograms import counts_above
from abctl.stats.summary import Histogram, Stream

SUMMARY = Histogram
SEQUENTIAL = False


def estimate(stream: Stream[Histogram], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two shares and its lift."""
    counts = counts_above(stream, plan)
    if isinstance(counts, str):
        return NotEstimable("share_above", counts)
    return replace(proportion.estimate(counts, plan), method="share_above")
