"""Lifts and posteriors keep their digits however large the numbers are."""

import math

import mpmath
import numpy as np
import pytest
from scipy import stats

from abctl.stats.bayes import Beta, beta_binomial, normal, summarize
from abctl.stats.fixed.contrast import Contrast


@pytest.mark.parametrize("mean", [1.0, 1e4, 1e8])
@pytest.mark.parametrize("cov", [0.0, 0.3])
def test_a_lift_has_the_ends_that_many_digits_give(mean, cov) -> None:
    found = Contrast(mean, mean + 0.5, 1e-4, 2e-4, math.inf, (9, 9), (0,), cov * 1e-4)
    low, high = found.lift_interval(2.0, "two-sided")
    with mpmath.workdps(60):
        a, b, va, vb, c = map(mpmath.mpf, (found.a, found.b, found.var_a, found.var_b, found.cov))
        lead, middle = a * a - 4 * va, a * b - 4 * c
        root = mpmath.sqrt(middle**2 - lead * (b * b - 4 * vb))
        ends = [(middle + sign * root) / lead - 1 for sign in (-1, 1)]
    assert [low, high] == pytest.approx([float(end) for end in ends], rel=1e-9)


def test_counts_of_many_digits_have_the_probability_of_normal_ones() -> None:
    n, more = 1e12, 1e6
    found = summarize([beta_binomial(0.5 * n, n), beta_binomial(0.5 * n + more, n)])
    assert found.better[1] == pytest.approx(stats.norm.cdf(more / math.sqrt(0.5 * n)), abs=1e-5)
    assert sum(found.best) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("size", [1.0, 100.0, 9_999.0, 10_001.0, 1e6])
def test_the_density_of_a_beta_is_that_of_many_digits(size) -> None:
    known = Beta(2.0 * size, 5.0 * size)
    x = np.array([0.2, 2.0 / 7.0, 0.3])
    with mpmath.workdps(60):
        a, b = mpmath.mpf(known.a), mpmath.mpf(known.b)
        wanted = [
            float(
                mpmath.mpf(float(at)) ** (a - 1)
                * (1 - mpmath.mpf(float(at))) ** (b - 1)
                / mpmath.beta(a, b)
            )
            for at in x
        ]
    assert known.density(x) == pytest.approx(wanted, rel=1e-8, abs=1e-300)


def test_a_share_beside_a_mean_is_compared_with_it() -> None:
    found = summarize([beta_binomial(50, 100), normal(0.6, standard_error=0.4)])
    chance = stats.norm.sf(0.5, 0.6, math.hypot(0.4, 0.0493))
    assert found.better[1] == pytest.approx(chance, abs=1e-3)
    assert sum(found.best) == pytest.approx(1.0, abs=1e-6)
