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
one-sided nulls hold too.

The bet for an effect h is the one whose alternative lies h from the null at the pooled past. For
ratio 1 and offset 0 it is the likelihood ratio of Turner, Ly & Grünwald for proportions, and that
of the conditional binomial test for rates. The first poll has no past: there, equal proportions are
tested given the number of all successes. What it says of a margin is mixed in with a share of the
weight, so that one poll of totals has an answer (see `first_poll`).

Sources: Turner, Ly & Grünwald (2024), arXiv:2106.02693, section 3; for convex nulls Turner &
Grünwald (2023), arXiv:2203.09785; for rates Lindon & Malek (2022), arXiv:2011.03567.
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.fixed.contrast import Interval, Null, agreeing, lift_of, no_null, null_of
from abctl.stats.fixed.score import Strata, tried
from abctl.stats.sequential.first_poll import tilted, universal
from abctl.stats.sequential.mixture import (
    FIRST_SHARE,
    begun,
    boundary,
    log_always_valid_p,
    mixed,
    points,
    relative_default,
    scale_of,
)
from abctl.stats.sequential.sequence import EARLIER, EARLY_SHARE, rare_intervals
from abctl.stats.summary import Array, Counts, Events, Stream

_BOLDEST = 0.98
_EDGE = 1e-9
_BURN_IN = 10.0
# Polls that are worked on together.
_PART = 1024


@dataclass(frozen=True, eq=False)
class Pairs:
    """Successes `s` of `n` trials (or events of an exposure) in each poll; shape (polls,).

    >>> n = np.full(3, 500.0)
    >>> pairs = Pairs(n_a=n, s_a=np.full(3, 50.0), n_b=n, s_b=np.full(3, 75.0))
    >>> np.exp(log_e_path(pairs, Null(1.0, 0.0), Plan())).round(1)  # 20 rejects at alpha 0.05
    array([ 1.8,  7.2, 40.9])
    """

    n_a: Array
    s_a: Array
    n_b: Array
    s_b: Array
    poisson: bool = False


def log_e_path(pairs: Pairs, null: Null, plan: Plan) -> Array:
    """Logarithm of the e-value after each poll."""
    bets = _bets(pairs, null, plan)
    first = tuple(float(f[:1].sum()) for f in (pairs.n_a, pairs.s_a, pairs.n_b, pairs.s_b))
    whole = all(count.is_integer() for count in (first[1], first[3])) and min(first[0], first[2])
    equal = not pairs.poisson and null == Null(1.0, 0.0)
    known = _conditional(first, bets.effects, plan) if equal and whole else None
    found = _mixed_path(pairs, bets, known)
    general = null.offset != 0.0 and null.ratio != 1.0
    if equal or not whole or general or (pairs.poisson and null.offset == 0.0):
        return found
    n_a, s_a, n_b, s_b = first
    alone = universal((n_a, n_b), (s_a, s_b), null, plan, poisson=pairs.poisson)
    return np.logaddexp(found + math.log1p(-FIRST_SHARE), alone + math.log(FIRST_SHARE))


def _mixed_path(pairs: Pairs, bets: "_Bets", first: Array | None) -> Array:
    """The mixture of all effects after each poll; `first` are their factors of the first poll."""
    found = np.empty_like(bets.x)
    so_far = np.zeros((bets.effects.size, 1))
    # In parts that the processor's cache holds: with thousands of polls, memory takes longer than
    # logarithms.
    for start in range(0, found.size, _PART):
        part = slice(start, start + _PART)
        factors = _factors(pairs, bets, part)
        if first is not None and start == 0:
            factors[:, 0] = first
        np.cumsum(factors, axis=1, out=factors)
        factors += so_far
        so_far = factors[:, -1:].copy()
        found[part] = mixed(factors, bets.weights)
    return found


def _factors(pairs: Pairs, bets: "_Bets", part: slice) -> Array:
    """Logarithm of what each effect wins in each poll of a part, shape (effects, polls)."""
    n_a, s_a, n_b, s_b = (each[part] for each in (pairs.n_a, pairs.s_a, pairs.n_b, pairs.s_b))
    x, y = bets.x[part], bets.y[part]
    bet_a, bet_b = bets.of(part)
    if pairs.poisson:
        factors = -bet_a * (n_a * x) - bet_b * (n_b * y)
        one = np.ones_like(x)
        parts = [(s_a, bet_a, one), (s_b, bet_b, one)]
    else:
        factors = np.zeros_like(bet_a)
        parts = [
            (s_a, bet_a, 1.0 - x),
            (n_a - s_a, bet_a, -x),
            (s_b, bet_b, 1.0 - y),
            (n_b - s_b, bet_b, -y),
        ]
    term = np.empty_like(bet_a)
    for count, bet, outcome in parts:
        np.multiply(bet, outcome, out=term)
        term += 1.0
        np.log(term, out=term)
        term *= count
        factors += term
    return factors


