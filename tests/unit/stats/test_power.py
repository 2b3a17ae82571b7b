"""Sizes and power: published numbers, statsmodels, simulation, and laws."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats import power as sm_power
from statsmodels.stats import proportion as sm_proportion

from abctl.stats.estimate import Plan
from abctl.stats.power import sizes
from abctl.stats.summary import SummaryError


@pytest.mark.parametrize(
    ("control", "effect", "pooled", "unpooled"),
    [
        (0.05, 0.02, 2213, 2210),
        (0.05, -0.02, 1506, 1504),
        (0.05, 0.05 * 0.02, 752_703, 752_700),
        (0.05, 0.05 * 0.1, 31_234, 31_231),
        (0.05, 0.05 * 0.2, 8_158, 8_155),
    ],
)
def test_what_five_percent_needs(control, effect, pooled, unpooled) -> None:
    assert sizes.sample_size(sizes.proportions(control, effect)) == (pooled, pooled)
    target = sizes.proportions(control, effect, pooled=False)
    assert sizes.sample_size(target) == (unpooled, unpooled)


def test_fifteen_thousand_is_wrong_in_every_reading() -> None:
    relative = sizes.proportions(0.05, 0.05 * 0.02)
    assert sizes.power_of(relative, 15_000, 15_000) == pytest.approx(0.059, abs=0.001)
    points = sizes.proportions(0.05, 0.02)
    assert sizes.power_of(points, 15_000, 15_000) > 0.999999
    found = sizes.smallest_effect(lambda e: sizes.proportions(0.05, e), 0.9, (15_000, 15_000))
    assert found == pytest.approx(0.0073, abs=5e-5)
    one_sample = ((stats.norm.isf(0.025) + stats.norm.isf(0.2)) / 0.005) ** 2 * 0.05 * 0.95
    assert one_sample == pytest.approx(14_913, abs=1)


proportion = st.floats(0.01, 0.99)


@given(proportion, proportion, st.floats(0.1, 10), st.booleans(), st.integers(50, 10**6))
def test_two_proportions_are_those_of_statsmodels(p, q, ratio, one_sided, n) -> None:
    if abs(q - p) < 1e-3:
        return
    # statsmodels' first group is the one with the effect; its two-sided power adds the chance to
    # find the opposite, ours does not.
    oracle = sm_proportion.power_proportions_2indep(
        q - p,
        p,
        nobs1=n * ratio,
        ratio=1 / ratio,
        alpha=0.05 if one_sided else 0.025,
        alternative="larger" if q > p else "smaller",
    )
    found = sizes.power_of(sizes.proportions(p, q - p), n, n * ratio, one_sided=one_sided)
    assert found == pytest.approx(oracle.power, abs=1e-9)


@given(st.floats(0.01, 3), st.floats(0.1, 10), st.integers(2, 10**5), st.booleans())
def test_means_are_those_of_statsmodels(d, ratio, n, one_sided) -> None:
    oracle = sm_power.NormalIndPower().power(d, n, 0.02 / (1 if one_sided else 2), ratio, "larger")
    found = sizes.power_of(sizes.means(2 * d, 2.0), n, n * ratio, 0.02, one_sided=one_sided)
    assert found == pytest.approx(oracle, abs=1e-9)


@given(
    st.floats(0.02, 0.5),
    st.floats(0.02, 0.4),
    st.floats(0.2, 5),
    st.floats(0.5, 0.99),
    st.fixed_dictionaries({"one_sided": st.booleans(), "inflation": st.floats(1, 4)}),
)
def test_size_power_and_effect_are_inverses(p, effect, ratio, wanted, how) -> None:
    n = sizes.sample_size(sizes.proportions(p, effect), 0.05, wanted, ratio=ratio, **how)
    reached = sizes.power_of(sizes.proportions(p, effect), *n, **how)
    assert reached >= wanted - 1e-3
    smallest = sizes.smallest_effect(
        lambda e: sizes.proportions(p, e), 1 - p, (n[0], n[0] * ratio), 0.05, wanted, **how
    )
    assert smallest == pytest.approx(effect, rel=0.15)
    assert smallest <= effect * (1 + 1e-6)


def test_power_is_what_a_simulation_finds() -> None:
    n_a, n_b = sizes.sample_size(sizes.proportions(0.05, 0.02), ratio=0.5)
    rng, runs = np.random.default_rng(1), 20_000
    a, b = rng.binomial(n_a, 0.05, runs), rng.binomial(n_b, 0.07, runs)
    pooled = (a + b) / (n_a + n_b)
    z = (b / n_b - a / n_a) / np.sqrt(pooled * (1 - pooled) * (1 / n_a + 1 / n_b))
    assert np.mean(z > stats.norm.isf(0.025)) == pytest.approx(0.8, abs=0.015)


def test_a_margin_is_shown_as_often_as_planned() -> None:
    """The score test against 0.9% of errors, where both variants really have 0.4%."""
    n_a, n_b = sizes.sample_size(sizes.margin(0.004, 0.005), ratio=1 / 9, one_sided=True)
    rng, runs = np.random.default_rng(4), 20_000
    a, b = rng.binomial(n_a, 0.004, runs) / n_a, rng.binomial(n_b, 0.004, runs) / n_b
    z = (a + 0.005 - b) / np.sqrt(a * (1 - a) / n_a + (a + 0.005) * (0.995 - a) / n_b)
    assert np.mean(z > stats.norm.isf(0.05)) == pytest.approx(0.8, abs=0.03)


def test_nothing_is_found_with_too_few() -> None:
    assert sizes.smallest_effect(lambda e: sizes.proportions(0.5, e), 0.49, (3, 3)) is None


def test_design_effect_is_the_variance_of_clusters() -> None:
    rng, runs, users = np.random.default_rng(2), 4000, 60
    clusters = rng.integers(1, 12, (runs, users))
    level = rng.beta(1, 3, (runs, users))  # a user's own rate: the correlation is 1 / (1 + 3 + 1)
    sums = rng.binomial(clusters, level)
    ratios = sums.sum(axis=1) / clusters.sum(axis=1)
    variance = 0.25 * 0.75 / clusters.sum(axis=1).mean()
    expected = sizes.design_effect(clusters.mean(), clusters.std() / clusters.mean(), 0.2)
    assert ratios.var() / variance == pytest.approx(expected, rel=0.07)
    assert sizes.design_effect(1, 0, 0.5) == 1
    assert sizes.design_effect(8, 1.2, 0) == 1


@pytest.mark.parametrize("treatments", [1, 2, 3, 5])
def test_the_best_shares_cannot_be_bettered(treatments: int) -> None:
    shares = sizes.best_shares(treatments)
    assert math.fsum(shares) == pytest.approx(1)

    def variance(control: float) -> float:
        return 1 / control + treatments / (1 - control)

    others = np.linspace(0.05, 0.95, 500)
    assert variance(shares[0]) <= variance(others).min() + 1e-12
    assert sizes.alpha_each(0.05, treatments) * treatments == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("one_sided", "largest", "expected"), [(False, 1.51, 0.91), (True, 1.58, 0.92)]
)
def test_the_cost_of_looking(one_sided, largest, expected) -> None:
    """1.51 and 0.91 are what exact counts of 5% against 5.5% took in simulation."""
    found = sizes.cost_of_looking(one_sided=one_sided)
    assert found == pytest.approx((largest, expected), abs=0.02)


@pytest.mark.parametrize(
    ("looks", "spending", "largest", "expected"),
    [
        (5, "obrien-fleming", 1.025, 0.824),
        (10, "obrien-fleming", 1.038, 0.794),
        (5, "pocock", 1.212, 0.796),
        (10, "pocock", 1.247, 0.780),
    ],
)
def test_the_cost_of_planned_looks(looks, spending, largest, expected) -> None:
    found = sizes.cost_of_groups(looks=looks, spending=spending)
    assert found == pytest.approx((largest, expected), abs=1e-3)
    one_look = sizes.cost_of_groups(looks=1, spending=spending, one_sided=True)
    assert one_look == pytest.approx((1.0, 1.0), abs=1e-3)


def test_ratios_are_planned_with_the_variance_of_the_delta_method() -> None:
    """Users with 1 to 20 requests, and revenue that grows with them: 80% find what was planned."""
    rng = np.random.default_rng(4)
    users, runs = 400, 3000
    requests = rng.integers(1, 21, (2, runs, users)).astype(float)
    revenue = requests * rng.gamma(2.0, 0.5, requests.shape)
    numerator, denominator = revenue[0].ravel(), requests[0].ravel()
    r = numerator.mean() / denominator.mean()
    correlation = np.corrcoef(numerator, denominator)[0, 1]
    size = (denominator.mean(), denominator.std())
    effect = 0.16
    target = sizes.ratios(effect, r, numerator.std(), size, correlation)
    needed, _ = sizes.sample_size(target)
    assert needed == pytest.approx(users, rel=0.05)
    ratio_a, ratio_b = revenue.sum(axis=2) / requests.sum(axis=2)
    z = (ratio_b + effect - ratio_a) / math.sqrt(sum(target.variances) / users)
    assert np.mean(z > 1.96) == pytest.approx(sizes.power_of(target, users, users), abs=0.025)


def test_the_cost_of_looking_by_simulation() -> None:
    """A random walk of 200 steps, stopped by the mixture's definition written out."""
    alpha, wanted, looks, runs = 0.01, 0.9, 200, 4000
    fixed = (stats.norm.isf(alpha / 2) + stats.norm.ppf(wanted)) ** 2
    largest, expected = sizes.cost_of_looking(alpha, wanted)
    info = np.linspace(0, largest * fixed, looks + 1)[1:]
    step = info[0]
    rng = np.random.default_rng(3)
    score = np.cumsum(rng.normal(step, math.sqrt(step), (runs, looks)), axis=1)

    def one_side(s):
        points = sum(
            w * np.exp(h * s - h * h * info / 2) for h, w in ((0.5, 0.3), (1, 0.6), (2, 0.1))
        )
        spread = np.sqrt(1 + info)
        normal = 2 / spread * np.exp((s / spread) ** 2 / 2) * stats.norm.cdf(s / spread)
        return 0.9 * points + 0.1 * normal

    stopped = (one_side(score) + one_side(-score)) / 2 >= 1 / alpha
    assert stopped.any(axis=1).mean() == pytest.approx(wanted, abs=0.02)
    first = np.where(stopped.any(axis=1), stopped.argmax(axis=1), looks - 1)
    assert info[first].mean() / fixed == pytest.approx(expected, rel=0.03)
    assert Plan().prior == "six-point"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: sizes.proportions(0.99, 0.02),
        lambda: sizes.proportions(0.5, 0.0),
        lambda: sizes.means(1.0, 0.0),
        lambda: sizes.means(math.nan, 1.0),
        lambda: sizes.sample_size(sizes.means(1, 1), alpha=0),
        lambda: sizes.sample_size(sizes.means(1, 1), power=1),
        lambda: sizes.sample_size(sizes.means(1, 1), ratio=0),
        lambda: sizes.ratios(0.1, 1.0, 1.0, (0.0, 1.0), 0.5),
        lambda: sizes.ratios(0.1, 1.0, 1.0, (2.0, 1.0), 1.5),
        lambda: sizes.design_effect(0.5, 0, 0),
    ],
)
def test_nonsense_is_refused(wrong) -> None:
    with pytest.raises(SummaryError):
        wrong()
