"""Two ratios of sums per user, at any time: the confidence sequence of `ratio`.

H0 (`two-sided`): treatment - control = null; with a relative null m,
treatment = (1 + m) * control. `greater`: H0 is "at most", `less`: H0 is "at least".

While events are few, a share of requests is tested as if each user always or never had the event
(see `linear_e`), with a fifth of alpha, or half of it with a margin. From the time that they are
spread over buckets, the bucket t-statistic of each look is mapped to a normal one and enters a
mixture over effects around the MDE (see `mixture`). Valid at any stopping time as the number of
users grows.

Sources: Deng, Knoblich & Lu (2018), arXiv:1803.06336; Waudby-Smith et al. (2024),
arXiv:2103.06476, theorem 2.2; Wallace (1959), doi:10.1214/aoms/1177706090.
"""

from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.fixed.contrast import null_of
from abctl.stats.methods.ratio import FEW_EVENTS, UNREADY
from abctl.stats.sequential.linear_e import as_users, by_epoch, log_e_path
from abctl.stats.sequential.sequence import Early, sequential
from abctl.stats.summaries.buckets import bucket_paths, comparable
from abctl.stats.summary import Buckets, Stream

SUMMARY = Buckets
SEQUENTIAL = True
ASSUMPTIONS = (
    "users are assigned at random and hashed to buckets independently of that",
    "sums over buckets are close to normal once 10 of them (or half) matter in each variant",
    "the interval covers the average effect up to now; the base level may drift",
)


def estimate(stream: Stream[Buckets], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two ratios and its lift, valid however often anyone looks.

    >>> requests = [[100] * 16] * 2  # in 16 buckets of users, in two polls
    >>> control = Buckets(numerator=[[4, 6] * 8] * 2, denominator=requests)  # errors per request
    >>> treatment = Buckets(numerator=[[7, 9] * 8] * 2, denominator=requests)
    >>> found = estimate(Stream(control, treatment, epoch=[0, 0]), Plan())
    >>> round(found.effect, 4), found.rejects
    (0.03, True)
    """
    stream, n, reason = comparable(stream)
    if reason:
        return NotEstimable("ratio_sequence", reason, n)
    paths = bucket_paths(stream, support=True)
    users = as_users(stream)
    contrast = paths.last(n, stream.epochs)
    early = None
    if users is not None:
        strata = by_epoch(users, stream.epoch)
        if isinstance(strata, str):
            return NotEstimable("ratio_sequence", strata, n)
        early = Early(log_e_path(users, null_of(plan, contrast.a), plan), strata)
    if not paths.ready[-1] and early is None:
        return NotEstimable("ratio_sequence", UNREADY, n)
    return sequential(
        "ratio_sequence",
        paths,
        contrast,
        plan,
        assumptions=ASSUMPTIONS,
        notes=() if paths.ready[-1] else (FEW_EVENTS,),
        early=early,
    )
