"""What the checks of the sample ratio share: the counted traffic, and the result."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from abctl.stats.estimate import Guarantee, NotEstimable
from abctl.stats.summary import Array, SummaryError

ALPHA = 0.001


@dataclass(frozen=True)
class SrmResult:
    """The result of a check of the sample ratio.

    >>> from abctl.stats.srm import fixed
    >>> found = fixed(counts=[[5000, 5400]], shares=[[0.5, 0.5]])
    >>> found.mismatch, found.observed, found.expected
    (True, (5000.0, 5400.0), (5200.0, 5200.0))
    >>> found.reason
    'variant 0 got 5,000 of 10,400 (48.08%), expected 5,200 (50.00%)'

    Attributes:
        method: which check.
        p, log_p: p-value and its natural logarithm; 0 and -inf where H0 forbids what was seen.
        observed, expected: units (or requests) of each variant over all rows.
        statistic, df: of the fixed checks; the log e-value and () where sequential.
        guarantee: `exact` at any size, or `asymptotic`.
        reason: what was seen, in plain words; variants are numbered from 0, the control.
    """

    method: str
    p: float
    log_p: float
    alpha: float
    observed: tuple[float, ...]
    expected: tuple[float, ...]
    statistic: float
    df: tuple[float, ...]
    guarantee: Guarantee
    reason: str

    @property
    def mismatch(self) -> bool:
        """Whether the traffic contradicts the split, at level alpha."""
        return self.p <= self.alpha


@dataclass(frozen=True, eq=False)
class Traffic:
    """Counts and expected shares, both of shape (rows, variants)."""

    method: str
    n: Array
    share: Array
    alpha: float

    @classmethod
    def of(cls, method: str, counts: ArrayLike, shares: ArrayLike, alpha: float) -> "Traffic":
        """Checked arrays.

        Raises:
            SummaryError: counts are negative or not whole, or the shares of a row do not sum to 1.
        """
        n = np.atleast_2d(np.asarray(counts, dtype=np.float64))
        share = np.atleast_2d(np.asarray(shares, dtype=np.float64))
        if n.shape != share.shape:
            raise SummaryError(f"counts of shape {n.shape}, shares of shape {share.shape}")
        if not np.all((n >= 0) & (n == np.floor(n))):
            raise SummaryError("counts of units must be whole numbers, none negative")
        if np.any(share < 0) or not np.allclose(share.sum(axis=1), 1, rtol=0, atol=1e-9):
            raise SummaryError("the shares of a row must sum to 1, none negative")
        return cls(method, n, share, alpha)

    @property
    def observed(self) -> tuple[float, ...]:
        """Of each variant, over all rows."""
        return tuple(map(float, self.n.sum(axis=0)))

    @property
    def expected(self) -> tuple[float, ...]:
        """Of each variant: every row's total at that row's shares."""
        return tuple(map(float, self.n.sum(axis=1) @ self.share))

    @property
    def deviation(self) -> Array:
        """Observed minus expected, of each variant."""
        return np.subtract(self.observed, self.expected)

    def covariance(self) -> Array:
        """Of the deviation when every count is a unit: the rows' multinomials, summed."""
        totals = self.n.sum(axis=1)
        outer = np.einsum("r,rv,rw->vw", totals, self.share, self.share)
        return np.asarray(np.diag(self.expected) - outer, dtype=np.float64)

    def settled(self) -> SrmResult | NotEstimable | None:
        """The result where no statistics are needed for it."""
        forbidden = np.where(self.share == 0, self.n, 0).sum(axis=0)
        if forbidden.any():
            worst = int(forbidden.argmax())
            reason = f"variant {worst} had a share of 0 and got {forbidden[worst]:,.0f}"
            return self.result(0.0, -math.inf, math.inf, (), guarantee="exact", reason=reason)
        if not self.n.any():
            return self.refused("no traffic that counts")
        if not np.any(self.n.sum(axis=1) * (self.share.max(axis=1) < 1)):
            return self.refused("one variant has all the traffic, there is nothing to compare")
        return None

    def refused(self, reason: str) -> NotEstimable:
        """No answer yet."""
        n = self.observed
        return NotEstimable(self.method, reason, (n[0], sum(n[1:])))

    def result(
        self,
        p: float,
        log_p: float,
        statistic: float,
        df: tuple[float, ...],
        *,
        guarantee: Guarantee,
        reason: str = "",
    ) -> SrmResult:
        """The result; without a reason it names the variant that is furthest off."""
        total = sum(self.observed)
        worst = int(np.abs(self.deviation).argmax())
        seen, meant = self.observed[worst], self.expected[worst]
        furthest = (
            f"variant {worst} got {seen:,.0f} of {total:,.0f} ({seen / total:.2%}), "
            f"expected {meant:,.0f} ({meant / total:.2%})"
        )
        return SrmResult(
            method=self.method,
            p=p,
            log_p=log_p,
            alpha=self.alpha,
            observed=self.observed,
            expected=self.expected,
            statistic=statistic,
            df=df,
            guarantee=guarantee,
            reason=reason or furthest,
        )
