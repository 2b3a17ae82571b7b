"""Two stratified means with their variances, and what every test of them has in common.

Nulls are linear: `treatment = ratio * control + offset`. An absolute null has ratio 1; a relative
one has offset 0, so that a margin of 10% is tested on `treatment - 1.1 * control`, not on a
difference with a margin that was itself estimated.
"""

import math
from typing import NamedTuple

from abctl.stats.estimate import Alternative, Estimate, Plan, Remark
from abctl.stats.fixed.reference import critical, p_value

Interval = tuple[float, float]

# A variance below this share of the squared levels is nothing but rounding.
LOST = 1e-24


class Null(NamedTuple):
    """H0 (two-sided): treatment = ratio * control + offset.

    >>> from abctl.stats.delta import Delta
    >>> null_of(Plan(null=Delta(0.1, relative=True)), control=0.5)
    Null(ratio=1.1, offset=0.0)
    """

    ratio: float
    offset: float


NO_EFFECT = Null(1.0, 0.0)


def null_of(plan: Plan, control: float) -> Null:
    """The plan's null; relative sizes are of the control's absolute value."""
    if plan.null.value == 0.0:
        return NO_EFFECT
    if plan.null.relative:
        return Null(1.0 + math.copysign(plan.null.value, plan.null.value * control), 0.0)
    return Null(1.0, plan.null.value)


def no_null(plan: Plan, *, poisson: bool) -> Remark | None:
    """Why no difference of two shares can be the plan's null; None where one can.

    >>> from abctl.stats.delta import Delta
    >>> no_null(Plan(null=Delta(2.0, relative=False)), poisson=False)  # two points are 0.02
    Remark(code='noShareDifference', facts={'null': 2.0})
    """
    null = plan.null
    if poisson or null.relative or abs(null.value) < 1.0:
        return None
    return Remark("noShareDifference", {"null": null.value})


class Contrast(NamedTuple):
    """Means of control `a` and treatment `b` with variances and covariance of these means.

    >>> means = Contrast(a=1.0, b=1.5, var_a=0.0324, var_b=0.0576, df=98.0, n=(50, 50), epochs=(0,))
    >>> round(means.statistic(Null(1.0, 0.0)), 4)  # 0.5 over a standard error of 0.3
    1.6667
    >>> [round(end, 4) for end in means.interval(2.0, "two-sided")]
    [-0.1, 1.1]

    Of pairs that hardly differ, `apart` is the variance of b - a: it is nothing but rounding beside
    the variances of both.
    """

    a: float
    b: float
    var_a: float
    var_b: float
    df: float
    n: tuple[float, float]
    epochs: tuple[int, ...]
    cov: float = 0.0
    apart: float | None = None

    def variance(self, ratio: float = 1.0) -> float:
        """Variance of b - ratio * a."""
        if self.apart is not None:
            return ratio * self.apart + (1.0 - ratio) * (self.var_b - ratio * self.var_a)
        return self.var_b + ratio * ratio * self.var_a - 2.0 * ratio * self.cov

    @property
    def certain(self) -> bool:
        """Whether the only variance is rounding error, so that no test is possible."""
        return not self.variance() > LOST * (self.a * self.a + self.b * self.b)

    def statistic(self, null: Null) -> float:
        """Distance from the null in standard errors."""
        ratio, offset = null
        return (self.b - ratio * self.a - offset) / math.sqrt(self.variance(ratio))

    def interval(self, crit: float, alternative: Alternative) -> Interval:
        """Differences that `crit` standard errors do not exclude."""
        effect, half = self.b - self.a, crit * math.sqrt(self.variance())
        return one_sided((effect - half, effect + half), alternative)

    def lift_interval(self, crit: float, alternative: Alternative) -> Interval | None:
        """Relative lifts that `crit` standard errors do not exclude (Fieller, 1954).

        It holds lift m exactly if `treatment - (1 + m) * control` is not far from 0. None where the
        control itself is not far from 0: then no lift can be excluded.
        """
        a, b, square = self.a, self.b, crit * crit
        lead = a * a - square * self.var_a
        if lead <= 0.0:
            return None
        # Multiplied out, since a lift is small beside 1 and a deviation beside a mean.
        middle = a * (b - a) + square * (self.var_a - self.cov)
        spread = a * a * self.variance(b / a)
        inside = spread - square * (self.var_a * self.var_b - self.cov * self.cov)
        root = crit * math.sqrt(max(inside, 0.0))
        low, high = (middle - root) / lead, (middle + root) / lead
        ends = (low, high) if a > 0.0 else (-high, -low)
        return ends if alternative == "two-sided" else one_sided(ends, alternative)


