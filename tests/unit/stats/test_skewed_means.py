"""Means of skewed values, one side at a time: the claims that decide are one-sided."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from abctl.stats.estimate import Delta, Estimate, NotEstimable, Plan
from abctl.stats.methods import mean_sequence
from abctl.stats.sequential.horizon import _Looks
from abctl.stats.sequential.sequence import Contrasts
from abctl.stats.sequential.skewness import tamed, untamed
from abctl.stats.summaries.moments import moment_paths
from abctl.stats.summaries.thirds import third_moments
from abctl.stats.summary import Moments, Stream

pytestmark = pytest.mark.slow

SIDES = ("less", "greater", "two-sided")


def moments(values):
    n = np.full(values.shape[0], values.shape[1])
    return Moments(n, values.sum(axis=1), np.square(values).sum(axis=1))


@pytest.mark.parametrize(("sigma", "sizes"), [(1.5, (190, 10)), (1.2, (100, 100))])
def test_each_side_holds_its_level(sigma, sizes) -> None:
    rng = np.random.default_rng(1)
    runs, wrong = 150, np.zeros(3, dtype=int)
    plans = [Plan(alternative=side, mde=Delta(0.1, relative=True)) for side in SIDES]
    for _ in range(runs):
        both = (moments(rng.lognormal(0.0, sigma, (1000, size))) for size in sizes)
        stream = Stream(*both, np.zeros(1000))
        wrong += [mean_sequence.estimate(stream, plan).rejects for plan in plans]
    assert stats.binom.sf(wrong - 1, runs, 0.05).min() > 0.01 / 3, wrong


def test_the_skewness_is_that_of_the_values() -> None:
    rng = np.random.default_rng(2)
    values = 5.0 + rng.gamma(2.0, size=(400, 50))
    side = moments(values)
    stream = Stream(side, side, np.zeros(400))
    paths = moment_paths(stream)
    third, _ = third_moments(stream, (paths.var_a, paths.var_b))
    found = third[-1] / paths.var_a[-1] ** 1.5 * values.size**0.5
    assert found == pytest.approx(stats.skew(values.ravel()), rel=0.15)


def test_how_well_the_variance_is_known_is_that_of_the_values() -> None:
    """Against how much it differs from one experiment to the next."""
    rng = np.random.default_rng(6)
    variances, doubts = [], []
    for _ in range(200):
        both = (moments(rng.gamma(0.5, size=(40, size))) for size in (50, 25))
        paths = found(Stream(*both, np.zeros(40)))
        variances.append(paths.var_a[-1] + paths.var_b[-1])
        doubts.append(paths.doubt[-1])
    assert np.median(doubts) == pytest.approx(np.std(variances) / np.mean(variances), rel=0.2)


def test_a_variance_that_is_little_known_does_not_end_an_experiment_early() -> None:
    """The planned size of few large values is larger, that of many alike the usual one."""
    rng = np.random.default_rng(7)
    longer = {}
    for sigma, mde in ((0.1, 0.005), (1.2, 0.1)):
        plan = Plan(mde=Delta(mde, relative=True))
        both = [moments(rng.lognormal(0.0, sigma, (40, 125))) for _ in "ab"]
        paths = found(Stream(*both, np.zeros(40)))
        known = replace(paths, doubt=None)
        # The last look that both have: how much less of the planned size is over.
        mine, usual = (_Looks.of(each, plan).reached for each in (paths, known))
        longer[sigma] = usual[: mine.size][-1] / mine[: usual.size][-1]
    assert 1.0 < longer[0.1] < 1.04
    assert longer[1.2] > 1.04


def found(stream):
    contrasts = mean_sequence.contrasts(stream, Plan())
    assert isinstance(contrasts, Contrasts)
    return contrasts.paths


def test_drift_is_not_taken_for_skewness() -> None:
    rng = np.random.default_rng(3)
    level = 100.0 + 20.0 * np.sin(np.arange(400) / 20.0)
    side = moments(rng.normal(level[:, None], 10.0, (400, 500)))
    paths = moment_paths(Stream(side, moments(rng.normal(100.0, 10.0, (400, 500))), np.zeros(400)))
    assert abs(paths.skewness()[-1]) < 0.05


def test_taming_and_its_inverse() -> None:
    for kappa in (-0.8, -0.1, 0.0, 0.3):
        below, above = untamed(2.5, kappa)
        t = np.array([-below, above])
        assert np.abs(tamed(t, np.full(2, kappa))) == pytest.approx([2.5, 2.5])
        assert min(below, above) == pytest.approx(2.5)


def test_hall_brings_a_studentized_mean_back() -> None:
    rng = np.random.default_rng(4)
    values = rng.gamma(0.5, size=(40_000, 60)) - 0.5
    t = values.mean(axis=1) / values.std(axis=1, ddof=1) * 60**0.5
    kappa = np.full(t.size, 2.0 / 0.5**0.5 / 60**0.5)
    plain, brought = (float(np.mean(each < -2.3263)) for each in (t, tamed(t, kappa)))
    assert plain > 0.04
    assert brought < 0.02


@pytest.mark.parametrize("shift", [0.0, 3.0, -50.0])
def test_the_burn_in_does_not_depend_on_where_zero_is(shift) -> None:
    rng = np.random.default_rng(5)
    sides = (moments(rng.normal(shift, 1.0, (10, 30))) for _ in "ab")
    assert isinstance(mean_sequence.estimate(Stream(*sides, np.zeros(10)), Plan()), Estimate)


def test_rare_values_are_still_no_law_whatever_their_sign() -> None:
    values = np.zeros((10, 100))
    values[3, 0], values[6, 1], values[8, 2] = 50.0, -40.0, 45.0
    stream = Stream(moments(values), moments(values[::-1]), np.zeros(10))
    assert isinstance(mean_sequence.estimate(stream, Plan()), NotEstimable)
