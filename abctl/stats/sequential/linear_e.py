"""Proportions and rates at any time: the exact e-process, and a confidence sequence beside it.

It is of two proportions or two Poisson rates, poll by poll.

Within a poll take any point of the null, control x and treatment y = ratio * x + offset, and bets
c_a, c_b with n_a c_a + ratio * n_b c_b = 0. Let the true values be x' and y' on the null.

For proportions the factor (1 + c_a (1-x))^s_a (1 - c_a x)^f_a (1 + c_b (1-y))^s_b (1 - c_b y)^f_b
has expectation (1 + c_a (x'-x))^n_a (1 + c_b (y'-y))^n_b. For rates, the factor
(1 + c_a)^s_a exp(-c_a x n_a) (1 + c_b)^s_b exp(-c_b y n_b) has expectation
exp(n_a c_a (x'-x) + n_b c_b (y'-y)). Neither is above exp((x'-x) (n_a c_a + ratio n_b c_b)) = 1.

So the product over polls is an e-process, whatever the base level does from poll to poll. If the
true treatment lies on the side against which c_b bets, the expectation is smaller still: the
one-sided nulls hold too. And so does a bet on one variant alone against the least (or most) that a
one-sided null with a margin leaves it.

The bet for an effect h is the one whose alternative lies h from the null at the pooled past. For
ratio 1 and offset 0 it is the likelihood ratio of Turner, Ly & Grünwald for proportions, and that
of the conditional binomial test for rates. The first poll has no past: there, equal proportions are
tested given the number of all successes. Other nulls, and counts that are not whole (users), are
not tested in it: its factor is 1, which is an e-value whatever is true. That costs the power of one
poll and no validity.

Sources: Turner, Ly & Grünwald (2024), arXiv:2106.02693, section 3; for convex nulls Turner &
Grünwald (2023), arXiv:2203.09785; for rates Lindon & Malek (2022), arXiv:2011.03567.

The same process takes shares of requests while events are few, by the effective number of users.
With few events the buckets show no variance. The variance cannot be larger than if each user always
or never had the event. Then a user counts once, however many requests they send, and the effective
number of users is that of equally busy users with the same variance between the buckets' requests:
(sum r)^2 / sum r^2 with r the requests of a user (Kish 1965, section 8.2).
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.fixed.contrast import Interval, Null, agreeing, lift_of, null_of
from abctl.stats.fixed.exact import hypergeometric
from abctl.stats.fixed.score import Strata, tried
from abctl.stats.sequential.mixture import (
    boundary,
    log_always_valid_p,
    log_mean,
    points,
    relative_default,
    scale_of,
)
from abctl.stats.sequential.sequence import EARLIER, EARLY_SHARE, rare_intervals
from abctl.stats.summary import Array, Buckets, Counts, Events, Stream

_BOLDEST = 0.98
_EDGE = 1e-9
_LARGEST_SUPPORT = 1_000_000
_BURN_IN = 10.0


@dataclass(frozen=True, eq=False)
class Pairs:
    """Successes `s` of `n` trials (or events of an exposure) in each poll; shape (polls,).

    >>> n = np.full(3, 500.0)
    >>> pairs = Pairs(n_a=n, s_a=np.full(3, 50.0), n_b=n, s_b=np.full(3, 75.0))
    >>> np.exp(log_e_path(pairs, Null(1.0, 0.0), Plan())).round(1)  # 20 rejects at alpha 0.05
    array([ 1.9,  8. , 45.4])

    Attributes:
        alone: whether polls with nothing of one variant count, as far as the null speaks of the
            other one alone (proportions only).
    """

    n_a: Array
    s_a: Array
    n_b: Array
    s_b: Array
    poisson: bool = False
    alone: bool = False


def log_e_path(pairs: Pairs, null: Null, plan: Plan) -> Array:
    """Logarithm of the e-value after each poll."""
    bet_a, bet_b, x, y = _bets(pairs, null, plan)
    if pairs.poisson:
        factors = -bet_a * (pairs.n_a * x) - bet_b * (pairs.n_b * y)
        one = np.ones_like(x)
        parts = [(pairs.s_a, bet_a, one), (pairs.s_b, bet_b, one)]
    else:
        factors = np.zeros_like(bet_a)
        parts = [
            (pairs.s_a, bet_a, 1.0 - x),
            (pairs.n_a - pairs.s_a, bet_a, -x),
            (pairs.s_b, bet_b, 1.0 - y),
            (pairs.n_b - pairs.s_b, bet_b, -y),
        ]
    term = np.empty_like(bet_a)
    for count, bet, outcome in parts:
        # In place: with thousands of polls, memory takes longer than logarithms.
        np.multiply(bet, outcome, out=term)
        term += 1.0
        np.log(term, out=term)
        term *= count
        factors += term
    if not pairs.poisson and null == Null(1.0, 0.0):
        factors[:, :1] = _conditional(pairs, plan)
    _, weights = points(plan)
    return log_mean(np.cumsum(factors, axis=1), weights)


def _conditional(pairs: Pairs, plan: Plan) -> Array:
    """Factors of the first poll: noncentral over central hypergeometric, shape (effects, 1)."""
    n_a, s_a, n_b, s_b = (
        float(field[:1].sum()) for field in (pairs.n_a, pairs.s_a, pairs.n_b, pairs.s_b)
    )
    effects = points(plan)[0][:, None]
    if not all(count.is_integer() for count in (n_a, s_a, n_b, s_b)):
        return np.zeros_like(effects)
    low, log_pmf = hypergeometric(n_a, n_b, s_a + s_b)
    if not 1 < log_pmf.size <= _LARGEST_SUPPORT:
        return np.zeros_like(effects)
    level = np.array([(s_a + s_b) / (n_a + n_b)])
    change = effects * scale_of(plan, level, relative_default(level)) / (n_a + n_b)
    edge = 0.02 * np.minimum(level, 1.0 - level)
    a = np.clip(level - n_b * change, edge, 1.0 - edge)
    b = np.clip(level + n_a * change, edge, 1.0 - edge)
    log_odds = np.log(b / (1.0 - b)) - np.log(a / (1.0 - a))
    tilted = log_pmf + log_odds * np.arange(log_pmf.size)
    return np.asarray(log_odds * (s_b - low) - np.logaddexp.reduce(tilted, axis=1, keepdims=True))


def _bets(pairs: Pairs, null: Null, plan: Plan) -> tuple[Array, Array, Array, Array]:
    """Bets on control and treatment, shape (effects, polls), and the point of the null."""
    x, y, known = _null_point(pairs, null)
    # Without a past there is no point to bet around, and without one variant nothing to compare.
    use = (pairs.n_a > 0.0) & (pairs.n_b > 0.0) & known
    odds = null.ratio * pairs.n_b / np.where(pairs.n_a > 0.0, pairs.n_a, math.inf)
    lone_a = np.zeros_like(use)
    if pairs.alone and (limits := _limits(null, plan)) is not None:
        low, high = _near_ends(pairs, abs(null.offset))
        # "Less" is shown by a low treatment or by a high control, "greater" the other way round.
        for_a, for_b = (high, low) if plan.alternative == "less" else (low, high)
        lone_a = (pairs.n_a > 0.0) & (pairs.n_b == 0.0) & for_a
        lone_b = (pairs.n_a == 0.0) & (pairs.n_b > 0.0) & for_b
        for lone, (end_a, end_b) in zip((lone_a, lone_b), limits, strict=True):
            use |= lone
            x, y = np.where(lone, end_a, x), np.where(lone, end_b, y)
    scale = np.where(use, scale_of(plan, x, relative_default(x)), 0.0)
    one_a, one_b = (1.0, 1.0) if pairs.poisson else (1.0 - x, 1.0 - y)
    unit = scale / np.where(lone_a, 1.0, y * one_b + null.ratio * odds * x * one_a)
    # A factor must stay positive: upwards, if the treatment fails or the control succeeds.
    upwards, downwards = odds * unit * one_a, unit * one_b
    if not pairs.poisson:
        upwards, downwards = np.maximum(upwards, unit * y), np.maximum(downwards, odds * unit * x)
    with np.errstate(divide="ignore"):
        largest, smallest = _BOLDEST / upwards, -_BOLDEST / downwards
    effects = points(plan)[0][:, None]
    bet_b = np.clip(effects, smallest, largest) * unit
    bet_a = -odds * bet_b
    if lone_a.any():
        level = x[lone_a]
        unit = scale[lone_a] / (level * (1.0 - level))
        bolder, meeker = _BOLDEST / (unit * level), -_BOLDEST / (unit * (1.0 - level))
        bet_a[:, lone_a] = np.clip(-effects, meeker, bolder) * unit
        bet_b[:, lone_a] = 0.0
    return bet_a, bet_b, x, y


def _near_ends(pairs: Pairs, margin: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether the level of all earlier polls is within a margin of 0, and whether of 1."""
    n, successes = _before(pairs.n_a + pairs.n_b), _before(pairs.s_a + pairs.s_b)
    level = (successes + 0.5) / (n + 1.0)
    return level < margin, level > 1.0 - margin


