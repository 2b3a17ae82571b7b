"""Two means over the same requests, at any time: the confidence sequence of their differences.

H0 (`two-sided`): treatment - control = null; with a relative null m,
treatment = (1 + m) * control. `greater`: H0 is "at most", `less`: H0 is "at least".

As `mean_sequence`, with the variance of the differences, which are 100 at least.

Sources: Waudby-Smith et al. (2024), arXiv:2103.06476, theorem 2.2; Student (1908),
doi:10.1093/biomet/6.1.1.
"""

import numpy as np

from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.sequential.sequence import Contrasts, kept, sequential
from abctl.stats.summaries.moments import UNREADY
from abctl.stats.summaries.paired_means import PairedMoments, comparable, moment_pair_paths
from abctl.stats.summary import Stream

SUMMARY = PairedMoments
SEQUENTIAL = True
ASSUMPTIONS = (
    "both variants answered the same requests, and each pair is independent of the others",
    "means of the differences are close to normal from the end of the burn-in",
    "the interval covers the average effect up to now; levels may drift",
)


def estimate(stream: Stream[PairedMoments], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two means and its lift, valid however often anyone looks.

    >>> import numpy as np
    >>> from abctl.stats.summaries.paired_means import paired_moments
    >>> error = np.random.default_rng(1).exponential(size=(2, 1000))
    >>> stream = paired_moments(error[0], 0.8 * error[0] + 0.1 * error[1], polls=10)
    >>> found = estimate(stream, Plan())
    >>> round(found.effect, 2), found.rejects
    (-0.1, True)
    """
    found = contrasts(stream, plan)
    return found if isinstance(found, NotEstimable) else found.estimate(plan)


@kept
def contrasts(stream: Stream[PairedMoments], _plan: Plan) -> Contrasts | NotEstimable:
    """The contrast at every look, or why there is none."""
    n, epochs, reason = comparable(stream)
    if reason is not None:
        return NotEstimable("paired_mean_sequence", reason, n)
    paths = moment_pair_paths(stream)

    def of(plan: Plan) -> Estimate | NotEstimable:
        if not np.any(paths.ready[-1:]):
            return NotEstimable("paired_mean_sequence", UNREADY, n)
        contrast = paths.last(n, epochs)
        return sequential("paired_mean_sequence", paths, contrast, plan, assumptions=ASSUMPTIONS)

    return Contrasts(paths, n, of)
