"""Up to a planned information: a test that may be looked at at any time and costs next to nothing.

Let z be the standardized distance from the null at information t (one over the variance), and T
the planned information. Under the null z sqrt(t) is a Brownian motion in t. Its boundary is
x sqrt(T) (t / T)^(1/6): between a constant one (O'Brien & Fleming's, of the smallest size) and one
of constant z (Pocock's, which finds large effects earliest). The chance to exceed it up to T is at
most 5/2 of the chance to be above x at T, and for large x the same (Piterbarg; a constant boundary
has 2, the reflection principle). By how little it is less for small x, numerical integration says.

That is of somebody who looks all the time. Who looks at the ends of polls sees the process only
where it is already beyond the boundary, on average by 0.583 standard deviations of what came since
the look before (Chernoff; Siegmund). So the boundary of each look is that much nearer, less a
second term for steps that are large. Far from 0 the process climbs so steeply that its overshoot is
larger than what remains of the chance between the looks; there Siegmund's factor for the overshoot
of a walk with drift says how much nearer the boundary may be.

The first look beyond T is the last one: it has what the looks before it have left of the chance.
What the boundary has not rejected then it does not reject any more.

The boundary has 98% of alpha. The rest has the e-process over everything, which goes on after T. p
is the smaller one of both, each over its share.

Of skewed values the variance is known too little: where large values are still missing, it and the
effect look small together. Such an experiment would be over before it could find its effect. So
the information is that of a variance which is a standard error larger.

T is (z_alpha + z_power)^2 over the square of the planned effect, times what looking costs; it is
set in the plan and depends on no outcome. A relative effect is one of the control's level, as far
as it is known at that look.

Sources: Wang & Tsiatis (1987), doi:10.2307/2531959, for the boundary; Piterbarg (1996), Asymptotic
Methods in the Theory of Gaussian Processes and Fields, theorem D.3; Siegmund (1985), Sequential
Analysis, chapters IV and X, and Whitehead (1997), The Design and Analysis of Sequential Clinical
Trials, 4.5, for the looks; Jennison & Turnbull (1989), doi:10.1111/j.2517-6161.1989.tb01433.x, for
repeated confidence intervals.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr, ndtri

from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.fixed.contrast import Interval, agreeing, null_of
from abctl.stats.fixed.reference import normal_of_t, t_of_normal
from abctl.stats.sequential.restarts import with_share
from abctl.stats.sequential.sequence import EARLIER, Contrasts, Paths, skewed_intervals
from abctl.stats.sequential.skewness import tamed, untamed
from abctl.stats.summary import Array

EVER_SHARE = 0.02
# The boundary's power of information.
SHAPE = 1.0 / 6.0
# What looking costs one-sided at 5% with 80% power (see `abctl.stats.power.up_to_horizon`).
USUAL = (1.6449 + 0.8416) ** 2 * 1.116
# The chance to exceed the boundary up to T, over that at T, for large x.
_EVER_OVER_ONCE = 1.0 + 1.0 / (1.0 - 2.0 * SHAPE)
_OVERSHOOT, _LARGE_STEP = 0.5826, 0.3
# Steps to the boundary that a look just reaches: each leaves a tenth of the error.
_STEPS = 12
# Less is no look at all.
_LEAST_LEFT = math.log(1e-12)


def log_chance(x: float) -> float:
    """Logarithm of the chance that a Brownian motion ever exceeds x t^(1/6) up to 1.

    >>> round(math.exp(log_chance(2.05)), 3)
    0.049
    """
    less = 0.08 / max(x, 2.0) ** 2
    return min(0.0, math.log(_EVER_OVER_ONCE) + math.log1p(-less) + float(log_ndtr(-x)))


def limit(alpha: float) -> float:
    """The x that is exceeded with that chance; the inverse of `log_chance`.

    >>> round(limit(0.049), 2)
    2.05
    """
    x = -float(ndtri(alpha / _EVER_OVER_ONCE))
    for _ in range(20):
        less = 0.08 / max(x, 2.0) ** 2
        x = -float(ndtri(min(0.5, alpha / (_EVER_OVER_ONCE * (1.0 - less)))))
    return x


def allowance(reached: Array, x: Array | float) -> Array:
    """By how much the boundary of each look is nearer, because nobody looked in between.

    >>> allowance(np.array([0.5, 1.0]), 2.05).round(2)
    array([0.24, 0.26])
    >>> allowance(np.array([0.5, 1.0]), 5.0).round(2)  # at a level of 1 in a million
    array([0.11, 0.17])

    Args:
        reached: information of each look over the planned one, positive.
        x: the boundary at the planned information, of each look or of all.
    """
    step = np.maximum(np.diff(reached, prepend=0.0), 0.0)
    near = (_OVERSHOOT * np.sqrt(step) - _LARGE_STEP * step) / reached**SHAPE
    # The standardized boundary, and how the chance between looks decreases with its overshoot.
    z = np.maximum(x, 1.0) * reached ** (SHAPE - 0.5)
    between = _EVER_OVER_ONCE - 1.0
    seen = 1.0 + between * _overshot(2.0 * (1.0 - SHAPE) * z * np.sqrt(step / reached))
    far = np.log(_EVER_OVER_ONCE / seen) / np.maximum(x, 1.0) * reached ** (1.0 - 2.0 * SHAPE)
    return np.asarray(np.minimum(near, far))


def _overshot(drift: Array) -> Array:
    """Of the chance to cross at any time, what is left at the looks; drift by the looks' deviation.

    Source: Siegmund & Yakir (2007), The Statistics of Gene Mapping, 5.2.
    """
    half = 0.5 * np.maximum(drift, 1e-6)
    density = np.exp(-0.5 * half * half) / math.sqrt(2.0 * math.pi)
    return np.asarray((ndtr(half) - 0.5) / half / (half * ndtr(half) + density))


def left_for_last(x: float, before: float) -> float:
    """Logarithm of the chance that looks up to `before` (of T) leave for a last one beyond T.

    >>> [round(math.exp(left_for_last(2.05, before)), 3) for before in (0.0, 0.5, 0.9)]
    [0.049, 0.037, 0.008]
    """
    whole = log_chance(x)
    if before <= 0.0:
        return whole
    used = log_chance(x * before ** (SHAPE - 0.5)) - whole
    return whole + math.log(-math.expm1(used)) if used < 0.0 else -math.inf


def up_to_horizon(
    method: str, contrasts: Contrasts | NotEstimable, plan: Plan
) -> Estimate | NotEstimable:
    """The estimate of both tests together.

    Args:
        method: its name.
        contrasts: of the sequential method.
        plan: with an mde; without one only the sequential method answers.
    """
    if isinstance(contrasts, NotEstimable):
        return replace(contrasts, method=method)
    share = 1.0 if plan.mde is None else EVER_SHARE

    def ever(_: object, asked: Plan) -> Estimate | NotEstimable:
        return contrasts.estimate(asked)

    found = with_share(ever, None, plan, share)
    if isinstance(found, NotEstimable) or plan.mde is None:
        return replace(found, method=method)
    looks = _Looks.of(contrasts.paths, plan)
    sides = 2.0 if plan.alternative == "two-sided" else 1.0
    log_p = looks.log_p() + math.log(sides / (1.0 - share))
    log_p = min(0.0, log_p, found.log_p)
    rejects = log_p <= math.log(plan.alpha)
    intervals = found.interval, found.lift_interval
    for look, critical in looks.criticals(plan.alpha * (1.0 - share) / sides):
        found_then = _repeated(contrasts, look, critical, plan)
        intervals = _common(intervals, found_then)
    interval, lift = agreeing(*intervals, plan, found.control, found.treatment, rejects=rejects)
    before = rejects and not found.rejects and looks.earlier() and EARLIER not in found.notes
    return replace(
        found,
        method=method,
        interval=interval,
        lift_interval=lift,
        p=math.exp(log_p),
        log_p=log_p,
        guarantee="asymptotic",
        notes=(*found.notes, EARLIER) if before else found.notes,
    )


@dataclass(frozen=True, eq=False)
class _Looks:
    """The looks that count for the boundary.

    Attributes:
        index: of each among all looks.
        z: standardized distance from the null, positive on the alternative's side.
        reached: information over the planned one; only that of the last may be over 1.
    """

    index: NDArray[np.intp]
    z: Array
    reached: Array

    @classmethod
    def of(cls, paths: Paths, plan: Plan) -> "_Looks":
        null = null_of(plan, float(paths.a[-1]))
        information = _information(paths, null.ratio)
        reached = _reached(information, paths, plan)
        index = np.flatnonzero(paths.ready & (reached > 0.0))
        beyond = reached[index] > 1.0
        # A large value makes the variance larger, and the information smaller again.
        after = int(np.append(0, np.flatnonzero(~beyond) + 1)[-1])
        index = np.append(index[:after][~beyond[:after]], index[after : after + 1])
        distance = (paths.b - null.ratio * paths.a - null.offset)[index]
        t = tamed(distance * np.sqrt(information[index]), paths.skewness(null.ratio)[index])
        z = normal_of_t(t, paths.df[index])
        z = {"less": -z, "greater": z}.get(plan.alternative, np.abs(z))
        return cls(index, z, reached[index])

    @property
    def within(self) -> int:
        """How many are up to T."""
        return int(np.count_nonzero(self.reached <= 1.0))

    @property
    def before(self) -> float:
        """Information of the last one within, over the planned one."""
        return float(self.reached[self.within - 1]) if self.within else 0.0

    def log_p(self) -> float:
        """Logarithm of p, one-sided."""
        x = self._x()
        found = log_chance(float(x.max())) if x.size else 0.0
        if self.within < self.z.size:
            found = min(found, _log_p_of_last(float(self.z[-1]), self.before))
        return found

    def criticals(self, alpha: float) -> Iterator[tuple[int, float]]:
        """The last look within and the one beyond, and the z that each needs, one-sided."""
        if self.within:
            last = self.within - 1
            nearer = allowance(self.reached[: self.within], limit(alpha))[-1]
            power = self.before ** (0.5 - SHAPE)
            yield int(self.index[last]), (limit(alpha) - float(nearer)) / power
        if self.within < self.z.size:
            left = left_for_last(limit(alpha), self.before)
            if left > _LEAST_LEFT:
                yield int(self.index[-1]), -float(ndtri(math.exp(left)))

    def earlier(self) -> bool:
        """Whether another look than the last one is the farthest from the null."""
        x = self._x()
        return bool(self.within == self.z.size and x.size and x[-1] < x.max())

    def _x(self) -> Array:
        reached, z = self.reached[: self.within], self.z[: self.within]
        seen = z * reached ** (0.5 - SHAPE)
        found = seen
        for _ in range(_STEPS):
            # The allowance is that of the boundary that is just reached.
            found = seen + allowance(reached, found)
        return np.asarray(found)


def _log_p_of_last(z: float, before: float) -> float:
    """Logarithm of the smallest level at which the look beyond T rejects, one-sided."""
    tail = float(log_ndtr(-z))
    low, high = 1.0, 40.0
    if left_for_last(low, before) < tail:
        return 0.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if left_for_last(middle, before) >= tail else (low, middle)
    return log_chance(low)


def _information(paths: Paths, ratio: float) -> Array:
    variance = paths.variance(ratio)
    known = paths.known(variance)
    return np.where(known, 1.0 / np.where(known, variance, 1.0), 0.0)


def _reached(information: Array, paths: Paths, plan: Plan) -> Array:
    """Information over the planned one, at every look."""
    assert plan.mde is not None, "it is asked for with an mde only"
    size = abs(plan.mde.value) * (np.abs(paths.a) if plan.mde.relative else 1.0)
    larger = 1.0 if paths.doubt is None else 1.0 + paths.doubt
    return np.asarray(information * size**2 / (plan.horizon or USUAL) / larger)


def _repeated(
    contrasts: Contrasts, look: int, critical: float, plan: Plan
) -> tuple[Interval, Interval | None]:
    """The interval of the boundary at a look."""
    contrast = contrasts.paths.last(contrasts.n, (), look)
    skewness = float(contrasts.paths.skewness()[look])
    return skewed_intervals(contrast, untamed(t_of_normal(critical, contrast.df), skewness), plan)


def _common(
    one: tuple[Interval, Interval | None], other: tuple[Interval, Interval | None]
) -> tuple[Interval, Interval | None]:
    """What neither excludes; the first one, if they have nothing in common."""

    def both(mine: Interval, theirs: Interval) -> Interval:
        low, high = max(mine[0], theirs[0]), min(mine[1], theirs[1])
        return (low, high) if low < high else mine

    if one[1] is None or other[1] is None:
        return both(one[0], other[0]), one[1]
    return both(one[0], other[0]), both(one[1], other[1])
