"""Two ratios of sums per user, at any time: the confidence sequence of `ratio`.

H0 (`two-sided`): treatment - control = null; with a relative null m,
treatment = (1 + m) * control. `greater`: H0 is "at most", `less`: H0 is "at least".

The bucket t-statistic of each look is mapped to a normal one and enters a mixture over effects
around the MDE (see `_mixture`). Valid at any stopping time as the number of users grows.

Sources: Deng, Knoblich & Lu (2018), arXiv:1803.06336; Waudby-Smith et al. (2024),
arXiv:2103.06476, theorem 2.2; Wallace (1959), doi:10.1214/aoms/1177706090.
"""

from abctl.stats._buckets import bucket_paths
from abctl.stats._sequence import sequential
from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.methods.ratio import checked
from abctl.stats.summary import Buckets, Stream

SUMMARY = Buckets
SEQUENTIAL = True
ASSUMPTIONS = (
    "users are assigned at random and hashed to buckets independently of that",
    "sums over buckets are close to normal from the time that half of the buckets have data",
    "the interval covers the average effect up to now; the base level may drift",
)


def estimate(stream: Stream[Buckets], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two ratios and its lift, valid however often anyone looks."""
    n, reason = checked(stream)
    if reason:
        return NotEstimable("ratio_sequence", reason, n)
    paths = bucket_paths(stream)
    if not paths.ready[-1]:
        reason = "under half of the buckets have data in both variants"
        return NotEstimable("ratio_sequence", reason, n)
    contrast = paths.last(n, stream.epochs)
    return sequential("ratio_sequence", paths, contrast, plan, assumptions=ASSUMPTIONS)
