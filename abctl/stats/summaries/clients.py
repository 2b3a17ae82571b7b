"""Few events, by the clients who have them: effective clients, and their events.

One broken client that retries is one client, not fifty errors. While events are few, the variance
between buckets says little of the mean (see `buckets`); but how they clump says how many clients
have them. If clients have e_i events each, the buckets' variance of events estimates sum e^2, so
that events weigh like those of (sum e)^2 / sum e^2 equal clients (Kish 1965, section 8.2), of
sum e^2 / sum e events each: the *clump*. Events and requests are both divided by it, which leaves
their ratio as it is, and clients are as good as Poisson.

What was not seen cannot be told from the events: a client that breaks may be heavier than all that
have. To prove that a ratio is small, the clump is therefore at least what requests could hide: the
requests of a client that is heavy enough to matter and too light to be seen in its bucket.

A heavy client without events (a load test, say) makes events rare in its variant, and is one client
all the same. So a ratio differs only if it does so as well when a bucket that stands out counts no
more requests than others may have.

The number of clients in each poll is as good as Poisson, so that the e-process of rates takes them
(see `linear_e`). Where nearly all requests have the event, those without are counted instead.
"""

from dataclasses import dataclass, replace

import numpy as np

from abctl.stats.estimate import Alternative, Plan, Remark
from abctl.stats.fixed.contrast import Null, null_of
from abctl.stats.fixed.score import Strata
from abctl.stats.sequential.linear_e import Pairs, log_e_path
from abctl.stats.sequential.sequence import Early
from abctl.stats.summary import Array, Buckets, Stream

# Standard errors of a bucket's requests up to which a heavy client is taken to be hidden in them:
# more where one looks constantly, which finds the look at which it is hidden best.
HIDDEN_ONCE, HIDDEN_ALWAYS = 0.55, 1.5
# And those from which one is seen (the largest of 64 normal values has 2.4).
_SEEN = 3.5
# Of a normal distribution, over the median distance from its median.
_DEVIATIONS = 1.4826
_MIRRORED: dict[Alternative, Alternative] = {
    "two-sided": "two-sided",
    "greater": "less",
    "less": "greater",
}


@dataclass(frozen=True, eq=False)
class Clients:
    """Effective clients with events, and effective clients in all, new in each poll.

    >>> errors = Buckets([[0] * 7 + [50]], [[100] * 8])  # in one of 8 buckets
    >>> none = Buckets([[0] * 8], [[100] * 8])
    >>> found = clients(Stream(none, errors, epoch=0))
    >>> found.n_b, found.s_b
    (array([16.]), array([1.]))

    Attributes:
        n_a, s_a, n_b, s_b: of control and treatment, each of shape (polls,).
        lacks: whether what was counted are the requests without an event, being fewer.
    """

    n_a: Array
    s_a: Array
    n_b: Array
    s_b: Array
    lacks: bool


def clients(stream: Stream[Buckets], *, hidden: float = 0.0, even: bool = False) -> Clients | None:
    """Clients of a share of requests; None if the ratio is none.

    Args:
        stream: sums by bucket.
        hidden: standard errors of a bucket's requests up to which there may be clients who are
            heavier than all that have had an event; 0 where those do not matter.
        even: whether a bucket that stands out counts no more requests than others may have.
    """
    sides = (stream.control, stream.treatment)
    if any(np.any((s.numerator < 0.0) | (s.numerator > s.denominator)) for s in sides):
        return None
    lacks = all(2.0 * s.numerator.sum() > s.denominator.sum() for s in sides)
    counted = [np.cumsum(s.denominator - s.numerator if lacks else s.numerator, 0) for s in sides]
    served = [np.cumsum(s.denominator, axis=0) for s in sides]
    clump = _clump(*counted)
    clumps = [np.maximum(clump, _hidden(each, hidden)) if hidden else clump for each in served]
    if even:
        served = [_evened(each, some) for each, some in zip(served, counted, strict=True)]
    n_a, s_a, n_b, s_b = (
        _new(each.sum(axis=1) / clumps[side])
        for side in (0, 1)
        for each in (served[side], counted[side])
    )
    return Clients(n_a, s_a, n_b, s_b, lacks)


