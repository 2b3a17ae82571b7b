"""Two means of values that come in bursts, at any time: `mean_sequence` with wider variances.

H0 (`two-sided`): treatment - control = null; with a relative null m,
treatment = (1 + m) * control. `greater`: H0 is "at most", `less`: H0 is "at least".

Values of one time may be alike, such as the latencies of requests during a pause. The variance of
each look grows as far as the difference of the means varies more from poll to poll than independent
values would make it (see `bursts`). Looks count from the burn-in of `mean_sequence`, and from
about 16 polls.

Sources: Waudby-Smith et al. (2024), arXiv:2103.06476, theorem 2.2; Wallace (1959),
doi:10.1214/aoms/1177706090; of bursts see `bursts`.
"""

from dataclasses import replace

import numpy as np

from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.sequential.sequence import Contrasts, Paths, kept, sequential
from abctl.stats.summaries.bursts import TOO_SHORT, Bursts, bursts
from abctl.stats.summaries.moments import UNREADY, Sample, comparable, moment_paths
from abctl.stats.summary import Moments, Stream, over_epochs, running, weight_of

SUMMARY = Moments
SEQUENTIAL = True
ASSUMPTIONS = (
    "values may be alike for a time (bursts), if that is short against all the time seen",
    "means are close to normal from the end of the burn-in",
    "the interval covers the average effect up to now; the base level may drift",
)


def estimate(stream: Stream[Moments], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two means and its lift, valid however often anyone looks.

    >>> n = np.full(40, 100.0)  # 40 polls of 100 requests
    >>> control, treatment = Moments(n, n, 2 * n), Moments(n, 1.5 * n, 3.25 * n)
    >>> found = estimate(Stream(control, treatment, epoch=[0] * 40), Plan())
    >>> round(found.effect, 4), found.rejects
    (0.5, True)
    """
    found = contrasts(stream, plan)
    return found if isinstance(found, NotEstimable) else found.estimate(plan)


@kept
def contrasts(stream: Stream[Moments], _plan: Plan) -> Contrasts | NotEstimable:
    """The contrast at every look, or why there is none."""
    stream, n, reason = comparable(stream)
    if reason is not None:
        return NotEstimable("bursty_mean_sequence", reason, n)
    paths = moment_paths(stream)
    if not np.any(paths.ready[-1:]):
        return NotEstimable("bursty_mean_sequence", UNREADY, n)
    found = _bursts(stream, paths)
    if not found.enough[-1]:
        return NotEstimable("bursty_mean_sequence", TOO_SHORT, n)
    paths = replace(
        paths,
        var_a=found.factor * paths.var_a,
        var_b=found.factor * paths.var_b,
        df=np.minimum(paths.df, found.df),
        ready=paths.ready & found.enough,
    )
    contrast = paths.last(n, stream.epochs)

    def of(plan: Plan) -> Estimate | NotEstimable:
        return sequential("bursty_mean_sequence", paths, contrast, plan, assumptions=ASSUMPTIONS)

    return Contrasts(paths, n, of)


def _bursts(stream: Stream[Moments], paths: Paths) -> Bursts:
    n_a, n_b = stream.control.n, stream.treatment.n
    control, treatment = (Sample.of(side).mean for side in (stream.control, stream.treatment))
    so_far = (running(n, stream.epoch) for n in (n_a, n_b))
    weight = over_epochs(weight_of(*so_far), stream.epoch)
    unit_variance = weight * (paths.var_a + paths.var_b)
    only = np.zeros(n_a.size, dtype=np.int64)
    return bursts((n_a, n_b), (treatment - control)[:, None], stream.epoch, unit_variance, only)
