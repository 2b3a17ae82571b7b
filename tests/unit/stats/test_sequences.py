"""Confidence sequences from end to end, rebuilt from raw values with scipy and quadrature."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate, optimize, stats
from statsmodels.tsa.stattools import acovf

from abctl.stats.estimate import Delta, Plan
from abctl.stats.methods import mean_sequence, quantile_sequence, ratio_sequence
from abctl.stats.multiplicity import holm
from abctl.stats.srm import fixed, sequential
from abctl.stats.summary import Buckets, Histogram, Moments, Stream

MDE = 0.25
PLAN = Plan(mde=Delta(MDE, relative=False))
POLLS = 8


def log_e(distance, error, df=math.inf):
    """Of the mixture over half, once and twice the MDE and a normal around it, on both sides."""
    tail = stats.t.sf(abs(distance) / error, df)
    z = math.copysign(float(stats.norm.isf(tail)), distance)
    score, information = z / error, error**-2

    def ratio(h):
        return math.exp(h * score - h * h * information / 2)

    points = sum(
        weight * (ratio(size * MDE) + ratio(-size * MDE)) / 2
        for size, weight in ((0.5, 0.3), (1.0, 0.6), (2.0, 0.1))
    )
    top = score / information
    width = 12 / math.sqrt(information)
    spread, _ = integrate.quad(
        lambda h: ratio(h) * stats.norm.pdf(h, scale=MDE), top - width, top + width
    )
    return math.log(0.9 * points + 0.1 * spread)


def agree(found, values, error_of, df_of):
    """The e-value is that of the last look, and the interval ends where it would be 1 / alpha."""
    effect = values[1] - values[0]
    error, df = error_of, df_of
    assert found.effect == pytest.approx(effect)
    # Student's t is mapped to the normal one by a formula that is good to about a thousandth.
    assert found.log_e == pytest.approx(log_e(effect, error, df), rel=0.01)
    half = optimize.brentq(
        lambda d: log_e(d, error, df) - math.log(1 / 0.05), error, 12 * error, rtol=1e-6
    )
    assert found.interval == pytest.approx((effect - half, effect + half), abs=0.005 * half)


def test_means() -> None:
    """Both variants have the same variance, so that none is raised towards the pooled one."""
    rng = np.random.default_rng(1)
    x = rng.gamma(4.0, 0.5, (POLLS, 60))
    y = x[:, ::-1] + 0.4
    sides = [Moments(np.full(POLLS, 60), v.sum(1), (v * v).sum(1)) for v in (x, y)]
    found = mean_sequence.estimate(Stream(*sides, np.zeros(POLLS)), PLAN)
    welch = stats.ttest_ind(y.ravel(), x.ravel(), equal_var=False)
    effect = y.mean() - x.mean()
    agree(found, (x.mean(), y.mean()), effect / welch.statistic, welch.df)


def test_ratios() -> None:
    """Revenue per request by users, with the standard error of a delete-one jackknife."""
    rng = np.random.default_rng(2)
    buckets = 64
    requests = rng.poisson(30, (POLLS, buckets)) + 1.0
    revenue = requests * rng.gamma(4.0, 0.5, (1, buckets))
    sides = [
        Buckets(revenue, requests),
        Buckets(revenue[:, ::-1] + 0.2 * requests[:, ::-1], requests[:, ::-1]),
    ]
    found = ratio_sequence.estimate(Stream(*sides, np.zeros(POLLS)), PLAN)
    errors, values = [], []
    for side in sides:
        top, bottom = side.numerator.sum(0), side.denominator.sum(0)
        without = (top.sum() - top) / (bottom.sum() - bottom)
        values.append(top.sum() / bottom.sum())
        errors.append((buckets - 1) / buckets * np.sum((without - without.mean()) ** 2))
    agree(found, values, math.sqrt(sum(errors)), 2 * (buckets - 1))


@pytest.mark.slow
@pytest.mark.parametrize("burst", [0.0, 0.1])
def test_quantiles(burst: float) -> None:
    """With Woodruff's standard errors from order statistics instead of buckets.

    Bursts: an autoregression of polls, whose variance is taken from the values above the median.
    """
    rng = np.random.default_rng(3)
    edges = tuple(np.linspace(0.0005, 8.0, 16_000))
    n, polls = 40_000, 40
    values = rng.gamma(4.0, 0.5, (2, polls, n // polls))
    values[1] += 0.04
    load = rng.standard_normal((2, polls))
    for i in range(1, polls):
        load[:, i] = 0.5 * load[:, i - 1] + math.sqrt(0.75) * load[:, i]
    values *= np.exp(burst * load)[:, :, None]
    cells = [
        np.array([np.bincount(np.searchsorted(edges, poll), minlength=16_001) for poll in side])
        for side in values
    ]
    stream = Stream(*(Histogram(side, edges) for side in cells), np.zeros(polls))
    found = quantile_sequence.estimate(stream, replace(PLAN, quantile=0.5))
    reach = math.sqrt(0.25 / n)
    ends = np.quantile(values, [0.5 - reach, 0.5, 0.5 + reach], axis=(1, 2))
    error = math.hypot(*(ends[2] - ends[0]) / 2)
    assert found.effect == pytest.approx(ends[1, 1] - ends[1, 0], abs=0.002)
    above = (values > np.quantile(values, 0.5)).mean(axis=2)
    differences = above[1] - above[0]
    r = max(0.0, acovf(differences)[1] / acovf(differences)[0])
    r += 4 * (1 + 3 * r) / (polls - 1)
    alike = (1 + r) / (1 - r)
    effect_of_bursts = alike * np.var(differences, ddof=1) / (0.25 * 2 * polls / n)
    assert (effect_of_bursts > 10) == (burst > 0)
    error, df = error * math.sqrt(max(1.0, effect_of_bursts)), (polls - 1) / alike
    assert found.log_e == pytest.approx(log_e(found.effect, error, df), rel=0.08)
    half = optimize.brentq(lambda d: log_e(d, error, df) - math.log(20), error, 20 * error)
    assert found.interval[1] - found.interval[0] == pytest.approx(2 * half, rel=0.04)


def test_twenty_variants() -> None:
    """Nineteen treatments, one of them better, one starved of its traffic."""
    rng = np.random.default_rng(4)
    shares = np.full((50, 20), 1 / 20)
    counts = np.array([rng.multinomial(4_000, row) for row in shares])
    assert not sequential(counts, shares).mismatch
    assert not fixed(counts, shares).mismatch
    counts[:, 7] = counts[:, 7] * 8 // 10
    assert sequential(counts, shares).mismatch
    assert "variant 7" in fixed(counts, shares).reason
    values = rng.normal(3.0, 1.0, (20, POLLS, 200))
    values[13] += 0.4
    sides = [Moments(np.full(POLLS, 200), v.sum(1), (v * v).sum(1)) for v in values]
    found = [
        mean_sequence.estimate(Stream(sides[0], side, np.zeros(POLLS)), PLAN) for side in sides[1:]
    ]
    proven = np.flatnonzero(holm([each.p for each in found]) <= 0.05)
    assert proven.tolist() == [12]
