"""Two means, at any time: the confidence sequence of `welch`.

H0 (`two-sided`): treatment - control = null; with a relative null m,
treatment = (1 + m) * control. `greater`: H0 is "at most", `less`: H0 is "at least".

The Welch t-statistic of each look, stratified by epoch, is mapped to a normal one and enters a
mixture over effects around the MDE (see `mixture`); without an MDE, around a tenth of a standard
deviation. Looks count after a burn-in: 100 values in each variant that weigh as much as 10 equal
ones, (sum x)^2 / sum x^2 >= 10 (or n over the kurtosis, wherever zero is), so that a rare non-zero
value is not taken for a law; or 10,000. A statistic of skewed values is brought back to a normal
one (see `skewness`).

Sources: Waudby-Smith et al. (2024), arXiv:2103.06476, theorem 2.2; Welch (1947),
doi:10.1093/biomet/34.1-2.28; Wallace (1959), doi:10.1214/aoms/1177706090.
"""

from dataclasses import replace

import numpy as np

from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.sequential.sequence import Contrasts, kept, sequential
from abctl.stats.summaries.moments import UNREADY, comparable, moment_paths
from abctl.stats.summaries.thirds import doubt_of_variance
from abctl.stats.summary import Moments, Stream

SUMMARY = Moments
SEQUENTIAL = True
ASSUMPTIONS = (
    "each value is independent of the others (requests of one user are not: use ratio_sequence)",
    "means are close to normal from the end of the burn-in",
    "the interval covers the average effect up to now; the base level may drift",
)


def estimate(stream: Stream[Moments], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two means and its lift, valid however often anyone looks.

    >>> control = Moments(n=[100, 100], sum=[100, 100], sum_sq=[200, 200])  # mean 1
    >>> treatment = Moments(n=[100, 100], sum=[150, 150], sum_sq=[325, 325])  # mean 1.5
    >>> found = estimate(Stream(control, treatment, epoch=[0, 0]), Plan())
    >>> round(found.effect, 4), round(found.p, 4)
    (0.5, 0.0089)
    """
    found = contrasts(stream, plan)
    return found if isinstance(found, NotEstimable) else found.estimate(plan)


@kept
def contrasts(stream: Stream[Moments], _plan: Plan) -> Contrasts | NotEstimable:
    """The contrast at every look, or why there is none."""
    stream, n, reason = comparable(stream)
    if reason is not None:
        return NotEstimable("mean_sequence", reason, n)
    paths = moment_paths(stream)
    paths = replace(paths, doubt=doubt_of_variance(stream, (paths.var_a, paths.var_b)))

    def of(plan: Plan) -> Estimate | NotEstimable:
        if not np.any(paths.ready[-1:]):
            return NotEstimable("mean_sequence", UNREADY, n)
        contrast = paths.last(n, stream.epochs)
        return sequential("mean_sequence", paths, contrast, plan, assumptions=ASSUMPTIONS)

    return Contrasts(paths, n, of)
