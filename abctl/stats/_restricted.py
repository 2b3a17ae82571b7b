"""The likeliest control level under a linear null, for each null (rows) and stratum (columns)."""

import math

import numpy as np

from abctl.stats.summary import Array


def proportion_at_ratio(n_a: Array, s_a: Array, n_b: Array, s_b: Array, ratio: Array) -> Array:
    """Under treatment = ratio * control: the smaller root of a quadratic, without cancellation."""
    total, successes = n_a + n_b, s_a + s_b
    half = n_b * ratio + s_b + n_a + s_a * ratio
    root = np.sqrt(np.maximum(half * half - 4.0 * total * ratio * successes, 0.0))
    highest = np.minimum(1.0, 1.0 / np.maximum(ratio, 1e-300))
    return np.asarray(np.minimum(2.0 * successes / (half + root), highest))


def proportion_at_difference(
    n_a: Array, s_a: Array, n_b: Array, s_b: Array, difference: Array
) -> Array:
    """Under treatment = control + difference: the root of a cubic, then polished by Newton.

    Source: Miettinen & Nurminen (1985), doi:10.1002/sim.4780040211, appendix I.
    """
    d, total, successes = difference, n_a + n_b, s_a + s_b
    l2 = (n_b + 2.0 * n_a) * d - total - successes
    l1 = (n_a * d - total - 2.0 * s_a) * d + successes
    l0 = s_a * d * (1.0 - d)
    third = l2 / (3.0 * total)
    q = third**3 - l1 * l2 / (6.0 * total * total) + l0 / (2.0 * total)
    p = np.sqrt(np.maximum(third * third - l1 / (3.0 * total), 0.0)) * np.where(q >= 0.0, 1.0, -1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = np.where(p == 0.0, 0.0, np.clip(q / p**3, -1.0, 1.0))
    x = 2.0 * p * np.cos((math.pi + np.arccos(cosine)) / 3.0) - third
    low, high = np.maximum(0.0, -d), np.minimum(1.0, 1.0 - d)
    for _ in range(2):
        slope = (3.0 * total * x + 2.0 * l2) * x + l1
        value = ((total * x + l2) * x + l1) * x + l0
        with np.errstate(divide="ignore", invalid="ignore"):
            step = np.where(slope == 0.0, 0.0, value / slope)
        x = np.clip(x - np.clip(step, -1e-3, 1e-3), low, high)
    return np.asarray(x)


def rate_at_ratio(n_a: Array, s_a: Array, n_b: Array, s_b: Array, ratio: Array) -> Array:
    """Of Poisson rates under treatment = ratio * control."""
    return np.asarray((s_a + s_b) / (n_a + ratio * n_b))


def rate_at_difference(n_a: Array, s_a: Array, n_b: Array, s_b: Array, difference: Array) -> Array:
    """Of Poisson rates under treatment = control + difference: the root of a quadratic."""
    total, d = n_a + n_b, difference
    half = 0.5 * (s_a + s_b - total * d)
    x = (half + np.sqrt(half * half + total * s_a * d.clip(min=0.0))) / total
    # With a negative difference the treatment is the smaller one: solve for it instead.
    other = 0.5 * (s_a + s_b + total * d)
    y = (other + np.sqrt(other * other - total * s_b * d.clip(max=0.0))) / total
    return np.asarray(np.where(d >= 0.0, x, y - d))