def _conditional(first: tuple[float, ...], effects: Array, plan: Plan) -> Array:
    """Factors of the first poll, given its successes, for each effect."""
    n_a, s_a, n_b, s_b = first
    level = np.array([(s_a + s_b) / (n_a + n_b)])
    change = effects * scale_of(plan, level, relative_default(level)) / (n_a + n_b)
    edge = 0.02 * np.minimum(level, 1.0 - level)
    if not edge[0] > 0.0:
        return np.zeros_like(effects)
    a = np.clip(level - n_b * change, edge, 1.0 - edge)
    b = np.clip(level + n_a * change, edge, 1.0 - edge)
    return tilted(n_a, s_a, n_b, s_b, np.log(b / (1.0 - b)) - np.log(a / (1.0 - a)))


class _Bets(NamedTuple):
    """What is bet on each effect, in units of the planned size; arrays of shape (polls,).

    Attributes:
        x, y: the point of the null.
        odds: what is bet on the control, over what is bet on the treatment.
        unit: the bet on one planned size.
        smallest, largest: the effects whose bets keep every factor positive.
        information: up to each poll.
        effects, weights: that are tried.
    """

    x: Array
    y: Array
    odds: Array
    unit: Array
    smallest: Array
    largest: Array
    information: Array
    effects: Array
    weights: Array
    plan: Plan

    def of(self, part: slice) -> tuple[Array, Array]:
        """The bets on control and treatment in a part of the polls, shape (effects, polls)."""
        bet = np.clip(self.effects[:, None], self.smallest[part], self.largest[part])
        bet *= self.unit[part]
        bet *= begun(self.effects, self.plan, self.information[part])
        return -self.odds[part] * bet, bet


def _bets(pairs: Pairs, null: Null, plan: Plan) -> _Bets:
    x, y, known = _null_point(pairs, null)
    # Without a past there is no point to bet around, and without one variant nothing to compare.
    use = (pairs.n_a > 0.0) & (pairs.n_b > 0.0) & known
    odds = null.ratio * pairs.n_b / np.where(pairs.n_a > 0.0, pairs.n_a, math.inf)
    scale = np.where(use, scale_of(plan, x, relative_default(x)), 0.0)
    one_a, one_b = (1.0, 1.0) if pairs.poisson else (1.0 - x, 1.0 - y)
    unit = scale / (y * one_b + null.ratio * odds * x * one_a)
    # A factor must stay positive: upwards, if the treatment fails or the control succeeds.
    upwards, downwards = odds * unit * one_a, unit * one_b
    if not pairs.poisson:
        upwards, downwards = np.maximum(upwards, unit * y), np.maximum(downwards, odds * unit * x)
    with np.errstate(divide="ignore"):
        largest, smallest = _BOLDEST / upwards, -_BOLDEST / downwards
    # The first poll has no point of its own: there, the level of it counts (`_conditional`).
    information = np.cumsum(pairs.n_b * scale * unit)
    first = 0.0 if pairs.poisson or null != Null(1.0, 0.0) else _first_information(pairs, plan)
    sizes, weights = points(plan, max(first, float(information[-1:].sum())))
    return _Bets(x, y, odds, unit, smallest, largest, information, sizes, weights, plan)


def _first_information(pairs: Pairs, plan: Plan) -> float:
    """Information of the first poll on the difference, in units of the planned size."""
    n_a, s_a, n_b, s_b = (float(f[:1].sum()) for f in (pairs.n_a, pairs.s_a, pairs.n_b, pairs.s_b))
    if not (min(n_a, n_b) and 0.0 < s_a + s_b < n_a + n_b):
        return 0.0
    level = np.array([(s_a + s_b) / (n_a + n_b)])
    scale = float(scale_of(plan, level, relative_default(level))[0])
    spread = float(level[0] * (1.0 - level[0]))
    return scale * scale * n_a * n_b / (n_a + n_b) / spread


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
    if isinstance(strata, Remark):
        return NotEstimable(method, strata)
    if reason := no_null(plan, poisson=strata.poisson):
        return NotEstimable(method, reason, strata.n)
    control, treatment = strata.means()
    contrast, null = strata.contrast(), null_of(plan, 1.0)
    pairs = Pairs(*tried(stream.control), *tried(stream.treatment), strata.poisson)
    log_e = log_e_path(pairs, null, plan)
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
        se=math.sqrt(contrast.variance()),
        statistic=contrast.statistic(null),
        df=contrast.df,
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
