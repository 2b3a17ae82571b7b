"""Pairs at any time: the exact e-process of the difference of two shares on the same requests.

Of each pair take D = treatment - ratio * control - offset, where right is 1 and wrong is 0. On the
null its mean is 0, so a bet c that is settled before the pair gives 1 + c D the expectation 1, and
less where the truth lies on the side against which it bets. The product over pairs is an e-process,
whatever the accuracies do from poll to poll. D has four values, so a poll is four counts.

The bet on an effect h is h over the mean of D^2 up to now. For "no difference" D is 0 where both
are right or both wrong, and given the pairs that differ each is a fair coin (McNemar): so there the
share of pairs that differ may be that of the poll itself. The factor is then
q^b (1 - q)^c 2^(b + c) with b and c the pairs in which one alone is right, and
q = (1 + h / share) / 2. With a margin the first poll has no past: there every size of a bet is
tried, each half as large as the one before.

Sources: McNemar (1947), doi:10.1007/BF02295996; Waudby-Smith & Ramdas (2024),
doi:10.1093/jrsssb/qkad009, for bets on bounded means.
"""

import numpy as np

from abctl.stats.estimate import Plan
from abctl.stats.fixed.contrast import NO_EFFECT, Null
from abctl.stats.sequential.mixture import begun, log_mean, mixed, points, scale_of
from abctl.stats.summary import Array

_BOLDEST = 0.98
_FIRST_BETS = _BOLDEST * 0.5 ** np.arange(16.0)
# Of the pairs that differ, an effect that is looked for if none was planned.
DEFAULT_SHARE = 0.2


def differences(null: Null) -> Array:
    """D where both are right, the treatment alone, the control alone, and neither.

    >>> differences(NO_EFFECT)
    array([ 0.,  1., -1.,  0.])
    """
    ratio, offset = null
    return np.array([1.0 - ratio, 1.0, -ratio, 0.0]) - offset


def log_e_path(cells: Array, null: Null, plan: Plan) -> Array:
    """Logarithm of the e-value after each poll.

    >>> cells = np.tile([[440.0], [20.0], [8.0], [32.0]], 4)  # four polls of 500 pairs
    >>> np.exp(log_e_path(cells, NO_EFFECT, Plan())).round(1)
    array([   2.9,   21.3,  200.1, 2226.8])

    Args:
        cells: pairs in which both are right, the treatment alone, the control alone, and neither,
            in each poll; shape (4, polls).
        null: treatment = ratio * control + offset.
        plan: its alternatives and planned size.
    """
    d = differences(null)
    known = np.cumsum(cells, axis=1)
    if null != NO_EFFECT:
        known = known - cells
    n = known.sum(axis=0)
    # An unseen pair that differs keeps the first bets small.
    square = (d * d @ known + 0.5 * max(1.0, null.offset**2)) / (n + 1.0)
    differ = (known[1] + known[2] + 0.5) / (n + 1.0)
    level = (known[0] + 0.5 * (known[1] + known[2]) + 0.5) / (n + 1.0)
    scale = scale_of(plan, level, DEFAULT_SHARE * differ)
    information = np.cumsum(cells.sum(axis=0) * scale * scale / square)
    effects, weights = points(plan, float(information[-1:].sum()))
    bets = effects[:, None] * (scale / square)
    bets *= begun(effects, plan, information)
    bets = np.clip(bets, -_BOLDEST / max(d.max(), 1e-9), _BOLDEST / max(-d.min(), 1e-9))
    factors = _won(bets, d, cells)
    if null != NO_EFFECT:
        factors[:, :1] = _first(effects, d, cells[:, :1])
    return mixed(np.cumsum(factors, axis=1), weights)


def _won(bets: Array, d: Array, cells: Array) -> Array:
    """Logarithm of what each bet wins in each poll, shape (effects, polls)."""
    found = np.zeros(np.broadcast_shapes(bets.shape, cells.shape[1:]))
    for value, count in zip(d, cells, strict=True):
        if value != 0.0:
            found += count * np.log1p(bets * value)
    return found


def _first(effects: Array, d: Array, cells: Array) -> Array:
    """The same of a first poll without a past, for the side of each effect."""
    found = np.empty((effects.size, cells.shape[1]))
    for sign, furthest in ((1.0, -d.min()), (-1.0, d.max())):
        each = _won(sign * _FIRST_BETS[:, None] / max(furthest, 1e-9), d, cells)
        found[np.sign(effects) == sign] = log_mean(each, np.full(16, 1.0 / 16.0))
    return found
