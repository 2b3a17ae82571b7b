"""Two shares of right answers to the same requests, at one look: McNemar's mid-p test.

H0: treatment = control (`two-sided`); `greater`: at most, `less`: at least. As `mcnemar`, but of
what was seen itself only half counts. It is less cautious than the exact test, and is hardly ever
above its level, though nothing proves that it cannot be.

Sources: McNemar (1947), doi:10.1007/BF02295996; Fagerland, Lydersen & Laake (2013),
doi:10.1186/1471-2288-13-91.
"""

from dataclasses import replace

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.fixed.coin import log_p_of_coin
from abctl.stats.fixed.exact import with_exact_p
from abctl.stats.methods import paired_proportion
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
    if plan.null.value != 0.0:
        return NotEstimable("mcnemar_mid_p", Remark("equalityOnly"))
    found = paired_proportion.estimate(stream, plan)
    if isinstance(found, NotEstimable):
        return NotEstimable("mcnemar_mid_p", found.why, found.n)
    heads, tails = float(stream.treatment.alone.sum()), float(stream.control.alone.sum())
    log_p = log_p_of_coin(heads, tails, plan.alternative, of_seen=0.5)
    return replace(with_exact_p("mcnemar_mid_p", found, plan, log_p), guarantee="asymptotic")
