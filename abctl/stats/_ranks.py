"""Which of two variants has the larger values: the probability of superiority, from histograms.

theta = P(treatment > control) + P(equal) / 2, where values in one cell count as equal. Its variance
is a function of theta itself, so that tests of 1/2 and intervals agree.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from abctl.stats._contrast import Interval, one_sided
from abctl.stats._reference import crossing
from abctl.stats.estimate import Alternative
from abctl.stats.summary import Array, Histogram, Stream

ONE_CELL = "all values lie in one bucket of the histogram"


@dataclass(frozen=True, eq=False)
class Ranks:
    """Probability of superiority of each epoch that has both variants, all of shape (epochs,).

    Attributes:
        theta: the probability.
        n_a, n_b: values in control and treatment.
        ties: factor by which ties shrink the variance; 0 if all values are equal.
        epochs: their numbers.
    """

    theta: Array
    n_a: Array
    n_b: Array
    ties: Array
    epochs: tuple[int, ...]

    @classmethod
    def of(cls, stream: Stream[Histogram]) -> Self | str:
        """Ranks by epoch, or why there are none."""
        merged = stream.by_epoch()
        a, b = merged.control.counts, merged.treatment.counts
        both = (a.sum(axis=1) > 0) & (b.sum(axis=1) > 0)
        if not both.any():
            return "no epoch with data in both variants"
        a, b = a[both], b[both]
        n_a, n_b = a.sum(axis=1), b.sum(axis=1)
        below = np.cumsum(a, axis=1) - 0.5 * a
        n, cells = n_a + n_b, a + b
        ties = 1.0 - np.sum(cells**3 - cells, axis=1) / (n**3 - n)
        theta = np.sum(b * below, axis=1) / (n_a * n_b)
        numbers = tuple(int(number) for number in merged.epoch[both])
        return cls(theta, n_a, n_b, ties, numbers) if ties.any() else ONE_CELL

    @property
    def weights(self) -> Array:
        """Of the epochs, as in van Elteren (1960)."""
        return self.n_a * self.n_b / (self.n_a + self.n_b + 1.0)

    @property
    def superiority(self) -> float:
        """Theta over all epochs."""
        return float(np.sum(self.weights * self.theta) / self.weights.sum())

    def variance(self, theta: Array) -> Array:
        """Variance of the weighted theta, if it were `theta`, of any shape (m,).

        At 1/2 it is the null variance of Mann & Whitney, with its correction for ties.

        Source: Newcombe (2006), doi:10.1002/sim.2324, method 5, after Hanley & McNeil (1982).
        """
        t = theta[:, None]
        pairs = (1.0 - t) / (2.0 - t) + t / (1.0 + t)
        more = 0.5 * (self.n_a + self.n_b) - 1.0
        variance = t * (1.0 - t) * (1.0 + more * pairs) / (self.n_a * self.n_b) * self.ties
        squares = np.square(self.weights / self.weights.sum())
        return np.asarray(np.sum(squares * variance, axis=1))

    def statistic(self) -> float:
        """Standard errors from 1/2."""
        return (self.superiority - 0.5) / math.sqrt(float(self.variance(np.array([0.5]))[0]))

    def interval(self, crit: float, alternative: Alternative) -> Interval:
        """Thetas that `crit` standard errors do not exclude."""

        def upper(superiority: float) -> float:
            def left(theta: Array) -> Array:
                return superiority - theta + crit * np.sqrt(self.variance(theta))

            return crossing(left, superiority, 1.0)

        low, high = 1.0 - upper(1.0 - self.superiority), upper(self.superiority)
        return (
            0.0 if alternative == "less" else low,
            1.0 if alternative == "greater" else high,
        )


def as_effect(theta: Interval, alternative: Alternative) -> tuple[Interval, Interval]:
    """An interval of theta as one of 2 theta - 1, and of the win odds theta / (1 - theta) - 1."""
    odds = tuple(end / (1.0 - end) - 1.0 if end < 1.0 else math.inf for end in theta)
    return (
        one_sided((2.0 * theta[0] - 1.0, 2.0 * theta[1] - 1.0), alternative),
        one_sided((odds[0], odds[1]), alternative),
    )
