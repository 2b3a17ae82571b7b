"""Score tests of two proportions or two Poisson rates over strata, and their inversion.

The variance under a linear null takes the likeliest control level there, for each null (rows) and
stratum (columns).
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.fixed.contrast import Contrast, Interval, lift_of, no_null, null_of, one_sided
from abctl.stats.fixed.reference import critical, crossing, p_value
from abctl.stats.summary import Array, Counts, Events, Stream

FEW = 5.0
_RARE = 1e-4
_ALMOST_ONE = 1.0 - 1e-9


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
    # The cosine has digits of 1, not of a tiny level: that is almost the one of Poisson rates.
    rare = (successes < _RARE * total) & (np.abs(d) < _RARE)
    x = np.where(rare, np.clip(rate_at_difference(n_a, s_a, n_b, s_b, d), low, high), x)
    for _ in range(3):
        slope = (3.0 * total * x + 2.0 * l2) * x + l1
        value = ((total * x + l2) * x + l1) * x + l0
        with np.errstate(divide="ignore", invalid="ignore"):
            step = np.where(slope == 0.0, 0.0, value / slope)
        x = np.clip(x - np.clip(step, -1e-3, 1e-3), low, high)
    return np.asarray(x)


def rate_at_ratio(n_a: Array, s_a: Array, n_b: Array, s_b: Array, ratio: Array) -> Array:
    """The control's rate of two Poisson rates under treatment = ratio * control."""
    return np.asarray((s_a + s_b) / (n_a + ratio * n_b))


def rate_at_difference(n_a: Array, s_a: Array, n_b: Array, s_b: Array, difference: Array) -> Array:
    """The control's rate under treatment = control + difference: the root of a quadratic."""
    total, d = n_a + n_b, difference
    half = 0.5 * (s_a + s_b - total * d)
    x = (half + np.sqrt(half * half + total * s_a * d.clip(min=0.0))) / total
    # With a negative difference the treatment is the smaller one: solve for it instead.
    other = 0.5 * (s_a + s_b + total * d)
    y = (other + np.sqrt(other * other - total * s_b * d.clip(max=0.0))) / total
    return np.asarray(np.where(d >= 0.0, x, y - d))


