"""Two histograms, at any time: an exact e-process on the cells of each poll.

H0 (`two-sided`): control and treatment have the same distribution in every poll, whatever it is.
`greater`: H0 is "in every poll, values of the treatment are stochastically at most as large", i.e.
not more of them are above any edge; `less`: "at least as large". There is no margin: a null other
than 0 is not estimable (see `quantile_sequence` and `share_above_sequence`).

`control`, `treatment`, effect and lift are those of `mann_whitney`. p and the decision are exact at
any sample size and stopping time; the interval of the effect is asymptotic, except that it holds 0
exactly if H0 is not rejected.

Sources: Turner, Ly & Grünwald (2024), arXiv:2106.02693; Newcombe (2006), doi:10.1002/sim.2324.

The exact e-process of two histograms, poll by poll.

Let F be the pooled distribution of all earlier polls, and w_a, w_b the shares of control and
treatment in the values of this poll. For an effect d the treatment's log odds are moved by -w_a d
and the control's by w_b d, at every edge: proportional odds, so values of the treatment are larger
if d > 0. With q_0 = w_a q_a + w_b q_b the factor prod_k (q_ak / q_0k)^y_ak (q_bk / q_0k)^y_bk has,
under any common distribution of the poll, expectation at most 1, by the argument of `linear_e`
cell by cell. q_bk / q_0k rises with k (the likelihood ratio of proportional odds is monotone), so
for d > 0 the expectation is smaller still where the treatment's values are stochastically smaller.
The first poll has no past: there the shares above the edges are compared, given the pooled cells,
and the e-values of the edges averaged (see `first_poll`).

Sources: Turner, Ly & Grünwald (2024), arXiv:2106.02693, section 3, for k cells; McCullagh (1980),
doi:10.1111/j.2517-6161.1980.tb01109.x, for proportional odds.
"""

import math
from dataclasses import replace

import numpy as np

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.fixed.contrast import agreeing, lift_of
from abctl.stats.sequential.first_poll import bennett
from abctl.stats.sequential.mixture import (
    begun,
    boundary,
    log_always_valid_p,
    log_mean,
    mixed,
    points,
)
from abctl.stats.sequential.sequence import EARLIER
from abctl.stats.summaries.histograms import FEW_EDGES, Ranks, as_effect
from abctl.stats.summary import (
    Array,
    Histogram,
    Stream,
    SummaryError,
    common_edges,
    weight_of,
)

_DEFAULT_LOG_ODDS = 0.2
# The probability of superiority is 1/2 + d / 6 for small log odds d.
_LOG_ODDS_PER_SUPERIORITY = 6.0
_LOG_ODDS_RANGE = (0.01, 3.0)
SUMMARY = Histogram
SEQUENTIAL = True
ASSUMPTIONS = (
    "each value is independent of the others",
    "the null holds in every poll; the load may drift and the split may change between polls",
)
# The effect 2 theta - 1 of a small change of log odds.
_EFFECT_PER_LOG_ODDS = 1.0 / 3.0
# Pairs of values that tell as much of log odds as one unit of information.
_INFORMATION = 3.0


def log_e_path(control: Histogram, treatment: Histogram, plan: Plan) -> tuple[Array, Array]:
    """Logarithm of the e-value after each poll, and the size of log odds that was looked for."""
    cells = control.counts + treatment.counts
    past = np.cumsum(cells, axis=0) - cells + 1.0 / cells.shape[1]
    # The first poll is compared given its pooled cells: they may be known.
    past[:1] += cells[:1]
    total = past.sum(axis=1, keepdims=True)
    # Both tails are summed on their own: 1 - F would lose the small one.
    up = np.concatenate((np.zeros_like(total), np.cumsum(past, axis=1)), axis=1) / total
    down = np.concatenate((np.cumsum(past[:, ::-1], axis=1)[:, ::-1], np.zeros_like(total)), axis=1)
    down /= total
    n_a, n_b = control.counts.sum(axis=1), treatment.counts.sum(axis=1)
    share_b = n_b / np.maximum(n_a + n_b, 1.0)
    share_a = 1.0 - share_b
    use = (n_a > 0.0) & (n_b > 0.0) & (np.cumsum(n_a + n_b) > n_a + n_b)
    size = np.clip(_log_odds(control.edges, up, plan), *_LOG_ODDS_RANGE)
    information = np.cumsum(weight_of(n_a, n_b) * np.square(size)) / _INFORMATION
    effects, weights = points(plan, float(information[-1:].sum()))
    active = begun(effects, plan, information)
    paths = []
    for effect, bets in zip(effects, active, strict=True):
        ratio_b = _tilt(up, down, share_a * size * effect)
        ratio_a = _tilt(up, down, -share_b * size * effect)
        both = share_a[:, None] * ratio_a + share_b[:, None] * ratio_b
        factor = np.einsum("tk,tk->t", control.counts, np.log(ratio_a / both))
        factor += np.einsum("tk,tk->t", treatment.counts, np.log(ratio_b / both))
        factor = np.where(use & bets, factor, 0.0)
        if bets[:1].any():
            factor[:1] = _first(control, treatment, effect * size[:1])
        paths.append(np.cumsum(factor))
    return mixed(np.array(paths), weights), size


