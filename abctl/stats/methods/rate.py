"""Two Poisson rates (events over an exposure), once: the score test, stratified by epoch.

H0 (`two-sided`): treatment - control = null, in every epoch; with a relative null m,
treatment = (1 + m) * control. `greater`: H0 is "at most", `less`: H0 is "at least".

Intervals hold exactly the nulls that are not rejected. With under 40 events p is exact (see
`few_events`), and the interval that of the score test, except that it holds the null exactly if
that is not rejected.

Sources: Ng & Tang (2005), doi:10.1002/sim.1949; Gu et al. (2008), doi:10.1002/bimj.200710403.
"""

from dataclasses import replace

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.fixed.contrast import null_of
from abctl.stats.fixed.exact import with_exact_p
from abctl.stats.fixed.few_events import FEW, few_log_p
from abctl.stats.fixed.score import Strata, score_test
from abctl.stats.summary import Events, Stream

SUMMARY = Events
SEQUENTIAL = False
ASSUMPTIONS = (
    "events are rare and independent of each other, so their number is Poisson",
    "the effect is the same in every epoch; the base rate may drift",
    "looked at once, when the planned size is reached",
)


def estimate(stream: Stream[Events], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two rates and its lift; epochs weigh e_a e_b / (e_a + e_b).

    >>> control, treatment = Events(events=50, exposure=1000), Events(events=80, exposure=1000)
    >>> found = estimate(Stream(control, treatment, epoch=0), Plan())
    >>> round(found.lift, 4), round(found.p, 4)  # z is 0.03 / sqrt(2 * 0.065 / 1000)
    (0.6, 0.0085)
    """
    strata = Strata.of(stream)
    found = score_test("rate", strata, plan, ASSUMPTIONS)
    if isinstance(strata, Remark) or isinstance(found, NotEstimable):
        return found
    if strata.s_a.sum() + strata.s_b.sum() >= FEW:
        return found
    exact = few_log_p(strata, null_of(plan, 1.0), plan.alternative)
    return replace(with_exact_p("rate", found, plan, exact), notes=strata.notes)
