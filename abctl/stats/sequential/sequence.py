"""Confidence sequences of a contrast: estimates that may be looked at after every poll.

While events are few, levels and their difference follow from the number of events alone.

Let S be the events so far and M the sum of their probabilities (or rates times exposures), however
these drift. For any r, r^S exp(-(r - 1) M) is a supermartingale, since r^x <= 1 + x (r - 1) on
[0, 1] and 1 + p (r - 1) <= exp(p (r - 1)). Mixed over r ~ Gamma(1/2, 1/2) it is in closed form; the
M at which it is below 1 / alpha are a confidence sequence. Without an event it ends at M = 4.1 for
alpha = 0.05, where the rule of three, which is for one look, has 3.

Sources: Robbins (1970), doi:10.1214/aoms/1177696786; Howard et al. (2020), arXiv:1808.03204, for
processes like Poisson's.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, wraps
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, xlogy

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.fixed.contrast import (
    LOST,
    Contrast,
    Interval,
    Null,
    agreeing,
    lift_of,
    null_of,
    one_sided,
)
from abctl.stats.fixed.reference import crossing, normal_of_t, t_of_normal
from abctl.stats.fixed.score import Strata
from abctl.stats.sequential.mixture import boundary, log_always_valid_p, log_e_value, scale_of
from abctl.stats.sequential.skewness import tamed, untamed
from abctl.stats.summary import Array, Stream

_SHAPE = 0.5
# Of alpha, for as long as events are few.
EARLY_SHARE = 0.2
EARLIER = Remark("rejectedEarlier")


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
    """Expected numbers of events whose log e-value is below a threshold.

    >>> [round(end, 2) for end in event_bounds(0.0, threshold=math.log(20))]
    [0.0, 4.11]
    """

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


@dataclass(frozen=True, eq=False)
class Paths:
    """A contrast at every look; arrays of shape (looks,).

    >>> from abctl.stats.summaries.moments import moment_paths
    >>> from abctl.stats.summary import Moments, Stream
    >>> control = Moments(n=[60, 60], sum=[60, 60], sum_sq=[90, 90])
    >>> treatment = Moments(n=[60, 60], sum=[90, 90], sum_sq=[180, 180])
    >>> paths = moment_paths(Stream(control, treatment, epoch=[0, 0]))
    >>> paths.ready, paths.b - paths.a, paths.log_e(Null(1.0, 0.0), Plan()).round(2)
    (array([False,  True]), array([0.5, 0.5]), array([0.  , 3.01]))

    Attributes:
        ready: whether there are enough data for a normal approximation at that look.
        default: the size of an effect that is looked for if none was planned.
        third_a, third_b: third central moments of both means; None where they are as good as 0.
        doubt: standard error of the variance, over it; None where that is as good as known.
        apart: variance of b - a, where it is nothing but rounding beside those of a and of b.
    """

    a: Array
    b: Array
    var_a: Array
    var_b: Array
    cov: Array
    df: Array
    ready: NDArray[np.bool_]
    default: Array
    third_a: Array | None = None
    third_b: Array | None = None
    doubt: Array | None = None
    apart: Array | None = None

    def variance(self, ratio: float = 1.0) -> Array:
        """Of b - ratio * a, at every look."""
        if self.apart is not None:
            return ratio * self.apart + (1.0 - ratio) * (self.var_b - ratio * self.var_a)
        return self.var_b + ratio**2 * self.var_a - 2.0 * ratio * self.cov

    def known(self, variance: Array) -> NDArray[np.bool_]:
        """At which looks that variance says something: there are data, and it is not rounding."""
        return np.asarray(self.ready & (variance > LOST * (self.a**2 + self.b**2)))

    def skewness(self, ratio: float = 1.0) -> Array:
        """Of b - ratio * a, at every look."""
        if self.third_a is None or self.third_b is None:
            return np.zeros_like(self.a)
        variance = self.variance(ratio)
        third = self.third_b - ratio**3 * self.third_a
        return np.where(variance > 0.0, third / np.where(variance > 0.0, variance, 1.0) ** 1.5, 0.0)

    def log_e(self, null: Null, plan: Plan) -> Array:
        """Log e-value of each look; 0 where not ready."""
        variance = self.variance(null.ratio)
        use = self.known(variance)
        found = np.zeros_like(self.a)
        deviation = np.sqrt(variance[use])
        distance = self.b[use] - null.ratio * self.a[use] - null.offset
        statistic = tamed(distance / deviation, self.skewness(null.ratio)[use])
        score = normal_of_t(statistic, self.df[use]) / deviation
        level = 0.5 * (self.a[use] + self.b[use])
        scale = scale_of(plan, level, self.default[use])
        found[use] = log_e_value(score, 1.0 / variance[use], scale, plan)
        return found

    def last(self, n: tuple[float, float], epochs: tuple[int, ...], look: int = -1) -> Contrast:
        """The contrast at the last look, or at another one."""
        a, b, var_a, var_b, cov, df = (
            float(path[look])
            for path in (self.a, self.b, self.var_a, self.var_b, self.cov, self.df)
        )
        apart = None if self.apart is None else float(self.apart[look])
        return Contrast(a, b, var_a, var_b, df, n, epochs, cov, apart)


@dataclass(frozen=True, eq=False)
class Early:
    """The e-process that counts until the data are ready for a normal approximation.

    >>> from abctl.stats.summary import Counts, Stream
    >>> strata = Strata.of(Stream(Counts(100, 3), Counts(100, 1), epoch=0))
    >>> early = Early(log_e=np.log([1.0, 2.0]), strata=strata)  # e-values of two looks
    >>> early.log_e.round(3), early.strata.n
    (array([0.   , 0.693]), (100.0, 100.0))

    It has a fifth of alpha (half with a margin, where rare events matter most), the approximation
    the rest: mixed with fixed weights they are one e-process.

    Attributes:
        log_e: logarithm of an e-process, shape (looks,).
        strata: the few events up to now.
    """

    log_e: Array
    strata: Strata


@dataclass(frozen=True, eq=False)
class Contrasts:
    """What a sequential method makes of a stream: the contrast at every look, and its estimate.

    >>> from abctl.stats.methods import mean_sequence
    >>> from abctl.stats.summary import Moments, Stream
    >>> values = Moments(n=[100, 100], sum=[100, 100], sum_sq=[200, 200])
    >>> found = mean_sequence.contrasts(Stream(values, values, epoch=[0, 0]), Plan())
    >>> found.n, found.estimate(Plan()).effect
    ((200.0, 200.0), 0.0)

    Attributes:
        paths: the contrast at every look.
        n: values in both variants.
        estimate: what the method says of a plan.
    """

    paths: Paths
    n: tuple[float, float]
    estimate: Callable[[Plan], Estimate | NotEstimable]


Contrasted = Callable[[Stream[Any], Plan], Contrasts | NotEstimable]
# The claims, intervals and readings of a metric all ask of one stream.
_KEPT = 4


def kept(contrasts: Contrasted) -> Contrasted:
    """The same, remembering its last answers: of a plan they take the quantile alone."""

    @lru_cache(maxsize=_KEPT)
    def of(stream: Stream[Any], quantile: float | None) -> Contrasts | NotEstimable:
        return contrasts(stream, Plan(quantile=quantile))

    @wraps(contrasts)
    def asked(stream: Stream[Any], plan: Plan) -> Contrasts | NotEstimable:
        return of(stream, plan.quantile)

    return asked


def sequential(
    method: str,
    paths: Paths,
    contrast: Contrast,
    plan: Plan,
    *,
    assumptions: tuple[str, ...],
    notes: tuple[Remark, ...] = (),
    early: Early | None = None,
) -> Estimate | NotEstimable:
    """The estimate at the last look: e-value, always-valid p-value and confidence sequence.

    Args:
        method: its name.
        paths: the contrast at every look.
        contrast: the contrast at the last look.
        plan: what is tested.
        assumptions: of the estimate.
        notes: of the estimate.
        early: needed where the last look is not ready.
    """
    null = null_of(plan, contrast.a)
    log_e = paths.log_e(null, plan)
    share = 0.0
    if early is not None:
        share = 0.5 if plan.null.value else EARLY_SHARE
        started = np.logical_or.accumulate(paths.ready)
        log_e = np.where(started, log_e + math.log1p(-share), early.log_e + math.log(share))
    log_p = log_always_valid_p(log_e)
    rejects = log_p <= math.log(plan.alpha)
    if early is not None and not paths.ready[-1]:
        intervals = _with_effect(
            *rare_intervals(early.strata, replace(plan, alpha=plan.alpha * share)), contrast
        )
    else:
        crit = _critical(paths, contrast, replace(plan, alpha=plan.alpha * (1.0 - share)))
        if isinstance(crit, Remark):
            return NotEstimable(method, crit, contrast.n)
        intervals = skewed_intervals(contrast, untamed(crit, float(paths.skewness()[-1])), plan)
    interval, lift_interval = agreeing(*intervals, plan, contrast.a, contrast.b, rejects=rejects)
    if rejects and log_e[-1] < -math.log(plan.alpha):
        notes = (*notes, EARLIER)
    return Estimate(
        method=method,
        control=contrast.a,
        treatment=contrast.b,
        effect=contrast.b - contrast.a,
        interval=interval,
        lift=lift_of(contrast.a, contrast.b),
        lift_interval=lift_interval,
        p=math.exp(log_p),
        log_p=log_p,
        alpha=plan.alpha,
        alternative=plan.alternative,
        guarantee="asymptotic",
        assumptions=assumptions,
        n=contrast.n,
        epochs=contrast.epochs,
        log_e=float(log_e[-1]),
        notes=notes,
        **_spread(contrast, null),
    )


def _spread(contrast: Contrast, null: Null) -> dict[str, float]:
    """Standard error, statistic and degrees of freedom; nothing where all values are alike."""
    if contrast.certain or not contrast.variance(null.ratio) > 0.0:
        return {}
    se = math.sqrt(contrast.variance())
    return {"se": se, "statistic": contrast.statistic(null), "df": contrast.df}


def skewed_intervals(
    contrast: Contrast, critical: tuple[float, float], plan: Plan
) -> tuple[Interval, Interval | None]:
    """Intervals whose ends are where a statistic that far below or above 0 would put them."""
    below, above = critical
    high = contrast.interval(below, plan.alternative)[1]
    low = contrast.interval(above, plan.alternative)[0]
    lifts = [contrast.lift_interval(crit, plan.alternative) for crit in (above, below)]
    lift = None if lifts[0] is None or lifts[1] is None else (lifts[0][0], lifts[1][1])
    return (low, high), lift


def _with_effect(
    interval: Interval, lift_interval: Interval | None, contrast: Contrast
) -> tuple[Interval, Interval | None]:
    """Intervals of users' shares, widened to hold the effect by requests."""
    effect, lift = contrast.b - contrast.a, lift_of(contrast.a, contrast.b)
    interval = min(interval[0], effect), max(interval[1], effect)
    if lift is None or lift_interval is None:
        return interval, None
    return interval, (min(lift_interval[0], lift), max(lift_interval[1], lift))


def _critical(paths: Paths, contrast: Contrast, plan: Plan) -> float | Remark:
    """Standard errors of the confidence sequence at the last look, or the reason for none."""
    variance = contrast.variance(null_of(plan, contrast.a).ratio)
    if contrast.certain:
        return Remark("noVariance")
    level = np.array([0.5 * (contrast.a + contrast.b)])
    scale = float(scale_of(plan, level, paths.default[-1:])[0])
    if scale <= 0.0:
        return Remark("noMde")
    return t_of_normal(boundary(1.0 / variance, scale, plan), contrast.df)