def _first(control: Histogram, treatment: Histogram, log_odds: Array) -> Array:
    """The factor of the first poll: equal shares above each edge, given the pooled cells."""
    a, b = control.counts[:1], treatment.counts[:1]
    n_a, n_b = a.sum(), b.sum()
    if not min(n_a, n_b):
        return np.zeros(1)
    above_a, above_b = (each[:, ::-1].cumsum(axis=1)[:, -2::-1] for each in (a, b))
    pooled = above_a + above_b
    # An edge with all values on one side of it shows nothing.
    divides = (pooled > 0.0) & (pooled < n_a + n_b)
    if not divides.any():
        return np.zeros(1)
    each = bennett(n_a, n_b, pooled, above_b, log_odds)[divides]
    return log_mean(each[:, None], np.full(each.size, 1.0 / each.size))


def _tilt(up: Array, down: Array, log_odds: Array) -> Array:
    """Ratio of each cell's tilted to its untilted probability, shape (looks, cells)."""
    odds = np.exp(log_odds)[:, None]
    edge = up + odds * down
    return np.asarray(odds / (edge[:, 1:] * edge[:, :-1]))


def _log_odds(edges: tuple[float, ...], up: Array, plan: Plan) -> Array:
    """What it would be in log odds, if all values of the past were larger by the MDE."""
    if plan.mde is None:
        return np.full(up.shape[0], _DEFAULT_LOG_ODDS)
    size = abs(plan.mde.value)
    bounds = np.array((min(0.0, edges[0]), *edges))
    before = bounds / (1.0 + size) if plan.mde.relative else bounds - size
    cell = np.clip(np.searchsorted(bounds, before, side="right"), 1, len(edges))
    width = np.maximum(bounds[cell] - bounds[cell - 1], 1e-300)
    inside = np.clip((before - bounds[cell - 1]) / width, 0.0, 1.0)
    larger = (1.0 - inside) * up[:, cell - 1] + inside * up[:, cell]
    larger = np.concatenate((larger, np.ones((up.shape[0], 1))), axis=1)
    middle = 0.5 * (up[:, :-1] + up[:, 1:])
    superiority = np.einsum("tk,tk->t", np.diff(larger, axis=1), middle)
    return np.asarray(_LOG_ODDS_PER_SUPERIORITY * (superiority - 0.5))


def estimate(stream: Stream[Histogram], plan: Plan) -> Estimate | NotEstimable:
    """As `mann_whitney`, valid however often anyone looks.

    >>> edges, polls = (1.0, 2.0), 10
    >>> control = Histogram([[60, 40, 0]] * polls, edges)
    >>> treatment = Histogram([[40, 60, 0]] * polls, edges)
    >>> found = estimate(Stream(control, treatment, [0] * polls), Plan())
    >>> round(found.treatment, 4), round(found.effect, 4), found.rejects
    (0.6, 0.2, True)
    """
    if plan.null.value != 0.0:
        return NotEstimable("histogram_sequence", Remark("equalityOnly"))
    try:
        control, treatment = common_edges(stream.control, stream.treatment)
    except SummaryError:
        return NotEstimable("histogram_sequence", FEW_EDGES)
    ranks = Ranks.of(replace(stream, control=control, treatment=treatment))
    if isinstance(ranks, Remark):
        return NotEstimable("histogram_sequence", ranks)
    log_e, log_odds = log_e_path(control, treatment, plan)
    log_p = log_always_valid_p(log_e)
    rejects = log_p <= math.log(plan.alpha)
    theta = ranks.superiority
    information = 0.25 / float(ranks.variance(np.array([0.5]))[0])
    crit = boundary(information, _EFFECT_PER_LOG_ODDS * float(log_odds[-1]), plan)
    interval, lift_interval = agreeing(
        *as_effect(ranks.interval(crit, plan.alternative), plan.alternative),
        plan,
        1.0 - theta,
        theta,
        rejects=rejects,
    )
    return Estimate(
        method="histogram_sequence",
        control=1.0 - theta,
        treatment=theta,
        effect=2.0 * theta - 1.0,
        interval=interval,
        lift=lift_of(1.0 - theta, theta),
        lift_interval=lift_interval if theta < 1.0 else None,
        p=math.exp(log_p),
        log_p=log_p,
        alpha=plan.alpha,
        alternative=plan.alternative,
        guarantee="exact",
        assumptions=ASSUMPTIONS,
        n=(float(ranks.n_a.sum()), float(ranks.n_b.sum())),
        epochs=ranks.epochs,
        log_e=float(log_e[-1]),
        notes=(EARLIER,) if rejects and log_e[-1] < -math.log(plan.alpha) else (),
    )
