"""Two ratios of sums per user, once: users are assigned, requests (or money) are counted.

H0 (`two-sided`): treatment - control = null, in every epoch; with a relative null m,
treatment = (1 + m) * control. `greater`: H0 is "at most", `less`: H0 is "at least". The ratio is
sum of numerators over sum of denominators, e.g. errors per request, revenue per request.

While events are few, a share of requests is tested as if each user always or never had the event
(see `linear_e`). Else it is Student's t with the variance between buckets; degrees of freedom are
Satterthwaite's within one epoch, and buckets - 1 over several.

Sources: Deng, Knoblich & Lu (2018), arXiv:1803.06336; Satterthwaite (1946), doi:10.2307/3002019.
"""

from dataclasses import replace

from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.fixed.contrast import t_test
from abctl.stats.fixed.score import Strata, score_test
from abctl.stats.sequential.linear_e import as_users
from abctl.stats.summaries.buckets import bucket_paths, comparable
from abctl.stats.summary import Buckets, Stream

SUMMARY = Buckets
SEQUENTIAL = False
ASSUMPTIONS = (
    "users are assigned at random and hashed to buckets independently of that",
    "sums over buckets are close to normal",
    "the effect is the same in every epoch; the base level may drift",
    "looked at once, when the planned size is reached",
)
UNREADY = "the sums are made up by too few of the buckets, needs 10 (or half of them)"
FEW_EVENTS = "few events, or of few users: judged as if each user always or never had one"


def estimate(stream: Stream[Buckets], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two ratios and its lift.

    >>> requests = [[100] * 16]  # in 16 buckets of users, in one poll
    >>> control = Buckets(numerator=[[4, 6] * 8], denominator=requests)  # errors per request
    >>> treatment = Buckets(numerator=[[7, 9] * 8], denominator=requests)
    >>> found = estimate(Stream(control, treatment, epoch=0), Plan())
    >>> round(found.control, 4), round(found.treatment, 4), found.n, found.rejects
    (0.05, 0.08, (1600.0, 1600.0), True)
    """
    stream, n, reason = comparable(stream)
    if reason:
        return NotEstimable("ratio", reason, n)
    epochs = stream.by_epoch()
    paths = bucket_paths(epochs, support=False)
    if not paths.ready[-1]:
        if (users := as_users(epochs)) is None:
            return NotEstimable("ratio", UNREADY, n)
        strata = Strata.where_both(users.n_a, users.s_a, users.n_b, users.s_b, epochs.epoch)
        found = score_test("ratio", strata, plan, ASSUMPTIONS)
        return replace(found, n=n, notes=(FEW_EVENTS,)) if isinstance(found, Estimate) else found
    contrast = paths.last(n, epochs.epochs)
    if contrast.certain:
        return NotEstimable("ratio", "no variance between the buckets of either variant", n)
    return t_test("ratio", contrast, plan, assumptions=ASSUMPTIONS)
