"""Two ratios of sums per user, at any time: the confidence sequence of `ratio`.

H0 (`two-sided`): treatment - control = null; with a relative null m,
treatment = (1 + m) * control. `greater`: H0 is "at most", `less`: H0 is "at least".

While events are few, counts are judged by the clients who have them (see `clients`), with a fifth
of alpha, or half of it with a margin. From the time that they are spread over buckets, the bucket
t-statistic of each look is mapped to a normal one and enters a mixture over effects around the MDE
(see `mixture`). Valid at any stopping time as the number of users grows.

Sources: Deng, Knoblich & Lu (2018), arXiv:1803.06336; Waudby-Smith et al. (2024),
arXiv:2103.06476, theorem 2.2; Wallace (1959), doi:10.1214/aoms/1177706090.
"""

from functools import partial

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.methods.ratio import FEW_EVENTS, UNREADY
from abctl.stats.sequential.sequence import Contrasts, Paths, kept, sequential
from abctl.stats.summaries.buckets import bucket_paths, comparable
from abctl.stats.summaries.clients import early
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
    found = contrasts(stream, plan)
    return found if isinstance(found, NotEstimable) else found.estimate(plan)


@kept
def contrasts(stream: Stream[Buckets], _plan: Plan) -> Contrasts | NotEstimable:
    """The contrast at every look, or why there is none."""
    stream, n, reason = comparable(stream)
    if reason is not None:
        return NotEstimable("ratio_sequence", reason, n)
    paths = bucket_paths(stream, support=True)
    return Contrasts(paths, n, partial(of_paths, stream, paths, n))


def of_paths(
    stream: Stream[Buckets], paths: Paths, n: tuple[float, float], plan: Plan
) -> Estimate | NotEstimable:
    """The same of comparable epochs, where the contrast at every look is known already."""
    contrast = paths.last(n, stream.epochs)
    few = early(stream, plan, contrast.a)
    if isinstance(few, Remark):
        return NotEstimable("ratio_sequence", few, n)
    if not paths.ready[-1] and few is None:
        return NotEstimable("ratio_sequence", UNREADY, n)
    return sequential(
        "ratio_sequence",
        paths,
        contrast,
        plan,
        assumptions=ASSUMPTIONS,
        notes=() if paths.ready[-1] else (FEW_EVENTS,),
        early=few,
    )
