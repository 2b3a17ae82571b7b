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
    return of_coin("mcnemar", stream, plan)


def of_coin(
    name: str, stream: Stream[PairedCounts], plan: Plan, *, of_seen: float = 1.0
) -> Estimate | NotEstimable:
    """The same by the name of a method; see `log_p_of_coin` for how much counts of what was seen.

    >>> from abctl.stats.summaries.paired import paired
    >>> stream = paired(pairs=1000, both=900, control=15, treatment=30)
    >>> round(of_coin("mcnemar", stream, Plan(), of_seen=0.5).p, 4)
    0.0259
    """
    if plan.null.value != 0.0:
        return NotEstimable(name, Remark("equalityOnly"))
    found = paired_proportion.estimate(stream, plan)
    if isinstance(found, NotEstimable):
        return NotEstimable(name, found.why, found.n)
    heads, tails = float(stream.treatment.alone.sum()), float(stream.control.alone.sum())
    log_p = log_p_of_coin(heads, tails, plan.alternative, of_seen=of_seen)
    return with_exact_p(name, found, plan, log_p)
