"""The exact e-process of two proportions, poll by poll.

Within a poll take any point of the null, control x and treatment y = ratio * x + offset, and bets
c_a, c_b with n_a c_a + ratio * n_b c_b = 0. Let the true proportions be x' and y' on the null. The
factor (1 + c_a (1 - x))^s_a (1 - c_a x)^f_a (1 + c_b (1 - y))^s_b (1 - c_b y)^f_b has expectation
(1 + c_a (x' - x))^n_a (1 + c_b (y' - y))^n_b <= exp((x' - x)(n_a c_a + ratio * n_b c_b)) = 1,
so the product over polls is an e-process whatever the base rate does from poll to poll. If the
true treatment lies on the side against which c_b bets, the expectation is smaller still: the
one-sided nulls hold too. The bet for an effect h is the one whose alternative lies h from the null;
at the pooled past it is the likelihood ratio of Turner, Ly & Grünwald.

Source: Turner, Ly & Grünwald (2024), arXiv:2106.02693, section 3; for the convex nulls Turner &
Grünwald (2023), arXiv:2203.09785. Checked by simulation and by enumeration in the tests.
"""

import numpy as np

from abctl.stats._contrast import Null
from abctl.stats._mixture import log_mean, points, relative_default, scale_of
from abctl.stats.estimate import Plan
from abctl.stats.summary import Array, Counts

_BOLDEST = 0.98
_EDGE = 1e-9


def log_e_path(control: Counts, treatment: Counts, null: Null, plan: Plan) -> Array:
    """Logarithm of the e-value after each poll."""
    both = (control.n > 0.0) & (treatment.n > 0.0)
    level, treated = _null_point(control, treatment, null)
    scale = scale_of(plan, level, relative_default(level))
    odds = null.ratio * treatment.n / np.where(both, control.n, 1.0)
    spread = treated * (1.0 - treated) + null.ratio * odds * level * (1.0 - level)
    first = (np.cumsum(control.n + treatment.n) - control.n - treatment.n) == 0.0
    unit = np.where(both & ~first, scale / spread, 0.0)
    multiples, weights = points(plan)
    if plan.alternative == "less":
        multiples = -multiples
    elif plan.alternative == "two-sided":
        multiples = np.concatenate((multiples, -multiples))
        weights = np.concatenate((weights, weights)) / 2.0
    bet_b = multiples[:, None] * unit
    bet_a = -odds * bet_b
    boldest = np.maximum(
        np.maximum(-bet_b * (1.0 - treated), bet_b * treated),
        np.maximum(-bet_a * (1.0 - level), bet_a * level),
    )
    tame = _BOLDEST / np.maximum(boldest, _BOLDEST)
    bet_a, bet_b = bet_a * tame, bet_b * tame
    factors = (
        control.successes * np.log(1.0 + bet_a * (1.0 - level))
        + (control.n - control.successes) * np.log(1.0 - bet_a * level)
        + treatment.successes * np.log(1.0 + bet_b * (1.0 - treated))
        + (treatment.n - treatment.successes) * np.log(1.0 - bet_b * treated)
    )
    return log_mean(np.cumsum(factors, axis=1).T, weights)


def _null_point(control: Counts, treatment: Counts, null: Null) -> tuple[Array, Array]:
    """Proportions on the null, guessed from all earlier polls."""
    n_a, s_a = _before(control.n), _before(control.successes)
    n_b, s_b = _before(treatment.n), _before(treatment.successes)
    level = (s_a + s_b + 0.5 - null.offset * n_b) / (n_a + null.ratio * n_b + 1.0)
    low, high = -null.offset / null.ratio, (1.0 - null.offset) / null.ratio
    level = np.clip(level, max(0.0, low) + _EDGE, min(1.0, high) - _EDGE)
    return level, null.ratio * level + null.offset


def _before(increments: Array) -> Array:
    return np.asarray(np.cumsum(increments) - increments)
