"""Tails of distributions against mpmath, above and below the smallest double."""

import mpmath
import pytest

from abctl.stats.fixed.reference import chi2_tail, f_tail, p_value


@pytest.mark.parametrize("df", [1, 2, 5, 19, 60])
@pytest.mark.parametrize("x", [30.0, 700.0, 1400.0, 3000.0, 1e5])
def test_chi_squared(df, x) -> None:
    p, log_p = chi2_tail(x, df)
    with mpmath.workdps(40):
        exact = mpmath.gammainc(mpmath.mpf(df) / 2, mpmath.mpf(x) / 2, regularized=True)
        assert log_p == pytest.approx(float(mpmath.log(exact)), rel=1e-11, abs=1e-9)
    assert p == pytest.approx(float(exact), rel=1e-9)


@pytest.mark.parametrize("df1", [1, 3, 19])
@pytest.mark.parametrize("df2", [7, 63, 2000])
@pytest.mark.parametrize("f", [1.0, 30.0, 1e3, 1e5, 1e30])
def test_f(df1, df2, f) -> None:
    p, log_p = f_tail(f, df1, df2)
    with mpmath.workdps(40):
        x = df2 / (df2 + df1 * mpmath.mpf(f))
        a, b = mpmath.mpf(df2) / 2, mpmath.mpf(df1) / 2
        exact = mpmath.betainc(a, b, 0, x, regularized=True)
        assert log_p == pytest.approx(float(mpmath.log(exact)), rel=1e-11, abs=1e-9)
    assert p == pytest.approx(float(exact), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("df", [1e4, 1e6, 1e8, 2e12])
@pytest.mark.parametrize("t", [38.0, 120.0, 1000.0])
def test_student_of_many_degrees_of_freedom(df, t) -> None:
    _, log_p = p_value(t, "greater", df)
    with mpmath.workdps(30):
        t, df = mpmath.mpf(t), mpmath.mpf(df)

        def log_density(x):
            return -(df + 1) / 2 * mpmath.log1p(x * x / df)

        top = mpmath.loggamma((df + 1) / 2) - mpmath.loggamma(df / 2)
        top += log_density(t) - mpmath.log(mpmath.pi * df) / 2
        # The density falls by e within a step.
        step = (t * t + df) / ((df + 1) * t)
        inside = mpmath.quad(
            lambda u: mpmath.exp(log_density(t + u * step) - log_density(t)), [0, 5, 20, 80, 400]
        )
        exact = top + mpmath.log(inside * step)
    assert log_p == pytest.approx(float(exact), rel=1e-6)
