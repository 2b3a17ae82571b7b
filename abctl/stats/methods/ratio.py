"""Two ratios of sums per user, once: users are assigned, requests (or money) are counted.

H0 (`two-sided`): treatment - control = null, in every epoch; with a relative null m,
treatment = (1 + m) * control. `greater`: H0 is "at most", `less`: H0 is "at least". The ratio is
sum of numerators over sum of denominators, e.g. errors per request, revenue per request.

While events are few, counts are judged by the clients who have them (see `clients`), as Poisson
numbers, exactly if they are under 40. Else it is Student's t with the variance between buckets;
degrees of freedom are Satterthwaite's within one epoch, and buckets - 1 over several.

Sources: Deng, Knoblich & Lu (2018), arXiv:1803.06336; Satterthwaite (1946), doi:10.2307/3002019.
"""

from dataclasses import replace

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.fixed.contrast import t_test
from abctl.stats.fixed.exact import with_exact_p
from abctl.stats.fixed.few_events import FEW, few_log_p
from abctl.stats.fixed.score import Strata, score_test
from abctl.stats.summaries.buckets import bucket_paths, comparable
from abctl.stats.summaries.clients import HIDDEN_ONCE, judged_clients, strata_of
from abctl.stats.summary import Buckets, Stream

SUMMARY = Buckets
SEQUENTIAL = False
ASSUMPTIONS = (
    "users are assigned at random and hashed to buckets independently of that",
    "sums over buckets are close to normal",
    "the effect is the same in every epoch; the base level may drift",
    "looked at once, when the planned size is reached",
)
UNREADY = Remark("tooFewBucketsFilled", {"needed_count": 10})
FEW_EVENTS = Remark("fewEvents")


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
    if reason is not None:
        return NotEstimable("ratio", reason, n)
    epochs = stream.by_epoch()
    paths = bucket_paths(epochs, support=False)
    if not paths.ready[-1]:
        return _of_few(epochs, plan, n, paths.last(n, epochs.epochs).a)
    contrast = paths.last(n, epochs.epochs)
    if contrast.certain:
        return NotEstimable("ratio", Remark("noVarianceOfBuckets"), n)
    return t_test("ratio", contrast, plan, assumptions=ASSUMPTIONS)


def _of_few(
    epochs: Stream[Buckets], plan: Plan, n: tuple[float, float], control: float
) -> Estimate | NotEstimable:
    """The answer of the clients who have events."""
    judged = judged_clients(epochs, plan, control, HIDDEN_ONCE)
    if judged is None:
        return NotEstimable("ratio", UNREADY, n)
    both, null, mirrored = judged
    estimate = score_test("ratio", strata_of(both[0], epochs), plan, ASSUMPTIONS)
    if isinstance(estimate, NotEstimable):
        return replace(estimate, n=n)
    log_p = [estimate.log_p]
    for found in both:
        evened = score_test("ratio", strata_of(found, epochs), plan, ASSUMPTIONS)
        log_p.append(0.0 if isinstance(evened, NotEstimable) else evened.log_p)
        cells = (found.n_a, found.s_a, found.n_b, found.s_b)
        counted = Strata.where_both(*cells, epochs.epoch, poisson=True)
        if isinstance(counted, Strata) and counted.s_a.sum() + counted.s_b.sum() < FEW:
            log_p.append(few_log_p(counted, null, mirrored.alternative))
    if max(log_p) > estimate.log_p:
        estimate = with_exact_p("ratio", estimate, plan, max(log_p))
    return replace(estimate, n=n, notes=(FEW_EVENTS,), guarantee="asymptotic")
