"""Two ratios of sums per user, adjusted by that from before, at any time (CUPED).

H0 is that of `ratio_sequence`, of ratios that are adjusted by the slope of the look before (see
`buckets`): it needs 1 - correlation^2 of the users, as far as buckets show it. Where the
covariate itself differs between the variants, by a test that may be looked at at any time, it was
not fixed before users were assigned, and there is no estimate. Few events are judged as they are.

Sources: those of `ratio_sequence` and of `buckets`.
"""

from dataclasses import replace
from functools import partial

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.methods import ratio_sequence
from abctl.stats.methods.cuped_sequence import CHECK, as_adjusted
from abctl.stats.sequential.sequence import Contrasts, kept
from abctl.stats.summaries.buckets import BucketPairs, adjusted_buckets, bucket_paths, comparable
from abctl.stats.summary import Stream

SUMMARY = BucketPairs
SEQUENTIAL = True
_NAME = "cuped_ratio_sequence"


def estimate(stream: Stream[BucketPairs], plan: Plan) -> Estimate | NotEstimable:
    """The adjusted difference of two ratios and its lift, valid however often anyone looks.

    >>> import numpy as np
    >>> before = np.tile([10.0, 20.0, 30.0, 40.0], 8)  # revenue of 10 users in each of 32 buckets
    >>> during, users = before + np.tile([3.0, -3.0], 16), np.full((2, 32), 10.0)
    >>> two = np.ones((2, 1))  # polls, of as many users
    >>> control = BucketPairs(during * two, users, before * two, users)
    >>> treatment = BucketPairs((during + 3.0) * two, users, before * two, users)
    >>> found = estimate(Stream(control, treatment, [0, 0]), Plan())
    >>> round(found.effect, 4), found.notes[0].code, found.rejects
    (0.3, 'varianceReduced', True)
    """
    found = contrasts(stream, plan)
    return found if isinstance(found, NotEstimable) else found.estimate(plan)


@kept
def contrasts(stream: Stream[BucketPairs], _plan: Plan) -> Contrasts | NotEstimable:
    """The contrast of adjusted ratios at every look, or why there is none."""
    a, b = stream.control, stream.treatment
    plain, n, reason = comparable(Stream(a.during, b.during, stream.epoch))
    if reason is not None:
        return NotEstimable(_NAME, reason, n)
    stream = stream.only(plain.epochs)
    covariate = Stream(stream.control.before, stream.treatment.before, stream.epoch)
    before = ratio_sequence.estimate(covariate, CHECK)
    if isinstance(before, Estimate) and before.rejects:
        return NotEstimable(_NAME, Remark("differedBefore", {"p": before.p}), n)
    found = adjusted_buckets(stream)
    raw, paths = (bucket_paths(each, support=True) for each in (plain, found.stream))
    # The slope is of the same buckets, whose residuals it makes a little too small.
    degrees = 2.0 * a.numerator.shape[1] - 2.0
    growth = degrees / (degrees - 1.0)
    grown = {name: getattr(paths, name) * growth for name in ("var_a", "var_b", "cov")}
    paths = replace(paths, ready=raw.ready & paths.ready, **grown)
    judged = partial(ratio_sequence.of_paths, plain, paths, n)
    return as_adjusted(_NAME, Contrasts(paths, n, judged), found.reduced)
