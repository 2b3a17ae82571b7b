"""Two proportions, once: the score test, stratified by epoch, and the intervals that invert it.

H0 (`two-sided`): treatment - control = null, in every epoch; with a relative null m,
treatment = (1 + m) * control. `greater`: H0 is "at most", `less`: H0 is "at least".

With one epoch and a null of 0 it is the pooled z-test; with several it is Cochran-Mantel-Haenszel.
A null other than 0 makes it the test of Farrington & Manning. Intervals hold exactly the nulls that
are not rejected, so p and interval cannot contradict each other, and zero events are no trouble.

Sources: Mee (1984), doi:10.2307/2531176; Miettinen & Nurminen (1985), doi:10.1002/sim.4780040211;
Farrington & Manning (1990), doi:10.1002/sim.4780091208; Mantel & Haenszel (1959).
"""

from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.fixed.score import Strata, score_test
from abctl.stats.summary import Counts, Stream

SUMMARY = Counts
SEQUENTIAL = False
ASSUMPTIONS = (
    "each trial is independent of the others (requests of one user are not: use ratio)",
    "the effect is the same in every epoch; the base rate may drift",
    "looked at once, when the planned size is reached",
)


def estimate(stream: Stream[Counts], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two proportions and its lift; epochs weigh n_a n_b / (n_a + n_b).

    >>> found = estimate(Stream(Counts(1000, 100), Counts(1000, 130), epoch=0), Plan())
    >>> round(found.effect, 4), round(found.p, 4)  # z is 0.03 / sqrt(0.115 * 0.885 / 500)
    (0.03, 0.0355)
    """
    return score_test("proportion", Strata.of(stream), plan, ASSUMPTIONS)