@dataclass(frozen=True, eq=False)
class Strata:
    """Successes `s` of `n` trials (or events of an exposure) of each epoch with both variants.

    >>> strata = Strata.of(Stream(Counts(1000, 100), Counts(1000, 130), epoch=0))
    >>> strata.means(), strata.z(np.ones(1), np.zeros(1)).round(4)  # 0.03 / 0.014267
    ((0.1, 0.13), array([2.1027]))

    Attributes:
        n_a, s_a, n_b, s_b: control `a`, treatment `b`, each of shape (epochs,).
        epochs: their numbers.
        left_out: epochs without data in both variants.
        poisson: rates of events rather than proportions.
    """

    n_a: Array
    s_a: Array
    n_b: Array
    s_b: Array
    epochs: tuple[int, ...]
    left_out: int = 0
    poisson: bool = False

    @classmethod
    def of(cls, stream: Stream[Counts] | Stream[Events]) -> Self | Remark:
        """Sums by epoch; a reason where no epoch has traffic in both variants."""
        merged = stream.by_epoch()
        poisson = isinstance(merged.control, Events)
        return cls.where_both(
            *tried(merged.control), *tried(merged.treatment), merged.epoch, poisson=poisson
        )

    @classmethod
    def where_both(
        cls,
        n_a: Array,
        s_a: Array,
        n_b: Array,
        s_b: Array,
        epoch: NDArray[np.int64],
        *,
        poisson: bool = False,
    ) -> Self | Remark:
        """The epochs with trials in both variants; a reason where there is no such epoch."""
        both = (n_a > 0) & (n_b > 0)
        if not np.any(both):
            return Remark("noSharedEpoch")
        return cls(
            n_a[both],
            s_a[both],
            n_b[both],
            s_b[both],
            epochs=tuple(int(number) for number in epoch[both]),
            left_out=int(np.count_nonzero(~both)),
            poisson=poisson,
        )

    @property
    def n(self) -> tuple[float, float]:
        """Trials or exposure of control and treatment."""
        return float(self.n_a.sum()), float(self.n_b.sum())

    @property
    def weights(self) -> Array:
        """Mantel and Haenszel's: proportional to the information where the variance is the same."""
        return self.n_a * self.n_b / (self.n_a + self.n_b)

    def means(self) -> tuple[float, float]:
        """Weighted levels of control and treatment."""
        weights = self.weights / self.weights.sum()
        return (
            float(np.sum(weights * self.s_a / self.n_a)),
            float(np.sum(weights * self.s_b / self.n_b)),
        )

    @property
    def expected(self) -> float:
        """The smallest expected count of the tables of the epochs, under equal levels."""
        share = (self.s_a + self.s_b) / (self.n_a + self.n_b)
        rarest = share if self.poisson else np.minimum(share, 1.0 - share)
        return float(np.min(np.minimum(self.n_a, self.n_b) * rarest))

    @property
    def notes(self) -> tuple[Remark, ...]:
        """What a reader should know of these data."""
        notes: tuple[Remark, ...] = ()
        if self.left_out:
            notes += (Remark("epochsLeftOut", {"epochs_count": self.left_out}),)
        return notes

    def contrast(self) -> Contrast:
        """Levels and their variances, with a success (and a failure) added in every epoch.

        Source: Agresti & Caffo (2000), doi:10.1080/00031305.2000.10474560.
        """
        squares = (self.weights / self.weights.sum()) ** 2
        if self.poisson:
            spread_a, spread_b = (self.s_a + 1.0) / self.n_a, (self.s_b + 1.0) / self.n_b
        else:
            share_a, share_b = (self.s_a + 1) / (self.n_a + 2), (self.s_b + 1) / (self.n_b + 2)
            spread_a, spread_b = share_a * (1.0 - share_a), share_b * (1.0 - share_b)
        var_a, var_b = (
            float(np.sum(squares * spread / n))
            for spread, n in ((spread_a, self.n_a), (spread_b, self.n_b))
        )
        return Contrast(*self.means(), var_a, var_b, math.inf, self.n, self.epochs)

    def z(self, ratios: Array, offsets: Array) -> Array:
        """The score statistic for each null `b = ratio * a + offset` (one of them trivial)."""
        k, d = ratios[:, None], offsets[:, None]
        variance = self._restricted_variance(k, d)
        if self.n_a.size > 1 and not self.poisson:
            total = self.n_a + self.n_b
            variance = variance * total / (total - 1.0)
        score, level = self._score(k, d)
        weights = self.weights
        square = np.sum(weights * weights * variance, axis=1)
        return _standardized(
            np.sum(weights * score, axis=1), np.sum(weights * level, axis=1), square
        )

    def each_z(self, ratios: Array, offsets: Array) -> Array:
        """The score statistic of each stratum alone; arguments of shape (nulls, 1)."""
        score, level = self._score(ratios, offsets)
        return _standardized(score, level, self._restricted_variance(ratios, offsets))

    def _score(self, k: Array, d: Array) -> tuple[Array, Array]:
        """Distance from the null in each stratum, and the size of what it is made of."""
        a, b = k * self.s_a / self.n_a, self.s_b / self.n_b
        return b - a - d, a + b + np.abs(d)

    def _restricted_variance(self, k: Array, d: Array) -> Array:
        """Variance of b - k a of each epoch at the likeliest point of the null."""
        cells = (self.n_a, self.s_a, self.n_b, self.s_b)
        if self.poisson:
            x = rate_at_difference(*cells, d) if d.any() else rate_at_ratio(*cells, k)
            return np.asarray(k * k * x / self.n_a + (k * x + d) / self.n_b)
        x = proportion_at_difference(*cells, d) if d.any() else proportion_at_ratio(*cells, k)
        y = np.clip(k * x + d, 0.0, 1.0)
        return np.asarray(k * k * x * (1.0 - x) / self.n_a + y * (1.0 - y) / self.n_b)

    def intervals(self, plan: Plan) -> tuple[Interval, Interval | None]:
        """The differences and the lifts that are not rejected; no lifts where control is 0."""
        crit = critical(plan.alpha, plan.alternative)
        control, treatment = self.means()
        effect = treatment - control
        low, high = self._furthest(effect, crit)
        # Where the roots are about: those of Wald's statistic.
        wald = self.contrast()
        differences = wald.interval(crit, "two-sided")
        lifts = wald.lift_interval(crit, "two-sided") or (0.0, 0.0)

        def by_offset(side: float) -> float:
            ends = (low, effect) if side > 0 else (effect, high)
            guess = differences[0 if side > 0 else 1]
            return crossing(lambda d: self.z(np.ones_like(d), d) - side * crit, *ends, guess)

        def by_share(side: float) -> float:
            # A ratio in [0, inf) is t / (1 - t) of a share t in [0, 1).
            ratio = max(0.0, 1.0 + lifts[0 if side > 0 else 1])
            share = crossing(
                lambda t: self.z(t / (1.0 - t), np.zeros_like(t)) - side * crit,
                0.0,
                _ALMOST_ONE,
                ratio / (1.0 + ratio),
            )
            return share / (1.0 - share) - 1.0 if share < _ALMOST_ONE else math.inf

        interval = one_sided((by_offset(1.0), by_offset(-1.0)), plan.alternative)
        if control == 0.0:
            return interval, None
        return interval, one_sided((by_share(1.0), by_share(-1.0)), plan.alternative)

    def _furthest(self, effect: float, crit: float) -> Interval:
        """The smallest and the largest difference that could be in an interval."""
        if not self.poisson:
            return -1.0, 1.0
        events = float(self.s_a.sum() + self.s_b.sum())
        reach = (10.0 + 4.0 * events + 4.0 * crit * crit) * self.n_a.size / min(self.n)
        return effect - reach, effect + reach


