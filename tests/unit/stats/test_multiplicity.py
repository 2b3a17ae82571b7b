"""Several comparisons: statsmodels as oracle, the definitions written out, and laws."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from abctl.stats import multiplicity
from abctl.stats.summary import SummaryError

pytestmark = pytest.mark.slow

probabilities = st.lists(st.floats(0, 1), min_size=1, max_size=20)


@pytest.mark.parametrize("size", [2, 7, 20])
def test_holm_against_statsmodels(size) -> None:
    p = np.random.default_rng(size).uniform(size=size).round(1) ** 3  # with ties
    assert multiplicity.holm(p) == pytest.approx(multipletests(p, method="holm")[1])


@given(probabilities, st.floats(0.001, 0.5))
def test_the_steps_of_holm_give_its_adjusted_values(p, alpha) -> None:
    left, before = multiplicity.holm_steps(p, alpha)
    rejected, oracle = multipletests(p, alpha, method="holm")[:2]
    found = np.minimum(1.0, np.maximum(before, left * np.array(p)))
    clear = np.abs(oracle - alpha) > 1e-12
    assert np.array_equal((found <= alpha)[clear], rejected[clear])
    # Those that are rejected, and the first that is not, have Holm's adjusted value.
    shown = np.argsort(p, kind="stable")[: np.count_nonzero(oracle <= alpha) + 1]
    assert found[shown] == pytest.approx(oracle[shown])


@given(probabilities)
def test_benjamini_hochberg_against_statsmodels(p) -> None:
    oracle = multipletests(p, method="fdr_bh")[1]
    assert multiplicity.benjamini_hochberg(p) == pytest.approx(oracle)


@given(st.lists(st.floats(-5, 800), min_size=1, max_size=20), st.floats(0.001, 0.5))
def test_e_bh_by_its_definition(log_e, alpha) -> None:
    """Reject the k largest, for the largest k with k e_(k) >= m / alpha."""
    ranked = np.sort(log_e)[::-1]
    m = len(log_e)
    passed = [k for k in range(1, m + 1) if math.log(k) + ranked[k - 1] >= math.log(m / alpha)]
    threshold = ranked[max(passed) - 1] if passed else math.inf
    adjusted = multiplicity.e_bh(log_e)
    clear = np.abs(adjusted - alpha) > 1e-9 * alpha
    rejected = np.array(log_e) >= threshold
    assert np.array_equal((adjusted <= alpha)[clear], rejected[clear])


@given(probabilities, st.randoms())
def test_the_order_does_not_matter_and_nothing_gets_smaller(p, random) -> None:
    order = list(range(len(p)))
    random.shuffle(order)
    for adjust in (multiplicity.holm, multiplicity.benjamini_hochberg):
        found = adjust(p)
        assert adjust(np.array(p)[order]) == pytest.approx(found[order])
        assert np.all((found >= np.array(p) - 1e-15) & (found <= 1))
    assert np.all(multiplicity.benjamini_hochberg(p) <= multiplicity.holm(p) + 1e-15)


def test_one_comparison_is_left_as_it_is() -> None:
    assert multiplicity.holm([0.03]) == 0.03
    assert multiplicity.benjamini_hochberg([0.03]) == 0.03
    assert multiplicity.e_bh([math.log(20)]) == pytest.approx(0.05)
    assert multiplicity.intersection_union([0.03]) == 0.03


def test_all_must_pass() -> None:
    assert multiplicity.intersection_union([0.001, 0.04, 0.2]) == 0.2
    assert multiplicity.intersection_union([]) == 0.0


def test_error_rates_hold_for_dependent_comparisons() -> None:
    """Twelve null comparisons and three real ones share half of their noise."""
    rng, runs, alpha = np.random.default_rng(1), 2000, 0.1
    real = np.arange(15) < 3
    z = rng.normal(size=(runs, 15)) * math.sqrt(0.5) + rng.normal(size=(runs, 1)) * math.sqrt(0.5)
    z += 4 * real
    p, log_e = stats.norm.sf(z), 3 * z - 4.5
    within = 3 * math.sqrt(alpha * (1 - alpha) / runs)
    holm = np.array([multiplicity.holm(row) <= alpha for row in p])
    assert holm[:, ~real].any(axis=1).mean() <= alpha + within
    for adjust, values in ((multiplicity.benjamini_hochberg, p), (multiplicity.e_bh, log_e)):
        found = np.array([adjust(row) <= alpha for row in values])
        wrong = found[:, ~real].sum(axis=1) / np.maximum(found.sum(axis=1), 1)
        assert wrong.mean() <= alpha + within
        assert found[:, real].mean() > 0.5


@pytest.mark.parametrize("p", [[0.5, 1.1], [-0.1], [math.nan]])
def test_what_is_no_probability_is_refused(p) -> None:
    for adjust in (
        multiplicity.holm,
        multiplicity.benjamini_hochberg,
        multiplicity.intersection_union,
    ):
        with pytest.raises(SummaryError):
            adjust(p)


def test_a_missing_e_value_is_refused() -> None:
    with pytest.raises(SummaryError):
        multiplicity.e_bh([1.0, math.nan])


def test_nothing_to_adjust() -> None:
    assert multiplicity.holm([]).size == multiplicity.e_bh([]).size == 0
