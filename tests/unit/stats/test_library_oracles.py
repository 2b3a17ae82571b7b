"""The public face gives what scipy, statsmodels and tea-tasting give, to their digits."""

import math

import numpy as np
import pandas as pd
import pytest
import tea_tasting
from scipy import stats as scipy_stats
from statsmodels.stats.power import TTestIndPower
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest

from abctl.stats import (
    Comparison,
    compare_means,
    compare_proportions,
    compare_quantiles,
    compare_ratios,
    sample_size_means,
    sample_size_proportions,
)
from abctl.stats import cuped as cuped_module  # a module: no public name hides it
from abctl.stats.methods import welch

SIDES = {"two-sided": "two_sided", "greater": "larger", "less": "smaller"}


def users(seed=3, n=(900, 1100)):
    """Orders, sessions and revenue of users, and the same from before."""
    rng = np.random.default_rng(seed)
    total = sum(n)
    level, treated = rng.lognormal(0.0, 0.5, total), np.repeat([False, True], n)
    sessions = rng.poisson(3.0 * level) + 1
    frame = pd.DataFrame(
        {
            "variant": np.where(treated, "new", "old"),
            "sessions": sessions,
            "orders": rng.binomial(sessions, np.where(treated, 0.34, 0.3)),
            "revenue": level * rng.exponential(10.0, total) * np.where(treated, 1.1, 1.0),
            "revenue_before": level * rng.exponential(10.0, total),
        }
    )
    return frame.sample(frac=1.0, random_state=seed).reset_index(drop=True)


FRAME = users()
OLD, NEW = (FRAME[FRAME.variant == which] for which in ("old", "new"))
TEA = tea_tasting.Experiment(
    revenue=tea_tasting.Mean("revenue"),
    cuped=tea_tasting.Mean("revenue", covariate="revenue_before"),
    ratio=tea_tasting.RatioOfMeans("orders", "sessions"),
).analyze(FRAME.assign(variant=(FRAME.variant == "new").astype(int)))


@pytest.mark.parametrize("alternative", SIDES)
def test_welch_is_that_of_scipy(alternative) -> None:
    wanted = scipy_stats.ttest_ind(
        NEW.revenue, OLD.revenue, equal_var=False, alternative=alternative
    )
    for word in (alternative, SIDES[alternative]):
        found = compare_means(OLD.revenue, NEW.revenue, alternative=word)
        assert found.p == pytest.approx(wanted.pvalue, rel=1e-9)
        assert found.statistic == pytest.approx(wanted.statistic, rel=1e-9)
        assert found.df == pytest.approx(wanted.df, rel=1e-9)
        assert found.interval == pytest.approx(wanted.confidence_interval(0.95), rel=1e-9)
        assert found.se == pytest.approx(found.effect / wanted.statistic, rel=1e-9)


def close(found, tea, rel=1e-9):
    assert found.control == pytest.approx(tea.control, rel=rel)
    assert found.treatment == pytest.approx(tea.treatment, rel=rel)
    assert found.effect == pytest.approx(tea.effect_size, rel=rel)
    assert found.interval == pytest.approx(
        (tea.effect_size_ci_lower, tea.effect_size_ci_upper), rel=rel
    )
    assert found.lift == pytest.approx(tea.rel_effect_size, rel=rel)
    assert found.p == pytest.approx(tea.pvalue, rel=max(rel, 1e-9))


def test_means_and_ratios_are_those_of_tea_tasting() -> None:
    close(compare_means(OLD.revenue, NEW.revenue), TEA["revenue"])
    pair = (OLD.orders, OLD.sessions), (NEW.orders, NEW.sessions)
    close(compare_ratios(*pair), TEA["ratio"])


def test_cuped_is_that_of_tea_tasting_to_the_digits_of_its_one_slope() -> None:
    """tea-tasting takes the slope of all values together, abctl that within variants."""
    found = compare_means(OLD.revenue, NEW.revenue, before=(OLD.revenue_before, NEW.revenue_before))
    tea = TEA["cuped"]
    assert found.effect == pytest.approx(tea.effect_size, rel=0.03)
    assert found.treatment - found.control == pytest.approx(found.effect)
    width = tea.effect_size_ci_upper - tea.effect_size_ci_lower
    assert found.interval[1] - found.interval[0] == pytest.approx(width, rel=0.01)
    assert found.notes[0].code == "varianceReduced"