def _standardized(score: Array, level: Array, variance: Array) -> Array:
    """Score over its deviation; 0 where the score is nothing but rounding."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.abs(score) <= 1e-12 * level, 0.0, score / np.sqrt(variance))


def tried(summary: Counts | Events) -> tuple[Array, Array]:
    """The trials (or the exposure), and the successes (or events)."""
    if isinstance(summary, Counts):
        return summary.n, summary.successes
    return summary.exposure, summary.events


def score_test(
    method: str,
    strata: Strata | Remark,
    plan: Plan,
    assumptions: tuple[str, ...],
) -> Estimate | NotEstimable:
    """The score test of the plan's null; p and both intervals are inversions of it."""
    if isinstance(strata, Remark):
        return NotEstimable(method, strata)
    if reason := no_null(plan, poisson=strata.poisson):
        return NotEstimable(method, reason, strata.n)
    control, treatment = strata.means()
    null = null_of(plan, 1.0)
    statistic = float(strata.z(np.array([null.ratio]), np.array([null.offset]))[0])
    p, log_p = p_value(statistic, plan.alternative)
    interval, lift_interval = strata.intervals(plan)
    notes = strata.notes
    if strata.expected < FEW:
        facts = {"expected_count": strata.expected, "needed_count": FEW}
        notes += (Remark("approximate", facts),)
    return Estimate(
        method=method,
        control=control,
        treatment=treatment,
        effect=treatment - control,
        interval=interval,
        lift=lift_of(control, treatment),
        lift_interval=lift_interval,
        p=p,
        log_p=log_p,
        alpha=plan.alpha,
        alternative=plan.alternative,
        guarantee="asymptotic",
        assumptions=assumptions,
        n=strata.n,
        epochs=strata.epochs,
        notes=notes,
        se=math.sqrt(strata.contrast().variance()),
        statistic=statistic,
        df=math.inf,
    )
