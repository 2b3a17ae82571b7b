"""What is often done instead, on cumulative totals: stop at the first look that convinces."""

import numpy as np

from abctl.stats.summary import Buckets, Counts, Histogram, Moments

RULES = ("z-test", "Bayes > 95%", "mSPRT")
_Z, _BAYES = 1.959964, 1.644854


def sums(side):
    """How many values, their sum, and the sum of their squares."""
    if isinstance(side, Moments):
        return side.n, side.sum, side.sum_sq
    if isinstance(side, Counts):
        return side.n, side.successes, side.successes
    if isinstance(side, Buckets):
        events = side.numerator.sum(axis=1)
        return side.denominator.sum(axis=1), events, events
    assert isinstance(side, Histogram)
    middle = side.edges.index(min(side.edges, key=lambda edge: abs(edge - 0.05))) + 1
    above = side.counts[:, middle:].sum(axis=1)
    return side.counts.sum(axis=1), above, above


def decisions(stream, mde_relative, alpha=0.05):
    """Whether each rule has stopped at each look, shape (rules, looks)."""
    (n_a, s_a, q_a), (n_b, s_b, q_b) = (
        [np.cumsum(field) for field in sums(side)] for side in (stream.control, stream.treatment)
    )
    pooled = (s_a + s_b) / np.maximum(n_a + n_b, 1.0)
    spread = (q_a + q_b) / np.maximum(n_a + n_b, 1.0) - np.square(pooled)
    variance = spread * (1.0 / np.maximum(n_a, 1.0) + 1.0 / np.maximum(n_b, 1.0))
    known = (variance > 0.0) & (n_a > 0.0) & (n_b > 0.0)
    difference = s_b / np.maximum(n_b, 1.0) - s_a / np.maximum(n_a, 1.0)
    z = np.where(known, difference / np.sqrt(np.where(known, variance, 1.0)), 0.0)
    tau = np.square(mde_relative * pooled)
    growth = tau / np.where(known, variance, 1.0)
    log_e = 0.5 * z * z * growth / (1.0 + growth) - 0.5 * np.log1p(growth)
    return np.array((np.abs(z) > _Z, np.abs(z) > _BAYES, known & (log_e >= -np.log(alpha))))
