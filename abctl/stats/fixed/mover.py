"""Intervals of a difference and a ratio, from the interval of each part.

The lower limit of `b - ratio * a` uses how far b could be below, and a above, what was seen; the
upper limit the other two distances. It stays right where intervals are not symmetric.

Source: Zou & Donner (2008), doi:10.1002/sim.3095; Donner & Zou (2012),
doi:10.1177/0962280210383758.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from abctl.stats.estimate import Alternative
from abctl.stats.fixed.contrast import Interval, Null, one_sided
from abctl.stats.fixed.reference import crossing
from abctl.stats.summary import Array

_ALMOST_ONE = 1.0 - 1e-9

Around = Callable[[Array], tuple[Array, Array]]


@dataclass(frozen=True, eq=False)
class Mover:
    """Control `a` and treatment `b`, neither negative, each with its intervals.

    >>> from functools import partial
    >>> from abctl.stats.methods.newcombe import wilson
    >>> mover = Mover(0.6, 0.8, partial(wilson, 48, 80), partial(wilson, 56, 70), furthest=1e4)
    >>> [round(end, 4) for end in mover.interval(1.96, "two-sided")]  # Newcombe (1998), example a
    [0.0524, 0.3339]

    Attributes:
        a, b: their values.
        around_a, around_b: limits of each at given standard errors, shape (m,).
        furthest: standard errors at which an interval holds everything.
    """

    a: float
    b: float
    around_a: Around
    around_b: Around
    furthest: float

    def _reach(self, ratio: Array, deviations: Array, *, below: bool) -> Array:
        """How far `b - ratio * a` could be below (or above) what was seen."""
        low_a, high_a = self.around_a(deviations)
        low_b, high_b = self.around_b(deviations)
        of_b, of_a = (
            (self.b - low_b, high_a - self.a) if below else (high_b - self.b, self.a - low_a)
        )
        # Nothing of a control is nothing, even if the control could be infinite.
        of_a = np.where(ratio > 0.0, of_a, 0.0)
        return np.asarray(np.hypot(of_b, np.maximum(ratio, 0.0) * of_a))

    def statistic(self, null: Null) -> float:
        """Standard errors at which an interval would touch the null, with the effect's sign."""
        distance = self.b - null.ratio * self.a - null.offset
        ratio = np.array(null.ratio)
        found = crossing(
            lambda c: abs(distance) - self._reach(ratio, c, below=distance > 0.0),
            0.0,
            self.furthest,
        )
        return math.copysign(found, distance)

    def interval(self, crit: float, alternative: Alternative) -> Interval:
        """Differences that `crit` standard errors do not exclude."""
        effect, ratio, deviations = self.b - self.a, np.ones(1), np.array([crit])
        low = effect - float(self._reach(ratio, deviations, below=True)[0])
        high = effect + float(self._reach(ratio, deviations, below=False)[0])
        return one_sided((low, high), alternative)

    def lift_interval(self, crit: float, alternative: Alternative) -> Interval | None:
        """Relative lifts that `crit` standard errors do not exclude; None where control is 0."""
        if self.a <= 0.0:
            return None

        def end(*, below: bool) -> float:
            # A ratio in [0, inf) is t / (1 - t) of a share t in [0, 1).
            def distance(share: Array) -> Array:
                ratio = share / (1.0 - share)
                reach = self._reach(ratio, np.full_like(ratio, crit), below=below)
                return np.asarray(self.b - ratio * self.a + (-reach if below else reach))

            share = crossing(distance, 0.0, _ALMOST_ONE)
            return share / (1.0 - share) - 1.0 if share < _ALMOST_ONE else math.inf

        return one_sided((end(below=True), end(below=False)), alternative)
