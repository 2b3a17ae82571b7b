"""Two ratios of sums per user whose values come in bursts, at any time.

H0 is that of `ratio_sequence`: of a mean latency, the ratio is the sum of times over the number of
requests, and its variance is the one between buckets of users. What all users of a variant had at
one time (a pause, a queue) is alike in every bucket; so the variance of each look is at least what
the difference of the means from poll to poll makes it (see `bursts`). Looks count from about 16
polls.

Sources: Deng, Knoblich & Lu (2018), arXiv:1803.06336; Waudby-Smith et al. (2024),
arXiv:2103.06476, theorem 2.2; of bursts see `bursts`.
"""

from dataclasses import replace

import numpy as np

from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.methods.ratio import UNREADY
from abctl.stats.sequential.sequence import Contrasts, Paths, kept, sequential
from abctl.stats.summaries.buckets import bucket_paths, comparable
from abctl.stats.summaries.bursts import TOO_SHORT, Bursts, bursts
from abctl.stats.summary import Array, Buckets, Stream, over_epochs, running, weight_of

SUMMARY = Buckets
SEQUENTIAL = True
_NAME = "bursty_ratio_sequence"
ASSUMPTIONS = (
    "users are assigned at random and hashed to buckets independently of that",
    "values may be alike for a time (bursts), if that is short against all the time seen",
    "sums over buckets are close to normal once 10 of them (or half) matter in each variant",
    "the interval covers the average effect up to now; the base level may drift",
)


def estimate(stream: Stream[Buckets], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two ratios and its lift, valid however often anyone looks.

    >>> n = [[100] * 16] * 40  # requests in 16 buckets of users, in 40 polls
    >>> control = Buckets(numerator=[[4, 6] * 8] * 40, denominator=n)  # seconds
    >>> treatment = Buckets(numerator=[[7, 9] * 8] * 40, denominator=n)
    >>> found = estimate(Stream(control, treatment, epoch=[0] * 40), Plan())
    >>> round(found.effect, 4), found.rejects
    (0.03, True)
    """
    found = contrasts(stream, plan)
    return found if isinstance(found, NotEstimable) else found.estimate(plan)


@kept
def contrasts(stream: Stream[Buckets], _plan: Plan) -> Contrasts | NotEstimable:
    """The contrast at every look, or why there is none."""
    stream, n, reason = comparable(stream)
    if reason is not None:
        return NotEstimable(_NAME, reason, n)
    paths = bucket_paths(stream, support=True)
    if not paths.ready[-1]:
        return NotEstimable(_NAME, UNREADY, n)
    found = _bursts(stream, paths)
    if not found.enough[-1]:
        return NotEstimable(_NAME, TOO_SHORT, n)
    wider = found.factor > 1.0
    paths = replace(
        paths,
        var_a=found.factor * paths.var_a,
        var_b=found.factor * paths.var_b,
        cov=found.factor * paths.cov,
        df=np.where(wider, np.minimum(paths.df, found.df), paths.df),
        ready=paths.ready & found.enough,
    )
    contrast = paths.last(n, stream.epochs)

    def of(plan: Plan) -> Estimate | NotEstimable:
        return sequential(_NAME, paths, contrast, plan, assumptions=ASSUMPTIONS)

    return Contrasts(paths, n, of)


def _bursts(stream: Stream[Buckets], paths: Paths) -> Bursts:
    n_a, n_b = (side.denominator.sum(axis=1) for side in (stream.control, stream.treatment))
    control, treatment = (_mean(side) for side in (stream.control, stream.treatment))
    so_far = (running(n, stream.epoch) for n in (n_a, n_b))
    weight = over_epochs(weight_of(*so_far), stream.epoch)
    unit_variance = weight * (paths.var_a + paths.var_b - 2.0 * paths.cov)
    only = np.zeros(n_a.size, dtype=np.int64)
    return bursts((n_a, n_b), (treatment - control)[:, None], stream.epoch, unit_variance, only)


def _mean(side: Buckets) -> Array:
    n = side.denominator.sum(axis=1)
    return np.asarray(side.numerator.sum(axis=1) / np.where(n > 0.0, n, 1.0))