def _clump(one: Array, other: Array) -> Array:
    """Events of a client that has some, at every look; both variants together."""
    buckets = one.shape[1]
    squares = buckets * (one.var(axis=1, ddof=1) + other.var(axis=1, ddof=1))
    events = one.sum(axis=1) + other.sum(axis=1)
    return np.asarray(np.maximum(squares / np.where(events > 0.0, events, 1.0), 1.0))


def _hidden(requests: Array, deviations: float) -> Array:
    """Requests of the heaviest client that the buckets' requests do not rule out.

    It is at least as heavy as clients are by the variance of the requests (Kish).
    """
    buckets, total = requests.shape[1], requests.sum(axis=1)
    mean = total / buckets
    kish = buckets * requests.var(axis=1, ddof=1) / np.maximum(total, 1.0)
    middle, reach = _usual(requests)
    above = requests.max(axis=1) - middle
    seen = np.where(above > reach, above, 1.0)
    return np.asarray(np.maximum.reduce((kish, seen, deviations * np.sqrt(mean))))


def _usual(requests: Array) -> tuple[Array, Array]:
    """The median bucket at every look, and how far above it a bucket stands out."""
    middle = np.median(requests, axis=1)
    usual = _DEVIATIONS * np.median(np.abs(requests - middle[:, None]), axis=1)
    return middle, _SEEN * np.maximum(usual, np.sqrt(requests.mean(axis=1)))


def _evened(requests: Array, counted: Array) -> Array:
    """Requests of which a bucket that stands out has as many as others may, or as events."""
    middle, reach = _usual(requests)
    most = (middle + np.maximum(reach, 1.0))[:, None]
    return np.asarray(np.minimum(requests, np.maximum(most, counted)))


def _new(up_to: Array) -> Array:
    """What a poll adds; more events of a client who had some are no new client."""
    return np.diff(np.maximum.accumulate(up_to), prepend=0.0)


def early(stream: Stream[Buckets], plan: Plan, control: float) -> Early | Remark | None:
    """The e-process of the clients; a reason, or None if the ratio is no share.

    Args:
        stream: sums by bucket.
        plan: what is tested.
        control: the control's level, which relative sizes are of.
    """
    judged = judged_clients(stream, plan, control, HIDDEN_ALWAYS)
    surest = clients(stream, hidden=HIDDEN_ALWAYS)
    if judged is None or surest is None:
        return None
    both, null, plan = judged
    strata = strata_of(surest, stream)
    if isinstance(strata, Remark):
        return strata
    log_e = [
        log_e_path(Pairs(each.n_a, each.s_a, each.n_b, each.s_b, poisson=True), null, plan)
        for each in both
    ]
    return Early(np.minimum.reduce(log_e), strata)


def judged_clients(
    stream: Stream[Buckets], plan: Plan, control: float, hidden: float
) -> tuple[tuple[Clients, ...], Null, Plan] | None:
    """Clients with what is counted of them, and the null and the plan in its terms.

    Where a bucket stands out by its requests there are two counts, of which both must tell.
    """
    null = null_of(plan, control)
    found = clients(stream)
    if found is None:
        return None
    if found.lacks:
        null = Null(null.ratio, 1.0 - null.ratio - null.offset)
        plan = replace(plan, alternative=_MIRRORED[plan.alternative])
    # Few events in themselves speak for that alternative: so would a client that is not yet seen.
    absence = null.offset != 0.0 and (
        plan.alternative == "two-sided" or (plan.alternative == "less") == (null.offset > 0.0)
    )
    hidden = hidden if absence else 0.0
    counts = (clients(stream, hidden=hidden, even=even) for even in (False, True))
    one, other = (each for each in counts if each is not None)
    alike = np.array_equal(one.n_a, other.n_a) and np.array_equal(one.n_b, other.n_b)
    return (one,) if alike else (one, other), null, plan


def strata_of(found: Clients, stream: Stream[Buckets]) -> Strata | Remark:
    """Clients of each epoch in terms of the ratio itself."""
    starts = np.flatnonzero(np.diff(stream.epoch, prepend=stream.epoch[:1] - 1))
    cells = (found.n_a, found.s_a, found.n_b, found.s_b)
    n_a, s_a, n_b, s_b = (np.add.reduceat(cell, starts) for cell in cells)
    if found.lacks:
        s_a, s_b = np.maximum(n_a - s_a, 0.0), np.maximum(n_b - s_b, 0.0)
    return Strata.where_both(
        n_a, np.minimum(s_a, n_a), n_b, np.minimum(s_b, n_b), stream.epoch[starts]
    )
