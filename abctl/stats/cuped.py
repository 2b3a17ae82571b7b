"""CUPED: less variance, by a covariate of each unit from the time before the experiment.

The covariate x must be fixed before assignment (the same metric in the weeks before, as a rule).
With theta the slope of y on x within the variants, each variant's mean becomes what it would be at
the common mean of x: mean(y) - theta (mean(x) - mean(x of both)). The effect is the coefficient of
a linear regression; it is unbiased with any theta, and the variance falls by the square of the
correlation of x and y.

One theta for both variants (ANCOVA) is best for like sizes; for unlike ones each variant has its
own (Lin's interaction), which never is less precise than no adjustment.

Sources: Deng, Xu, Kohavi & Walker (2013), doi:10.1145/2433396.2433413; Fisher (1932) for ANCOVA;
Lin (2013), arXiv:1208.2301.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.fixed.contrast import Contrast, t_test
from abctl.stats.fixed.reference import critical, p_value
from abctl.stats.summaries.linear import linearized
from abctl.stats.summaries.moments import CANCELLED
from abctl.stats.summaries.pairs import Pairs
from abctl.stats.summary import Array, Buckets, Stream, SummaryError

__all__ = ["ASSUMPTIONS", "Pairs", "estimate", "estimate_buckets"]

ASSUMPTIONS = (
    "the covariate was fixed before units were assigned",
    "each unit is independent of the others",
    "means of this many values are close to normal",
    "the effect is the same in every epoch; the base level may drift",
    "looked at once, when the planned size is reached",
)
_MIN_UNITS, _MIN_BUCKETS = 30, 8
_LIKE_SIZES = 0.9
_LOST = 1e-10
_IMBALANCE = 0.001


def estimate(
    stream: Stream[Pairs], plan: Plan, *, interacted: bool | None = None
) -> Estimate | NotEstimable:
    """The adjusted difference of two means, stratified by epoch.

    >>> before = np.arange(100.0) / 20  # of 100 units in each variant
    >>> during = before + np.where(np.arange(100) % 2, 1.0, -1.0)
    >>> control, treatment = Pairs.of(during, before), Pairs.of(during + 0.5, before)
    >>> found = estimate(Stream(control, treatment, 0), Plan())
    >>> round(found.effect, 4), found.notes[0].code, round(found.notes[0].facts["reduced_ratio"], 2)
    (0.5, 'varianceReduced', 0.68)

    The notes say how much the adjustment gains, and warn where the variants differed before the
    experiment, or where the adjustment changed the sign of the effect.

    Args:
        stream: units of each epoch; a unit belongs to one epoch only.
        plan: what is tested.
        interacted: a theta for each variant; None: if their sizes differ by over 10%.
    """
    return _estimate(stream.by_epoch(), plan, interacted, _MIN_UNITS)


def estimate_buckets(
    during: tuple[Buckets, Buckets], before: tuple[Buckets, Buckets], plan: Plan
) -> Estimate | NotEstimable:
    """The same for ratios of sums in buckets of users, in one period of constant split.

    Each bucket is a unit: its value is the ratio's linearization (delta method), so that the mean
    over buckets is the ratio and the variance between them its first-order variance.

    Args:
        during: control and treatment during the experiment, polls of shape (polls, buckets).
        before: the same users in the same buckets, before.
        plan: what is tested.

    Raises:
        SummaryError: not the same buckets before and during.

    Source: Deng, Knoblich & Lu (2018), arXiv:1803.06336.
    """
    pairs = []
    for now, then in zip(during, before, strict=True):
        if now.denominator.shape[1] != then.denominator.shape[1]:
            raise SummaryError("as many buckets before as during the experiment")
        y, x = (
            linearized(each.numerator.sum(axis=0), each.denominator.sum(axis=0))
            for each in (now, then)
        )
        if y is None or x is None:
            return NotEstimable("cuped", Remark("noDataBefore"))
        pairs.append(Pairs.of(y, x))
    stream = Stream(pairs[0], pairs[1], np.zeros(1, dtype=np.int64))
    return _estimate(stream, plan, interacted=False, least=_MIN_BUCKETS)


@dataclass(frozen=True, eq=False)
class _Arm:
    """Means and centered sums of each epoch."""

    n: Array
    y: Array
    x: Array
    yy: Array
    xx: Array
    xy: Array

    @classmethod
    def of(cls, pairs: Pairs) -> "_Arm":
        n = np.maximum(pairs.n, 1)
        y, x = pairs.y / n, pairs.x / n
        return cls(
            pairs.n,
            y + pairs.shift,
            x,
            np.maximum(pairs.yy - pairs.y * y, 0),
            np.maximum(pairs.xx - pairs.x * x, 0),
            pairs.xy - pairs.x * y,
        )

    def residual(self, theta: float) -> Array:
        """Sum of squares around the line, in each epoch."""
        return np.asarray(np.maximum(self.yy - theta * (2 * self.xy - theta * self.xx), 0))


def _estimate(
    epochs: Stream[Pairs], plan: Plan, interacted: bool | None, least: int
) -> Estimate | NotEstimable:
    enough = np.flatnonzero((epochs.control.n >= 2) & (epochs.treatment.n >= 2))
    sides = [_rows(pairs, enough) for pairs in (epochs.control, epochs.treatment)]
    a, b = (_Arm.of(side) for side in sides)
    n = (float(a.n.sum()), float(b.n.sum()))
    numbers = tuple(int(number) for number in epochs.epoch[enough])
    if min(n) < least:
        facts = {"n_count": min(n), "needed_count": least}
        return NotEstimable("cuped", Remark("tooFewValues", facts), n)
    for arm, side in zip((a, b), sides, strict=True):
        if arm.yy.sum() <= _LOST * side.yy.sum():
            return NotEstimable("cuped", CANCELLED, n)
        if arm.xx.sum() <= _LOST * side.xx.sum():
            return NotEstimable("cuped", Remark("nothingToAdjustBy"), n)
    if interacted is None:
        interacted = min(n) < _LIKE_SIZES * max(n)
    adjusted = _contrast(a, b, _Slopes.of(a, b, interacted=interacted), numbers)
    plain = _contrast(a, b, _Slopes(), numbers)
    if adjusted.variance() <= 0 or plain.variance() <= 0:
        return NotEstimable("cuped", Remark("noVarianceLeft"), n)
    notes = tuple(_notes(a, b, plain, adjusted, plan))
    return t_test("cuped", adjusted, plan, assumptions=ASSUMPTIONS, notes=notes)


def _rows(pairs: Pairs, rows: NDArray[np.intp]) -> Pairs:
    return pairs.merge(rows)


@dataclass(frozen=True)
class _Slopes:
    """Theta of control and treatment, their (co)variances, and what its degree of freedom costs."""

    a: float = 0.0
    b: float = 0.0
    var_a: float = 0.0
    var_b: float = 0.0
    cov: float = 0.0
    growth_a: float = 1.0
    growth_b: float = 1.0

    @classmethod
    def of(cls, a: _Arm, b: _Arm, *, interacted: bool) -> "_Slopes":
        if interacted:
            (theta_a, var_a, growth_a), (theta_b, var_b, growth_b) = _slope(a), _slope(b)
            return cls(theta_a, theta_b, var_a, var_b, 0.0, growth_a, growth_b)
        theta, variance, growth = _slope(a, b)
        return cls(theta, theta, variance, variance, variance, growth, growth)


def _slope(*arms: _Arm) -> tuple[float, float, float]:
    """Theta within the arms, its variance, and by what residual variances grow for it."""
    xx = sum(float(arm.xx.sum()) for arm in arms)
    theta = sum(float(arm.xy.sum()) for arm in arms) / xx
    degrees = sum(float(np.sum(arm.n - 1)) for arm in arms)
    rest = sum(float(arm.residual(theta).sum()) for arm in arms)
    return theta, rest / (degrees - 1) / xx, degrees / (degrees - 1)


def _contrast(a: _Arm, b: _Arm, slopes: _Slopes, epochs: tuple[int, ...]) -> Contrast:
    """Means at the common x of each epoch; epochs weigh n_a n_b / (n_a + n_b)."""
    n, product = a.n + b.n, a.n * b.n / (a.n + b.n)
    weight = product / product.sum()
    common = (a.n * a.x + b.n * b.x) / n
    gap_a, gap_b = float(weight @ (a.x - common)), float(weight @ (b.x - common))
    part_a = weight**2 * slopes.growth_a * a.residual(slopes.a) / (a.n - 1) / a.n
    part_b = weight**2 * slopes.growth_b * b.residual(slopes.b) / (b.n - 1) / b.n
    # The common x is a sample as well; it moves both means, and cancels where the thetas agree.
    moved = float(weight**2 @ ((a.xx + b.xx + product * (a.x - b.x) ** 2) / (n - 1) / n))
    spread = float(np.sum(part_a**2 / (a.n - 1) + part_b**2 / (b.n - 1)))
    return Contrast(
        a=float(weight @ a.y) - slopes.a * gap_a,
        b=float(weight @ b.y) - slopes.b * gap_b,
        var_a=float(part_a.sum()) + gap_a**2 * slopes.var_a + moved * slopes.a**2,
        var_b=float(part_b.sum()) + gap_b**2 * slopes.var_b + moved * slopes.b**2,
        df=float(part_a.sum() + part_b.sum()) ** 2 / spread if spread > 0 else 1.0,
        n=(float(a.n.sum()), float(b.n.sum())),
        epochs=epochs,
        cov=gap_a * gap_b * slopes.cov + moved * slopes.a * slopes.b,
    )


def _notes(a: _Arm, b: _Arm, plain: Contrast, adjusted: Contrast, plan: Plan) -> Iterator[Remark]:
    """How much was gained, and the health checks."""
    gain = 1 - adjusted.variance() / plain.variance()
    yield Remark("varianceReduced", {"reduced_ratio": gain})
    before = _contrast(_swapped(a), _swapped(b), _Slopes(), plain.epochs)
    p, _ = p_value((before.b - before.a) / math.sqrt(before.variance()), "two-sided", before.df)
    if p < _IMBALANCE:
        yield Remark("differedBefore", {"p": p})
    raw, new = plain.b - plain.a, adjusted.b - adjusted.a
    certain = max(abs(raw) / math.sqrt(plain.variance()), abs(new) / math.sqrt(adjusted.variance()))
    if raw * new < 0 and certain > critical(plan.alpha, "two-sided"):
        yield Remark("signTurned", {"effect_before": raw})


def _swapped(arm: _Arm) -> _Arm:
    return _Arm(arm.n, arm.x, arm.y, arm.xx, arm.yy, arm.xy)