def one_sided(interval: Interval, alternative: Alternative) -> Interval:
    """The side of an interval that the alternative speaks of; the other end is infinite."""
    if alternative == "two-sided":
        return interval
    return (-math.inf, interval[1]) if alternative == "less" else (interval[0], math.inf)


def lift_of(control: float, treatment: float) -> float | None:
    """Relative lift; None where the control is 0."""
    return (treatment - control) / abs(control) if control != 0.0 else None


def t_test(
    method: str,
    contrast: Contrast,
    plan: Plan,
    *,
    assumptions: tuple[str, ...],
    notes: tuple[Remark, ...] = (),
) -> Estimate:
    """Student's t on a contrast: p, interval and lift interval are inversions of one test."""
    alternative, a, b, df = plan.alternative, contrast.a, contrast.b, contrast.df
    effect, se, null = b - a, math.sqrt(contrast.variance()), null_of(plan, a)
    # Without a call for each number: it is asked for one comparison after the other.
    statistic = effect / se if null is NO_EFFECT else contrast.statistic(null)
    p, log_p = p_value(statistic, alternative, df)
    crit = critical(plan.alpha, alternative, df)
    interval = effect - crit * se, effect + crit * se
    return Estimate(
        method=method,
        control=a,
        treatment=b,
        effect=effect,
        interval=interval if alternative == "two-sided" else one_sided(interval, alternative),
        lift=effect / abs(a) if a != 0.0 else None,
        lift_interval=contrast.lift_interval(crit, alternative),
        p=p,
        log_p=log_p,
        alpha=plan.alpha,
        alternative=alternative,
        guarantee="asymptotic",
        assumptions=assumptions,
        n=contrast.n,
        epochs=contrast.epochs,
        notes=notes,
        se=se,
        statistic=statistic,
        df=df,
    )


def agreeing(
    interval: Interval,
    lift_interval: Interval | None,
    plan: Plan,
    control: float,
    treatment: float,
    *,
    rejects: bool,
) -> tuple[Interval, Interval | None]:
    """Intervals that hold the plan's null exactly if it is not rejected.

    A confidence set is a test of every effect; of the null it is the reported test, of all others
    the sequence. They can differ at the null, by rounding, because one is exact and the other
    asymptotic, or because a rejection stands although the effect has faded since.
    """
    null, same = plan.null, plan.null.value == 0.0
    if same or not null.relative:
        interval = _agreeing(interval, null.value, treatment - control, plan, rejects=rejects)
    lift = lift_of(control, treatment)
    if lift_interval is not None and lift is not None and (same or null.relative):
        lift_interval = _agreeing(lift_interval, null.value, lift, plan, rejects=rejects)
    return interval, lift_interval


def _agreeing(
    interval: Interval, null: float, effect: float, plan: Plan, *, rejects: bool
) -> Interval:
    low, high = interval
    hair = 1e-6 * abs(effect - null) or 1e-12 * max(1.0, abs(null))
    upwards = plan.alternative == "greater" or (plan.alternative == "two-sided" and effect > null)
    if not rejects:
        return min(low, null - hair), max(high, null + hair)
    if low > null or high < null:
        return interval
    return (max(low, null + hair), high) if upwards else (low, min(high, null - hair))
