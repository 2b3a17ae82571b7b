"""The exact e-process of two histograms, poll by poll.

Let F be the pooled distribution of all earlier polls, and w_a, w_b the shares of control and
treatment in the values of this poll. For an effect d the treatment's log odds are moved by -w_a d
and the control's by w_b d, at every edge: proportional odds, so values of the treatment are larger
if d > 0. With q_0 = w_a q_a + w_b q_b the factor prod_k (q_ak / q_0k)^y_ak (q_bk / q_0k)^y_bk has,
under any common distribution of the poll, expectation at most 1, by the argument of `_linear_e`
cell by cell. q_bk / q_0k rises with k (the likelihood ratio of proportional odds is monotone), so
for d > 0 the expectation is smaller still where the treatment's values are stochastically smaller.

Sources: Turner, Ly & Grünwald (2024), arXiv:2106.02693, section 3, for k cells; McCullagh (1980),
doi:10.1111/j.2517-6161.1980.tb01109.x, for proportional odds.
"""

import numpy as np

from abctl.stats._mixture import log_mean, points
from abctl.stats._quantiles import Distribution
from abctl.stats.estimate import Plan
from abctl.stats.summary import Array, Histogram

_DEFAULT_LOG_ODDS = 0.2
_LOG_ODDS_RANGE = (0.01, 20.0)


def log_e_path(control: Histogram, treatment: Histogram, plan: Plan) -> tuple[Array, Array]:
    """Logarithm of the e-value after each poll, and the size of log odds that was looked for."""
    cells = control.counts + treatment.counts
    past = np.cumsum(cells, axis=0) - cells + 1.0 / cells.shape[1]
    total = past.sum(axis=1, keepdims=True)
    # Both tails are summed on their own: 1 - F would lose the small one.
    up = np.concatenate((np.zeros_like(total), np.cumsum(past, axis=1)), axis=1) / total
    down = np.concatenate((np.cumsum(past[:, ::-1], axis=1)[:, ::-1], np.zeros_like(total)), axis=1)
    down /= total
    n_a, n_b = control.counts.sum(axis=1), treatment.counts.sum(axis=1)
    share_b = n_b / np.maximum(n_a + n_b, 1.0)
    share_a = 1.0 - share_b
    use = (n_a > 0.0) & (n_b > 0.0) & (np.cumsum(n_a + n_b) > n_a + n_b)
    size = np.clip(_log_odds(control.edges, up, total[:, 0], plan), *_LOG_ODDS_RANGE)
    effects, weights = points(plan)
    paths = []
    for effect in effects:
        ratio_b = _tilt(up, down, share_a * size * effect)
        ratio_a = _tilt(up, down, -share_b * size * effect)
        mixed = share_a[:, None] * ratio_a + share_b[:, None] * ratio_b
        factor = np.einsum("tk,tk->t", control.counts, np.log(ratio_a / mixed))
        factor += np.einsum("tk,tk->t", treatment.counts, np.log(ratio_b / mixed))
        paths.append(np.cumsum(np.where(use, factor, 0.0)))
    return log_mean(np.array(paths), weights), size


def _tilt(up: Array, down: Array, log_odds: Array) -> Array:
    """Ratio of each cell's tilted to its untilted probability, shape (looks, cells)."""
    odds = np.exp(log_odds)[:, None]
    edge = up + odds * down
    return np.asarray(odds / (edge[:, 1:] * edge[:, :-1]))


def _log_odds(edges: tuple[float, ...], up: Array, n: Array, plan: Plan) -> Array:
    """The MDE, a change of the plan's quantile (or the median), as a change of log odds there."""
    if plan.mde is None:
        return np.full(n.shape, _DEFAULT_LOG_ODDS)
    past = Distribution(np.array((min(0.0, edges[0]), *edges)), up[:, :-1], n)
    level = np.full(n.shape, plan.quantile or 0.5)
    value = np.minimum(past.at(level), edges[-1])
    step = abs(plan.mde.value) * (np.abs(value) if plan.mde.relative else 1.0)
    here, there = past.share_at(value), past.share_at(value + step)
    least = 0.5 / n
    here, there = np.clip(here, least, 1.0 - least), np.clip(there, least, 1.0 - least)
    return np.asarray(np.log(there / (1.0 - there)) - np.log(here / (1.0 - here)))
