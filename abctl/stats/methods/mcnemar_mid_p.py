"""Two shares of right answers to the same requests, at one look: McNemar's mid-p test.

H0: treatment = control (`two-sided`); `greater`: at most, `less`: at least. As `mcnemar`, but of
what was seen itself only half counts. It is less cautious than the exact test, and is hardly ever
above its level, though nothing proves that it cannot be.

Sources: McNemar (1947), doi:10.1007/BF02295996; Fagerland, Lydersen & Laake (2013),
doi:10.1186/1471-2288-13-91.
"""

from dataclasses import replace

from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.methods.mcnemar import of_coin
from abctl.stats.summaries.paired import PairedCounts
from abctl.stats.summary import Stream

SUMMARY = PairedCounts
SEQUENTIAL = False


def estimate(stream: Stream[PairedCounts], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two shares, with the mid-p test of "no difference".

    >>> from abctl.stats.summaries.paired import paired
    >>> found = estimate(paired(pairs=1000, both=900, control=15, treatment=30), Plan())
    >>> round(found.p, 4), found.guarantee
    (0.0259, 'asymptotic')
    """
    found = of_coin("mcnemar_mid_p", stream, plan, of_seen=0.5)
    return found if isinstance(found, NotEstimable) else replace(found, guarantee="asymptotic")