@pytest.mark.parametrize("alternative", SIDES)
def test_proportions_are_those_of_statsmodels(alternative) -> None:
    found = compare_proportions(control=(100, 1000), treatment=(130, 1010), alternative=alternative)
    word = alternative if alternative == "two-sided" else SIDES[alternative]
    z, p = proportions_ztest([130, 100], [1010, 1000], alternative=word)
    assert (found.statistic, found.p) == pytest.approx((z, p), rel=1e-9)
    assert math.isinf(found.df)
    if alternative == "two-sided":
        wanted = confint_proportions_2indep(130, 1010, 100, 1000, method="score")
        # statsmodels' score test searches on a grid, with a factor n / (n - 1).
        assert found.interval == pytest.approx(wanted, abs=2e-4)


def test_quantiles_are_those_of_the_values() -> None:
    rng = np.random.default_rng(5)
    for size in (200, 20_000):
        one, other = rng.lognormal(0, 1, size), rng.lognormal(0.1, 1, size)
        found = compare_quantiles(one, other, 0.9)
        spread = np.quantile(np.concatenate((one, other)), [0.89, 0.91])
        for value, values in ((found.control, one), (found.treatment, other)):
            assert value == pytest.approx(np.quantile(values, 0.9), abs=np.ptp(spread) / 4)
    constant = compare_quantiles(np.full(200, 5.0), np.full(200, 5.0), 0.5)
    assert (constant.control, constant.effect, constant.rejects) == (5.0, 0.0, False)


def test_sample_sizes_are_those_of_the_references() -> None:
    # R: power.prop.test(p1 = 0.05, p2 = 0.07, power = 0.8) says n = 2212.999.
    assert sample_size_proportions(0.05, "2pp").control == 2213
    wanted = TTestIndPower().solve_power(0.25, alpha=0.01, power=0.9, alternative="larger")
    found = sample_size_means("0.5abs", sd=2.0, alpha=0.01, power=0.9, alternative="larger")
    # Student's t takes a few more than the normal approximation.
    assert 0 <= wanted - found.control < 4
    fixed, horizon, sequential = (
        sample_size_proportions(0.05, "10%", test=test).total
        for test in ("fixed", "horizon", "sequential")
    )
    assert fixed < horizon < sequential < 1.6 * fixed
    assert sample_size_proportions(0.05, "10%", alternative="less").effect == pytest.approx(-0.005)


def test_a_frame_says_what_its_columns_say() -> None:
    frame = Comparison(FRAME, variant="variant", control="old")
    before = OLD.revenue_before, NEW.revenue_before
    assert frame.means("revenue").p == pytest.approx(compare_means(OLD.revenue, NEW.revenue).p)
    assert frame.means("revenue", before="revenue_before").p == pytest.approx(
        compare_means(OLD.revenue, NEW.revenue, before=before).p
    )
    ratios = compare_ratios((OLD.orders, OLD.sessions), (NEW.orders, NEW.sessions))
    assert frame.ratios("orders", "sessions").p == pytest.approx(ratios.p)
    assert frame.quantiles("revenue", 0.9).p == pytest.approx(
        compare_quantiles(OLD.revenue, NEW.revenue, 0.9).p
    )
    bought = FRAME.assign(bought=FRAME.orders > 0)
    counts = [(int((side.orders > 0).sum()), len(side)) for side in (OLD, NEW)]
    assert Comparison(bought, variant="variant", control="old").proportions(
        "bought"
    ).p == pytest.approx(compare_proportions(control=counts[0], treatment=counts[1]).p)


def test_rows_of_a_unit_are_judged_as_the_unit() -> None:
    rng = np.random.default_rng(7)
    rows = FRAME.loc[np.repeat(FRAME.index, FRAME.sessions)].reset_index()
    rows["order"] = rng.random(len(rows)) < 0.3
    found = Comparison(rows, variant="variant", control="old", unit="index").proportions("order")
    by_user = rows.groupby(["variant", "index"]).order.agg(["sum", "size"]).reset_index()
    sides = [by_user[by_user.variant == which] for which in ("old", "new")]
    wanted = compare_ratios(*((side["sum"], side["size"]) for side in sides))
    assert found.p == pytest.approx(wanted.p)
    assert found.n == (900, 1100)


def test_public_names_hide_no_module() -> None:
    assert cuped_module.__name__ == "abctl.stats.cuped"
    assert welch.SUMMARY.__name__ == "Moments"
