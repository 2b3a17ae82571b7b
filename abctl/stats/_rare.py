"""Levels and their difference while events are few, at any time: from the number of events alone.

Let S be the events so far and M the sum of their probabilities (or rates times exposures), however
these drift. For any r, r^S exp(-(r - 1) M) is a supermartingale, since r^x <= 1 + x (r - 1) on
[0, 1] and 1 + p (r - 1) <= exp(p (r - 1)). Mixed over r ~ Gamma(1/2, 1/2) it is in closed form; the
M at which it is below 1 / alpha are a confidence sequence. Without an event it ends at M = 4.1 for
alpha = 0.05, where the rule of three, which is for one look, has 3.

Sources: Robbins (1970), doi:10.1214/aoms/1177696786; Howard et al. (2020), arXiv:1808.03204, for
processes like Poisson's.
"""

import math

import numpy as np
from scipy.special import gammaln, xlogy

from abctl.stats._contrast import Interval, lift_of, one_sided
from abctl.stats._reference import crossing
from abctl.stats._score import Strata
from abctl.stats.estimate import Plan
from abctl.stats.summary import Array

_SHAPE = 0.5


def rare_intervals(strata: Strata, plan: Plan) -> tuple[Interval, Interval | None]:
    """Differences and lifts that cannot be excluded; half of alpha is each variant's."""
    threshold = math.log(2.0 / plan.alpha)
    weights = strata.weights / strata.weights.sum()
    low_a, high_a = _level(strata.n_a, strata.s_a, weights, threshold, strata.poisson)
    low_b, high_b = _level(strata.n_b, strata.s_b, weights, threshold, strata.poisson)
    interval = one_sided((low_b - high_a, high_b - low_a), plan.alternative)
    if lift_of(*strata.means()) is None:
        return interval, None
    most = high_b / low_a - 1.0 if low_a > 0.0 else math.inf
    return interval, one_sided((low_b / high_a - 1.0, most), plan.alternative)


def event_bounds(events: float, threshold: float) -> Interval:
    """Expected numbers of events whose log e-value is below a threshold."""

    def log_e(expected: Array) -> Array:
        shape = events + _SHAPE
        constant = xlogy(_SHAPE, _SHAPE) + gammaln(shape) - gammaln(_SHAPE)
        return np.asarray(expected + constant - shape * np.log(expected + _SHAPE))

    furthest = 2.0 * (events + _SHAPE) + 4.0 * threshold
    return (
        crossing(lambda expected: log_e(expected) - threshold, 0.0, events),
        crossing(lambda expected: threshold - log_e(expected), events, furthest),
    )


def _level(n: Array, s: Array, weights: Array, threshold: float, poisson: bool) -> Interval:
    """Bounds of a variant's weighted level, from its events, or its failures if those are fewer."""
    if not poisson and s.sum() > n.sum() / 2.0:
        low, high = _level(n, n - s, weights, threshold, poisson)
        return 1.0 - high, 1.0 - low
    fewest, most = event_bounds(float(s.sum()), threshold)
    # An event of one epoch may weigh more than one of another.
    each = weights / n
    high = float(each.max()) * most
    return float(each.min()) * fewest, high if poisson else min(1.0, high)
