"""Two means over the same requests, at one look: Student's t of the differences.

H0 (`two-sided`): treatment - control = null; with a relative null m,
treatment = (1 + m) * control. `greater`: H0 is "at most", `less`: H0 is "at least".

Source: Student (1908), doi:10.1093/biomet/6.1.1; Fieller (1954) for the lift.
"""

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.fixed.contrast import t_test
from abctl.stats.summaries.moments import CANCELLED
from abctl.stats.summaries.paired_means import PairedMoments, comparable, moment_pair_paths
from abctl.stats.summary import Stream

SUMMARY = PairedMoments
SEQUENTIAL = False
ASSUMPTIONS = (
    "both variants answered the same requests, and each pair is independent of the others",
    "means of this many differences are close to normal",
    "looked at once, when the planned size is reached",
)
_MIN_N = 30


def estimate(stream: Stream[PairedMoments], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two means and its lift.

    >>> import numpy as np
    >>> from abctl.stats.summaries.paired_means import paired_moments
    >>> error = np.arange(50.0)
    >>> found = estimate(paired_moments(error, error - np.tile([0.5, -0.3], 25)), Plan())
    >>> round(found.effect, 4), round(found.p, 4)
    (-0.1, 0.0864)
    """
    n, epochs, reason = comparable(stream)
    if reason is None and n[0] < _MIN_N:
        reason = Remark("tooFewValues", {"n_count": n[0], "needed_count": _MIN_N})
    if reason is not None:
        return NotEstimable("paired_mean", reason, n)
    contrast = moment_pair_paths(stream.by_epoch()).last(n, epochs)
    if contrast.certain:
        lost = CANCELLED if contrast.apart else Remark("noVariance")
        return NotEstimable("paired_mean", lost, n)
    return t_test("paired_mean", contrast, plan, assumptions=ASSUMPTIONS)
