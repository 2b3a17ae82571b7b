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
from abctl.stats.estimate import Plan
from abctl.stats.summary import Array, Histogram

_DEFAULT_LOG_ODDS = 0.2
# The probability of superiority is 1/2 + d / 6 for small log odds d.
_LOG_ODDS_PER_SUPERIORITY = 6.0
_LOG_ODDS_RANGE = (0.01, 3.0)


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
    size = np.clip(_log_odds(control.edges, up, plan), *_LOG_ODDS_RANGE)
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
