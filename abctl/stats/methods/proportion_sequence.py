"""Two proportions, at any time: an exact e-process on the increments of each poll.

H0 (`two-sided`): treatment - control = null in every poll; with a relative null m,
treatment = (1 + m) * control in every poll. `greater`: H0 is "at most", `less`: H0 is "at least".
As a guardrail on errors with margin m: `less` proves "not worse than m", `greater` proves harm.

The base rate may drift and the split may ramp as they like. p and the decision are exact at any
sample size and stopping time, and so is the interval up to 10 successes and 10 failures in each
variant (see `sequence`); from there on it is a mixture confidence sequence of the difference
weighted over epochs, which is asymptotic. It holds the null exactly if that is not
rejected.

Sources: Turner, Ly & Grünwald (2024), arXiv:2106.02693; Robbins (1970),
doi:10.1214/aoms/1177696786.
"""

from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.sequential.linear_e import counts_sequence
from abctl.stats.summary import Counts, Stream

SUMMARY = Counts
SEQUENTIAL = True
ASSUMPTIONS = (
    "each trial is independent of the others (requests of one user are not: use ratio_sequence)",
    "the null holds in every poll; the base rate may drift and the split may change between polls",
)


def estimate(stream: Stream[Counts], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two proportions and its lift, valid however often anyone looks.

    >>> control, treatment = Counts([500] * 4, [50] * 4), Counts([500] * 4, [80] * 4)  # four polls
    >>> found = estimate(Stream(control, treatment, epoch=[0] * 4), Plan())
    >>> round(found.effect, 4), round(found.p, 4), found.guarantee
    (0.06, 0.0004, 'exact')
    """
    return counts_sequence("proportion_sequence", stream, plan, ASSUMPTIONS)
