"""Poisson rates against statsmodels and closed forms."""

import itertools
import math
import warnings

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.rates import confint_poisson_2indep, test_poisson_2indep

from abctl.stats.estimate import Delta, Plan
from abctl.stats.fixed.contrast import Null
from abctl.stats.methods import rate, rate_sequence
from abctl.stats.sequential.linear_e import Pairs, log_e_path
from abctl.stats.summary import Events, Stream

test_poisson_2indep.__test__ = False
DATA = [(1000.0, 50, 1100.0, 80), (1000.0, 0, 1000.0, 42), (2.5, 33, 3.5, 10)]


def stream(e_a, s_a, e_b, s_b):
    return Stream(Events(s_a, e_a), Events(s_b, e_b), np.arange(np.size(e_a)))


@pytest.mark.parametrize("data", DATA, ids=str)
@pytest.mark.parametrize("null", [0.0, 0.01, -0.02])
def test_score_test_of_the_difference(data, null) -> None:
    e_a, s_a, e_b, s_b = data
    found = rate.estimate(stream(*data), Plan(null=Delta(null, relative=False)))
    compared = {"compare": "ratio"} if null == 0.0 else {"compare": "diff", "value": null}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = test_poisson_2indep(s_b, e_b, s_a, e_a, method="score", **compared)
        low, high = confint_poisson_2indep(s_b, e_b, s_a, e_a, method="score", compare="diff")
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-9)
    assert found.interval == pytest.approx((low, high), rel=1e-5)


@pytest.mark.parametrize("ratio", [0.5, 1.2])
def test_score_test_of_the_ratio(ratio) -> None:
    e_a, s_a, e_b, s_b = DATA[0]
    plan = Plan(null=Delta(ratio - 1.0, relative=True), alternative="less")
    found = rate.estimate(stream(*DATA[0]), plan)
    options = {"method": "score", "value": ratio, "compare": "ratio", "alternative": "smaller"}
    wanted = test_poisson_2indep(s_b, e_b, s_a, e_a, **options)
    assert found.p == pytest.approx(wanted.pvalue)
    low, high = confint_poisson_2indep(s_b, e_b, s_a, e_a, method="score", compare="ratio")
    two_sided = rate.estimate(stream(*DATA[0]), Plan())
    assert two_sided.lift_interval == pytest.approx((low - 1.0, high - 1.0), rel=1e-5)


def test_no_events_at_all_say_little() -> None:
    found = rate.estimate(stream(1000.0, 0, 1000.0, 0), Plan())
    assert found.p == 1.0
    assert found.lift is None
    assert found.interval[1] == pytest.approx(critical_square() / 1000.0)


def critical_square():
    return stats.norm.ppf(0.975) ** 2


@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_the_e_value_is_the_likelihood_ratio_of_the_share_of_events(margin) -> None:
    """Of each poll's events the treatment has a binomial share."""
    e_a, e_b = np.array([10.0, 30.0]), np.array([20.0, 5.0])
    s_a, s_b = np.array([3.0, 9.0]), np.array([11.0, 2.0])
    plan = Plan(mde=Delta(0.2, relative=True), alternative="greater", prior="two-point")
    pairs = Pairs(e_a, s_a, e_b, s_b, poisson=True)
    found = log_e_path(pairs, Null(1.0 + margin, 0.0), plan)
    share = (1.0 + margin) * e_b / ((1.0 + margin) * e_b + e_a)
    tilted = np.array([_tilted(*case, margin) for case in zip(e_a, e_b, strict=True)])
    law = stats.binom
    wanted = law.logpmf(s_b, s_a + s_b, tilted) - law.logpmf(s_b, s_a + s_b, share)
    assert found == pytest.approx(np.cumsum(wanted))


def _tilted(e_a, e_b, margin):
    """The share under which the treatment's rate less its null is 0.2 times the level."""
    odds = (1.0 + margin) * e_b / e_a
    bet = 0.2 / ((1.0 + margin) + (1.0 + margin) * odds)
    share = odds / (1.0 + odds)
    return share * (1.0 + bet)


@pytest.mark.slow
@pytest.mark.parametrize("past", [(0.0, 0.0), (5.0, 1.0), (0.0, 7.0)])
@pytest.mark.parametrize("null", [Null(1.0, 0.0), Null(1.3, 0.0), Null(1.0, 0.4), Null(1.0, -0.2)])
def test_the_next_e_value_is_not_expected_to_be_larger(null, past) -> None:
    """Summed over all outcomes of a poll, whatever happened before."""
    plan = Plan(mde=Delta(0.5, relative=False), null=Delta(null.offset, relative=False))
    e_a, e_b, x = np.array([2.0, 1.0]), np.array([1.0, 3.0]), 0.4
    means = x, 3.0 * (null.ratio * x + null.offset)
    of_a, of_b = (stats.poisson.pmf(np.arange(25), mean) for mean in means)
    total = 0.0
    for outcome in itertools.product(range(25), repeat=2):
        s_a, s_b = np.array([past[0], outcome[0]]), np.array([past[1], outcome[1]])
        before, after = log_e_path(Pairs(e_a, s_a, e_b, s_b, poisson=True), null, plan)
        total += of_a[outcome[0]] * of_b[outcome[1]] * math.exp(after - before)
    assert 0.8 < total <= 1.0 + 1e-9


def test_a_poll_without_events_changes_nothing_and_never_fails() -> None:
    quiet = rate_sequence.estimate(stream([10.0] * 3, [0] * 3, [10.0] * 3, [0] * 3), Plan())
    assert quiet.p == 1.0
    assert quiet.log_e == pytest.approx(0.0)
