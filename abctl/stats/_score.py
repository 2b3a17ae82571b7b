"""Score tests of two proportions over strata, and their inversion."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from abctl.stats._contrast import Interval, null_of, one_sided
from abctl.stats._reference import critical, crossing, p_value
from abctl.stats.estimate import Plan
from abctl.stats.summary import Array, Counts, Stream

_FEW = 5.0


@dataclass(frozen=True, eq=False)
class Strata:
    """Trials and successes of control `a` and treatment `b`, one entry an epoch with both."""

    n_a: Array
    s_a: Array
    n_b: Array
    s_b: Array
    epochs: tuple[int, ...]
    left_out: int

    @classmethod
    def of(cls, stream: Stream[Counts]) -> Self | str:
        """Sums by epoch; a reason where no epoch has traffic in both variants."""
        epochs = stream.by_epoch()
        a, b = epochs.control, epochs.treatment
        both = (a.n > 0) & (b.n > 0)
        if not np.any(both):
            return "no epoch with data in both variants"
        numbers = tuple(int(number) for number in epochs.epoch[both])
        left_out = int(np.count_nonzero(~both))
        return cls(a.n[both], a.successes[both], b.n[both], b.successes[both], numbers, left_out)

    @property
    def n(self) -> tuple[float, float]:
        """Trials of control and treatment."""
        return float(self.n_a.sum()), float(self.n_b.sum())

    @property
    def weights(self) -> Array:
        """Mantel and Haenszel's: proportional to the information where the variance is the same."""
        return self.n_a * self.n_b / (self.n_a + self.n_b)

    def means(self) -> tuple[float, float]:
        """Weighted proportions of control and treatment."""
        weights = self.weights / self.weights.sum()
        return (
            float(np.sum(weights * self.s_a / self.n_a)),
            float(np.sum(weights * self.s_b / self.n_b)),
        )

    @property
    def expected(self) -> float:
        """The smallest expected count of the tables of the epochs, under equal proportions."""
        total = self.n_a + self.n_b
        share = (self.s_a + self.s_b) / total
        return float(np.min(np.minimum(self.n_a, self.n_b) * np.minimum(share, 1.0 - share)))

    def notes(self) -> tuple[str, ...]:
        """What a reader should know of these data."""
        notes: tuple[str, ...] = ()
        if self.left_out:
            notes += (f"{self.left_out} epochs without data in both variants were left out",)
        if self.expected < _FEW:
            notes += (f"the smallest expected count is {self.expected:.3g}: under 5, see fisher",)
        return notes

    def z(self, ratios: Array, offsets: Array) -> Array:
        """The score statistic for each null `b = ratio * a + offset` (one of them trivial)."""
        k, d = ratios[:, None], offsets[:, None]
        x = self._restricted(k, d)
        y = np.clip(k * x + d, 0.0, 1.0)
        variance = k * k * x * (1.0 - x) / self.n_a + y * (1.0 - y) / self.n_b
        if self.n_a.size > 1:
            total = self.n_a + self.n_b
            variance = variance * total / (total - 1.0)
        weights = self.weights
        score = np.sum(weights * (self.s_b / self.n_b - k * self.s_a / self.n_a - d), axis=1)
        deviation = np.sqrt(np.sum(weights * weights * variance, axis=1))
        tiny = np.abs(score) <= 1e-12 * weights.sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(tiny, 0.0, score / deviation)

    def p_value(self, plan: Plan) -> tuple[float, float]:
        """The p-value and log p of the plan's null."""
        null = null_of(plan, 1.0)
        statistic = float(self.z(np.array([null.ratio]), np.array([null.offset]))[0])
        return p_value(statistic, plan.alternative)

    def intervals(self, plan: Plan) -> tuple[Interval, Interval | None]:
        """The differences and the lifts that are not rejected; no lifts where control is 0."""
        crit = critical(plan.alpha, plan.alternative)
        control, treatment = self.means()
        effect = treatment - control

        def by_offset(side: float) -> float:
            ends = (-1.0, effect) if side > 0 else (effect, 1.0)
            return crossing(lambda d: self.z(np.ones_like(d), d) - side * crit, *ends)

        def by_share(side: float) -> float:
            # A ratio in [0, inf) is t / (1 - t) of a share t in [0, 1).
            share = crossing(
                lambda t: self.z(t / (1.0 - t), np.zeros_like(t)) - side * crit, 0.0, 1.0 - 1e-9
            )
            return share / (1.0 - share) - 1.0 if share < 1.0 - 1e-9 else math.inf

        interval = one_sided((by_offset(1.0), by_offset(-1.0)), plan.alternative)
        if control == 0.0:
            return interval, None
        return interval, one_sided((by_share(1.0), by_share(-1.0)), plan.alternative)

    def _restricted(self, k: Array, d: Array) -> Array:
        """The likeliest control proportion under each null, shape (nulls, epochs)."""
        if np.any(d != 0.0):
            return self._restricted_difference(d)
        total, successes = self.n_a + self.n_b, self.s_a + self.s_b
        # The smaller root of total * k * x^2 - half * x + successes = 0, without cancellation.
        half = self.n_b * k + self.s_b + self.n_a + self.s_a * k
        root = np.sqrt(np.maximum(half * half - 4.0 * total * k * successes, 0.0))
        with np.errstate(divide="ignore"):
            return np.asarray(np.minimum(2.0 * successes / (half + root), np.minimum(1.0, 1.0 / k)))

    def _restricted_difference(self, d: Array) -> Array:
        """Miettinen & Nurminen (1985), appendix: the root of a cubic, then polished by Newton."""
        total, successes = self.n_a + self.n_b, self.s_a + self.s_b
        l3 = total
        l2 = (self.n_b + 2.0 * self.n_a) * d - total - successes
        l1 = (self.n_a * d - total - 2.0 * self.s_a) * d + successes
        l0 = self.s_a * d * (1.0 - d)
        third = l2 / (3.0 * l3)
        q = third**3 - l1 * l2 / (6.0 * l3 * l3) + l0 / (2.0 * l3)
        p = np.where(q >= 0.0, 1.0, -1.0) * np.sqrt(
            np.maximum(third * third - l1 / (3.0 * l3), 0.0)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            cosine = np.where(p == 0.0, 0.0, np.clip(q / p**3, -1.0, 1.0))
        x = 2.0 * p * np.cos((math.pi + np.arccos(cosine)) / 3.0) - third
        low, high = np.maximum(0.0, -d), np.minimum(1.0, 1.0 - d)
        for _ in range(2):
            slope = (3.0 * l3 * x + 2.0 * l2) * x + l1
            value = ((l3 * x + l2) * x + l1) * x + l0
            with np.errstate(divide="ignore", invalid="ignore"):
                step = np.where(slope == 0.0, 0.0, value / slope)
            x = np.clip(x - np.clip(step, -1e-3, 1e-3), low, high)
        return np.asarray(x)
