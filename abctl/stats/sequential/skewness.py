"""Skewed values: the studentized statistic of few of them, brought back to a normal one.

Of right-skewed values the mean is small exactly where their spread looks small. So a studentized
mean is skewed to the left: a small treatment looks proven to be lower far too often. Hall's cubic
takes that back: with kappa the skewness of the difference,

    g(t) = t + kappa t^2 / 3 + kappa^2 t^3 / 27 + kappa / 6

is normal up to terms of the order 1 / n, increasing, and inverted in closed form. It is taken only
where it brings the statistic nearer to 0: the other side would be lengthened by an estimate that is
too noisy to prove anything.

Source: Hall (1992), doi:10.1111/j.2517-6161.1992.tb01872.x.
"""

import math

import numpy as np

from abctl.stats.summary import Array


def tamed(t: Array, kappa: Array) -> Array:
    """The statistic, or Hall's if that is nearer to 0; arrays of one shape.

    >>> tamed(np.array([-3.0, 3.0]), np.array([0.3, 0.3])).round(2)
    array([-2.14,  3.  ])
    """
    hall = t + kappa * t * t / 3.0 + kappa * kappa * t**3 / 27.0 + kappa / 6.0
    nearer = np.where(np.sign(hall) == np.sign(t), hall, 0.0)
    return np.where(np.abs(nearer) < np.abs(t), nearer, t)


def untamed(critical: float, kappa: float) -> tuple[float, float]:
    """How far below and above 0 a statistic has to be to be at the critical value once tamed.

    >>> below, above = untamed(2.14, 0.3)
    >>> round(below, 1), above
    (3.0, 2.14)
    """

    def inverse(z: float) -> float:
        if abs(kappa) < 1e-9:
            return z
        return 3.0 / kappa * (math.cbrt(1.0 + kappa * (z - kappa / 6.0)) - 1.0)

    return max(critical, -inverse(-critical)), max(critical, inverse(critical))