def _limits(null: Null, plan: Plan) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Levels of both variants that bound, under the null, control or treatment alone.

    As the control is not below 0, treatment >= control + margin is treatment >= margin; as the
    treatment is not above 1, it is control <= 1 - margin. And so for "at most".
    """
    if plan.alternative == "less" and 0.0 < null.offset < 1.0:
        return (1.0 - null.offset, 1.0), (0.0, null.offset)
    if plan.alternative == "greater" and -1.0 < null.offset < 0.0:
        return (-null.offset, 0.0), (1.0, 1.0 + null.offset)
    return None


def _null_point(pairs: Pairs, null: Null) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Levels on the null, guessed from all earlier polls, and whether there were any.

    Rates with a null that is a ratio are tested given the number of all events of the poll, which
    may therefore be known.
    """
    before = np.cumsum if pairs.poisson and null.offset == 0.0 else _before
    n_a, n_b, successes = (
        before(field) for field in (pairs.n_a, pairs.n_b, pairs.s_a + pairs.s_b + 0.0)
    )
    total = n_a + null.ratio * n_b
    safe = np.where(total > 0.0, total, 1.0)
    low, high = max(0.0, -null.offset / null.ratio), (1.0 - null.offset) / null.ratio
    if pairs.poisson:
        x = np.maximum((successes + 0.5 - null.offset * n_b) / safe, low + 0.5 / safe)
    else:
        x = (successes + 0.5) / (total + 1.0) - null.offset * n_b / safe
        x = np.clip(x, low + _EDGE, min(1.0, high) - _EDGE)
    return x, null.ratio * x + null.offset, total > 0.0


