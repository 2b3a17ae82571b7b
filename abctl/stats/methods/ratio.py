"""Two ratios of sums per user, once: users are assigned, requests (or money) are counted.

H0 (`two-sided`): treatment - control = null, in every epoch; with a relative null m,
treatment = (1 + m) * control. `greater`: H0 is "at most", `less`: H0 is "at least". The ratio is
sum of numerators over sum of denominators, e.g. errors per request, revenue per request.

While events are few, a share of requests is tested as if each user always or never had the event
(see `_users`). Else it is Student's t with the variance between buckets; degrees of freedom are
Satterthwaite's within one epoch, and buckets - 1 over several.

Sources: Deng, Knoblich & Lu (2018), arXiv:1803.06336; Satterthwaite (1946), doi:10.2307/3002019.
"""

from dataclasses import replace

from abctl.stats._buckets import bucket_paths
from abctl.stats._contrast import t_test
from abctl.stats._epochs import compared
from abctl.stats._score import Strata, score_test
from abctl.stats._users import as_users
from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.summary import Buckets, Stream

SUMMARY = Buckets
SEQUENTIAL = False
ASSUMPTIONS = (
    "users are assigned at random and hashed to buckets independently of that",
    "sums over buckets are close to normal",
    "the effect is the same in every epoch; the base level may drift",
    "looked at once, when the planned size is reached",
)
MIN_BUCKETS = 8
UNREADY = "the sums are made up by too few of the buckets, needs 10 (or half of them)"
FEW_EVENTS = "few events, or of few users: judged as if each user always or never had one"


def estimate(stream: Stream[Buckets], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two ratios and its lift."""
    n, reason = checked(stream)
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
    contrast = paths.last(n, shared(epochs))
    if contrast.certain:
        return NotEstimable("ratio", "no variance between the buckets of either variant", n)
    return t_test("ratio", contrast, plan, assumptions=ASSUMPTIONS)


def shared(stream: Stream[Buckets]) -> tuple[int, ...]:
    """The epochs with data in both variants."""
    a, b = (side.denominator.sum(axis=1) for side in (stream.control, stream.treatment))
    return compared(a, b, stream.epoch)


def checked(stream: Stream[Buckets]) -> tuple[tuple[float, float], str]:
    """Denominators of control and treatment, and what makes an estimate impossible, if anything."""
    a, b = stream.control.denominator, stream.treatment.denominator
    n = (float(a.sum()), float(b.sum()))
    if a.shape[1] != b.shape[1]:
        return n, f"{a.shape[1]} buckets in the control, {b.shape[1]} in the treatment"
    if a.shape[1] < MIN_BUCKETS:
        return n, f"{a.shape[1]} buckets, needs {MIN_BUCKETS}"
    both = stream.epoch.size and shared(stream)
    return n, "" if both else "no epoch with data in both variants"
