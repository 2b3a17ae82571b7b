"""The rule of `abctl.analysis.planned_end`, on numbers alone: what one look at its end errs."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

ALPHA, POWER, RUNS = 0.05, 0.8, 20_000
CRITICAL = stats.norm.isf(ALPHA)


def z(n: NDArray[np.int64], a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float64]:
    level = (a + b) / (2.0 * n)
    return np.asarray((b - a) / n / np.sqrt(2.0 * level * (1.0 - level) / n))


@pytest.mark.parametrize(
    ("rate", "pilot", "mde"), [(0.05, 500, 0.01), (0.01, 1000, 0.005), (0.5, 200, 0.05)]
)
def test_a_size_set_by_the_variance_at_the_shortest_duration_keeps_alpha(
    rate: float, pilot: int, mde: float
) -> None:
    """Nothing differs; both variants have as many requests."""
    rng = np.random.default_rng(1)
    a, b = rng.binomial(pilot, rate, (2, RUNS))
    shares = a / pilot, b / pilot
    variance = sum(share * (1.0 - share) for share in shares)
    n = ((CRITICAL + stats.norm.ppf(POWER)) / mde) ** 2 * variance
    n = np.maximum(np.ceil(n), pilot).astype(np.int64)
    a, b = a + rng.binomial(n - pilot, rate), b + rng.binomial(n - pilot, rate)
    wrong = z(n, a, b) > CRITICAL
    assert wrong.mean() == pytest.approx(ALPHA, abs=3 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS))
    # Who looks ten times more, at evidence from after the end, errs twice as often.
    more, later, ever = n // 10, n, wrong.copy()
    for _ in range(10):
        a, b, later = a + rng.binomial(more, rate), b + rng.binomial(more, rate), later + more
        ever |= z(later, a, b) > CRITICAL
    assert ever.mean() > 2 * ALPHA