def _before(increments: Array) -> Array:
    return np.asarray(np.cumsum(increments) - increments)


def counts_sequence(
    method: str,
    stream: Stream[Counts] | Stream[Events],
    plan: Plan,
    assumptions: tuple[str, ...],
) -> Estimate | NotEstimable:
    """The estimate at the last poll: e-value, always-valid p-value and confidence sequence."""
    strata = Strata.of(stream)
    if isinstance(strata, str):
        return NotEstimable(method, strata)
    control, treatment = strata.means()
    pairs = Pairs(*tried(stream.control), *tried(stream.treatment), strata.poisson)
    log_e = log_e_path(pairs, null_of(plan, 1.0), plan)
    log_p = log_always_valid_p(log_e)
    rejects = log_p <= math.log(plan.alpha)
    interval, lift_interval = agreeing(
        *_intervals(strata, plan), plan, control, treatment, rejects=rejects
    )
    earlier = (EARLIER,) if rejects and log_e[-1] < -math.log(plan.alpha) else ()
    return Estimate(
        method=method,
        control=control,
        treatment=treatment,
        effect=treatment - control,
        interval=interval,
        lift=lift_of(control, treatment),
        lift_interval=lift_interval,
        p=math.exp(log_p),
        log_p=log_p,
        alpha=plan.alpha,
        alternative=plan.alternative,
        guarantee="exact",
        assumptions=assumptions,
        n=strata.n,
        epochs=strata.epochs,
        log_e=float(log_e[-1]),
        notes=(*strata.notes, *earlier),
    )


def _intervals(strata: Strata, plan: Plan) -> tuple[Interval, Interval | None]:
    control, treatment = strata.means()
    fewest = min(strata.s_a.sum(), strata.s_b.sum())
    if not strata.poisson:
        fewest = min(fewest, (strata.n_a - strata.s_a).sum(), (strata.n_b - strata.s_b).sum())
    if fewest < _BURN_IN:
        return rare_intervals(strata, replace(plan, alpha=EARLY_SHARE * plan.alpha))
    plan = replace(plan, alpha=(1.0 - EARLY_SHARE) * plan.alpha)
    contrast = strata.contrast()
    variance = contrast.variance(null_of(plan, control).ratio)
    level = np.array([0.5 * (control + treatment)])
    scale = float(scale_of(plan, level, relative_default(level))[0])
    crit = boundary(1.0 / variance, scale, plan)
    return (
        contrast.interval(crit, plan.alternative),
        contrast.lift_interval(crit, plan.alternative),
    )


def as_users(stream: Stream[Buckets]) -> Pairs | None:
    """Effective users and their events in each poll; None if the ratio is not a share.

    A poll's users are those by which it raises the number up to now, so that users who come back
    are not counted as new. They are known before the poll's events are.
    """
    sides = (stream.control, stream.treatment)
    if any(np.any((s.numerator < 0.0) | (s.numerator > s.denominator)) for s in sides):
        return None
    # After a ramp the control may have no new users for long, the treatment most of its own.
    return Pairs(*_users(stream.control), *_users(stream.treatment), alone=True)


def by_epoch(users: Pairs, epoch: NDArray[np.int64]) -> Strata | str:
    """The users of all polls, epoch by epoch; a reason where no epoch has both variants."""
    starts = np.flatnonzero(np.diff(epoch, prepend=epoch[:1] - 1))
    n_a, s_a, n_b, s_b = (
        np.add.reduceat(cell, starts) for cell in (users.n_a, users.s_a, users.n_b, users.s_b)
    )
    return Strata.where_both(n_a, s_a, n_b, s_b, epoch[starts])


def _users(side: Buckets) -> tuple[Array, Array]:
    requests = np.cumsum(side.denominator, axis=0)
    total = requests.sum(axis=1)
    squares = requests.shape[1] * requests.var(axis=1, ddof=1)
    users = total**2 / np.maximum(np.maximum(squares, total), 1.0)
    new = np.diff(np.maximum.accumulate(users), prepend=0.0)
    each = side.denominator.sum(axis=1)
    return new, side.numerator.sum(axis=1) * new / np.where(each > 0.0, each, 1.0)
