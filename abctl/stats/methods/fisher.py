"""Two proportions in small samples, once: Fisher's exact test, over epochs by convolution.

H0: treatment = control in every epoch (`two-sided`); `greater`: at most, `less`: at least. There is
no margin: a null other than 0 is not estimable (see `barnard`). p is exact, given the margins; the
interval is that of `proportion`, except that it holds 0 exactly if H0 is not rejected.

Sources: Fisher (1935); over epochs Gart (1970), doi:10.1093/biomet/57.3.471.
"""

from dataclasses import replace

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.fixed.exact import fisher_log_p, support, with_exact_p
from abctl.stats.fixed.score import Strata
from abctl.stats.methods import proportion
from abctl.stats.summary import Counts, Stream

SUMMARY = Counts
SEQUENTIAL = False
_MOST_OUTCOMES = 20_000


def estimate(stream: Stream[Counts], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two proportions, with the exact test of "no difference".

    >>> tea = Stream(Counts(4, 1), Counts(4, 3), epoch=0)  # Fisher (1935): 17 of 70 arrangements
    >>> round(estimate(tea, Plan(alternative="greater")).p, 4)
    0.2429
    """
    strata = Strata.of(stream)
    if isinstance(strata, Remark):
        return NotEstimable("fisher", strata)
    if plan.null.value != 0.0:
        return NotEstimable("fisher", Remark("equalityOnly"), strata.n)
    if support(strata) > _MOST_OUTCOMES:
        return NotEstimable("fisher", Remark("smallSamplesOnly"), strata.n)
    found = proportion.estimate(stream, plan)
    if isinstance(found, NotEstimable):
        return replace(found, method="fisher")
    exact = with_exact_p("fisher", found, plan, fisher_log_p(strata, plan.alternative))
    return replace(exact, notes=strata.notes)
