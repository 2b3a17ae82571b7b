"""Group sequential bounds: published tables, the multivariate normal as oracle, and laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from laws import law
from scipy import optimize, stats

from abctl.stats.power import group_sequential as gs
from abctl.stats.power.group_sequential import crossing
from abctl.stats.summary import SummaryError

SPENDINGS = ["obrien-fleming", "pocock"]

# Two-sided 0.05 at equally spaced looks, from the manuals of ldbounds and gsDesign (4 decimals;
# ldbounds' second digit of the 5-look table, 3.3569, differs from gsDesign's 3.3570).
PUBLISHED = [
    ("obrien-fleming", [3.7103, 2.5114, 1.9930]),
    ("obrien-fleming", [4.8769, 3.3570, 2.6803, 2.2898, 2.0310]),
    ("pocock", [2.4380, 2.4268, 2.4102, 2.3966, 2.3860]),
]


@pytest.mark.parametrize(("spending", "z"), PUBLISHED)
def test_published_tables(spending, z) -> None:
    found = gs.bounds(np.arange(1, len(z) + 1) / len(z), 0.05, spending)
    assert found.z == pytest.approx(z, abs=6e-5)


@pytest.mark.slow
@pytest.mark.parametrize("spending", SPENDINGS)
@pytest.mark.parametrize("two_sided", [True, False])
@pytest.mark.parametrize("info", [[0.3, 1.0], [0.1, 0.15, 0.7], [0.25, 0.5, 0.9, 1.2]])
def test_against_the_multivariate_normal(spending, two_sided, info) -> None:
    """P(no bound crossed yet) by Genz' integration; 1e-6 of probability is 2e-5 of z here."""
    info, alpha = np.array(info), 0.05
    found = gs.bounds(info, alpha, spending, two_sided=two_sided)
    for k in range(1, info.size + 1):
        t = info[:k]
        correlation = np.sqrt(np.minimum.outer(t, t) / np.maximum.outer(t, t))
        lower = -found.z[:k] if two_sided else np.full(k, -40.0)
        inside = stats.multivariate_normal.cdf(
            found.z[:k],
            cov=correlation,
            abseps=1e-8,
            releps=1e-8,
            maxpts=2_000_000,
            lower_limit=lower,
        )
        assert 1 - inside == pytest.approx(found.spent[k - 1], abs=1e-6)


@pytest.mark.parametrize("spending", SPENDINGS)
def test_one_look_is_the_fixed_test(spending) -> None:
    assert gs.bounds([1.0], 0.05, spending).z == pytest.approx([stats.norm.isf(0.025)])
    one_sided = gs.bounds([1.0], 0.05, spending, two_sided=False)
    assert one_sided.z == pytest.approx([stats.norm.isf(0.05)])
    assert one_sided.nominal_p == pytest.approx([0.05])


@given(
    st.lists(st.integers(1, 1000), min_size=1, max_size=12, unique=True),
    st.sampled_from(SPENDINGS),
    st.booleans(),
    st.sampled_from([0.001, 0.05, 0.2]),
)
@law(40)
def test_what_is_spent_is_what_was_allowed(looks, spending, two_sided, alpha) -> None:
    info = np.sort(looks) / 1000
    found = gs.bounds(info, alpha, spending, two_sided=two_sided)
    upper = found.z * np.sqrt(info)
    lower = -upper if two_sided else np.full(info.size, -np.inf)
    below, above = crossing(info, lower, upper)
    assert np.cumsum(below + above) == pytest.approx(found.spent, rel=1e-6, abs=1e-12)
    assert np.all(found.spent <= alpha * (1 + 1e-9))
    assert found.nominal_p == pytest.approx((1 + two_sided) * stats.norm.sf(found.z))


@pytest.mark.slow
@pytest.mark.parametrize("two_sided", [True, False])
def test_a_thousand_looks_stay_monotone_and_finite(two_sided) -> None:
    found = gs.bounds(np.arange(1, 1001) / 1000, two_sided=two_sided)
    assert np.all(np.diff(found.z) <= 1e-9)
    assert found.z[0] < 8
    assert found.spent[-1] == pytest.approx(0.05)
    few = gs.bounds([1.0], two_sided=two_sided)
    assert 0.15 < found.z[-1] - few.z[-1] < 0.4, "many looks cost, but little"


@pytest.mark.parametrize("spending", SPENDINGS)
def test_a_smaller_alpha_lies_outside_of_a_larger_one(spending) -> None:
    info = np.arange(1, 8) / 7
    strict, loose = (gs.bounds(info, alpha, spending).z for alpha in (0.01, 0.05))
    assert np.all(strict > loose)


def test_running_over_spends_what_is_left_and_no_more() -> None:
    found = gs.bounds([0.5, 1.3])
    assert found.spent[-1] == pytest.approx(0.05)
    late = gs.bounds([0.5, 1.1, 1.3])
    assert late.spent[-1] == late.spent[-2]
    assert late.z[-1] > 4.5, "nothing is left for a third look"


@pytest.mark.parametrize(
    ("spending", "looks", "inflation", "expected"),
    [
        ("obrien-fleming", 5, 1.025, 0.824),
        ("obrien-fleming", 10, 1.038, 0.794),
        ("pocock", 5, 1.212, 0.796),
        ("pocock", 10, 1.247, 0.780),
    ],
)
def test_what_looking_costs_and_saves(spending, looks, inflation, expected) -> None:
    """Maximal and expected information at 80% power, over that of the fixed test."""
    t = np.arange(1, looks + 1) / looks
    upper = gs.bounds(t, 0.05, spending).z * np.sqrt(t)

    def stops(drift: float) -> np.ndarray:
        return sum(crossing(t, -upper, upper, drift))

    drift = optimize.brentq(lambda d: stops(d).sum() - 0.8, 2, 5)
    fixed = (stats.norm.isf(0.025) + stats.norm.isf(0.2)) ** 2
    assert drift**2 / fixed == pytest.approx(inflation, abs=0.001)
    mean = (stops(drift) @ t + 0.2) * drift**2 / fixed
    assert mean == pytest.approx(expected, abs=0.001)


@pytest.mark.parametrize("info", [[], [0.0, 1.0], [0.5, 0.5], [0.6, 0.5], [float("nan")], [-1]])
def test_looks_without_new_information_are_refused(info) -> None:
    with pytest.raises(SummaryError):
        gs.bounds(info)


def test_an_impossible_alpha_is_refused() -> None:
    with pytest.raises(SummaryError):
        gs.bounds([0.5, 1], alpha=0)
