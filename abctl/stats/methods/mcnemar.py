"""Two shares of right answers to the same requests, at one look: McNemar's exact test.

H0: treatment = control (`two-sided`); `greater`: at most, `less`: at least. There is no margin: a
null other than 0 is not estimable (see `paired_proportion`). Given the pairs in which one variant
alone is right, those in which it is the treatment are tosses of a fair coin. `two-sided` is twice
the smaller tail. The interval is that of `paired_proportion`, except that it holds 0 exactly if H0
is not rejected.

Source: McNemar (1947), doi:10.1007/BF02295996.
"""

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.fixed.coin import log_p_of_coin
from abctl.stats.fixed.exact import with_exact_p
from abctl.stats.methods import paired_proportion
from abctl.stats.summaries.paired import PairedCounts
from abctl.stats.summary import Stream

SUMMARY = PairedCounts
SEQUENTIAL = False


def estimate(stream: Stream[PairedCounts], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two shares, with an exact test of "no difference".

    >>> from abctl.stats.summaries.paired import paired
    >>> found = estimate(paired(pairs=1000, both=900, control=15, treatment=30), Plan())
    >>> round(found.p, 4), found.guarantee
    (0.0357, 'exact')
    """
    if plan.null.value != 0.0:
        return NotEstimable("mcnemar", Remark("equalityOnly"))
    found = paired_proportion.estimate(stream, plan)
    if isinstance(found, NotEstimable):
        return NotEstimable("mcnemar", found.why, found.n)
    log_p = log_p_of_coin(
        float(stream.treatment.alone.sum()), float(stream.control.alone.sum()), plan.alternative
    )
    return with_exact_p("mcnemar", found, plan, log_p)
