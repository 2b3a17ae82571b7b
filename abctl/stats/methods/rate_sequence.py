"""Two Poisson rates (events over an exposure), at any time: an exact e-process.

H0 (`two-sided`): treatment - control = null in every poll; with a relative null m,
treatment = (1 + m) * control in every poll. `greater`: H0 is "at most", `less`: H0 is "at least".
As a guardrail with margin m: `less` proves "not worse than m", `greater` proves harm.

With a relative null it is the likelihood ratio of the treatment's share of the events of each poll,
so the base rate may drift and the split may ramp. p and the decision are exact for Poisson events
at any stopping time, and so is the interval up to 10 events in each variant (see `sequence`); from
there on it is asymptotic. It holds the null exactly if the null is not rejected.

Source: Lindon & Malek (2022), arXiv:2011.03567; see `linear_e` for a null that is a difference.
"""

from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.sequential.linear_e import counts_sequence
from abctl.stats.summary import Events, Stream

SUMMARY = Events
SEQUENTIAL = True
ASSUMPTIONS = (
    "events are rare and independent of each other, so their number is Poisson",
    "the null holds in every poll; the base rate may drift and the split may change between polls",
)


def estimate(stream: Stream[Events], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two rates and its lift, valid however often anyone looks.

    >>> control, treatment = Events([25] * 4, [500] * 4), Events([50] * 4, [500] * 4)  # four polls
    >>> found = estimate(Stream(control, treatment, epoch=[0] * 4), Plan())
    >>> round(found.lift, 4), round(found.p, 4)
    (1.0, 0.0035)
    """
    return counts_sequence("rate_sequence", stream, plan, ASSUMPTIONS)
