"""p-values, critical values and roots against mpmath and scipy."""

import math

import mpmath
import numpy as np
import pytest
from scipy import stats

from abctl.stats.fixed.reference import (
    critical,
    crossing,
    equal_shares,
    normal_of_t,
    p_value,
    t_of_normal,
)


@pytest.mark.parametrize("t", [0.0, 0.3, 1.96, 8.0, -5.0])
@pytest.mark.parametrize("df", [1.0, 7.5, 200.0, math.inf])
@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_p_is_a_tail_of_student(t, df, alternative) -> None:
    of = stats.norm if math.isinf(df) else stats.t(df)
    tails = {"two-sided": 2.0 * of.sf(abs(t)), "greater": of.sf(t), "less": of.cdf(t)}
    p, log_p = p_value(t, alternative, df)
    assert p == pytest.approx(tails[alternative], rel=1e-10)
    assert log_p == pytest.approx(math.log(p), abs=1e-12)


@pytest.mark.parametrize("z", [20.0, 40.0, 200.0])
def test_log_p_of_z_survives_underflow(z) -> None:
    with mpmath.workdps(50):
        exact = float(mpmath.log(mpmath.erfc(z / mpmath.sqrt(2))))
    assert p_value(z, "two-sided")[1] == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("df", [3.0, 60.0, 1e4])
@pytest.mark.parametrize("t", [40.0, 1e4, 1e100])
def test_log_p_of_t_survives_underflow(t, df) -> None:
    with mpmath.workdps(60):
        x = df / (df + mpmath.mpf(t) ** 2)
        exact = mpmath.log(mpmath.betainc(df / 2, 0.5, 0, x, regularized=True))
    assert p_value(t, "two-sided", df)[1] == pytest.approx(float(exact), rel=1e-9)


@pytest.mark.parametrize("alpha", [1e-6, 0.05, 0.3])
@pytest.mark.parametrize("df", [4.0, 90.0, math.inf])
@pytest.mark.parametrize("alternative", ["two-sided", "greater"])
def test_critical_values_are_where_p_is_alpha(alpha, df, alternative) -> None:
    assert p_value(critical(alpha, alternative, df), alternative, df)[0] == pytest.approx(alpha)


@pytest.mark.parametrize("df", [7.0, 30.0, 126.0])
def test_t_as_z_has_about_the_same_tail(df) -> None:
    t = np.array([-6.0, -2.0, 0.0, 0.5, 3.0, 5.0])
    exact = stats.norm.ppf(stats.t.cdf(t, df))
    assert normal_of_t(t, df) == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize("df", [7.0, 126.0])
@pytest.mark.parametrize("z", [-30.0, 0.0, 2.5, 40.0])
def test_t_and_z_map_to_and_fro(z, df) -> None:
    if abs(z) < 30.0 or df > 100.0:
        assert normal_of_t(np.array([t_of_normal(z, df)]), df)[0] == pytest.approx(z)


@pytest.mark.parametrize("root", [-0.7, 0.0, 0.123456789])
def test_a_root_is_found(root) -> None:
    assert crossing(lambda x: root - x**3, -1.0, 1.0) == pytest.approx(np.cbrt(root), abs=1e-9)


def test_without_a_root_it_is_an_end() -> None:
    assert crossing(lambda x: x * 0.0 + 1.0, 0.0, 2.0) == 2.0
    assert crossing(lambda x: x * 0.0 - 1.0, 0.0, 2.0) == 0.0


@pytest.mark.parametrize("counts", [[[10, 90], [20, 80]], [[3, 40, 7], [9, 30, 2], [4, 4, 4]]])
def test_equal_shares_is_scipys_test_of_a_table(counts) -> None:
    table = np.array(counts, dtype=float)
    wanted = stats.chi2_contingency(table, correction=False).pvalue
    assert equal_shares(table) == pytest.approx((wanted, math.log(wanted)), rel=1e-12)
    wider = np.insert(np.insert(table, 1, 0.0, axis=0), 0, 0.0, axis=1)
    assert equal_shares(wider)[0] == pytest.approx(wanted, rel=1e-12)
    assert equal_shares(table[:1]) == equal_shares(table * [[1] + [0] * (len(counts[0]) - 1)])
    assert equal_shares(table[:1])[0] == 1.0
