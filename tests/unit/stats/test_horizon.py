"""A test that may be looked at at any time up to a planned information, and after it."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from abctl.stats.estimate import Delta, Estimate, Plan
from abctl.stats.methods import method as method_of
from abctl.stats.methods import proportion_sequence, rate_sequence
from abctl.stats.power.group_sequential import crossing
from abctl.stats.power.up_to_horizon import cost_of_horizon
from abctl.stats.sequential import horizon
from abctl.stats.summaries.grouped import GroupedHistogram
from abctl.stats.summary import Buckets, Counts, Events, Histogram, Moments, Stream

bursty_mean_horizon = method_of("bursty_mean_horizon")
grouped_quantile_horizon = method_of("grouped_quantile_horizon")
mean_horizon = method_of("mean_horizon")
proportion_horizon = method_of("proportion_horizon")
quantile_horizon = method_of("quantile_horizon")
rate_horizon = method_of("rate_horizon")
ratio_horizon = method_of("ratio_horizon")

MDE = Delta(0.005, relative=False)
# One-sided at 5% with 80% power, 5% against 5.5%, by the pooled formula.
FIXED = 24_603


@pytest.mark.slow
@pytest.mark.parametrize("x", [1.2, 2.05, 2.5, 3.5, 5.0])
def test_the_chance_to_cross_is_that_of_a_brownian_motion(x) -> None:
    """By numerical integration over looks that are ever nearer to one another near 0."""
    t = np.concatenate((np.geomspace(1e-6, 0.02, 60)[:-1], np.linspace(0.02, 1.0, 400)))
    upper = (x - horizon.allowance(t, x)) * t**horizon.SHAPE
    _, above = crossing(t, np.full_like(t, -math.inf), upper)
    bound = math.exp(horizon.log_chance(x))
    least = 0.985 if x > 2.0 else 0.95
    assert least * bound < above.sum() <= 1.002 * bound
    assert horizon.limit(bound) == pytest.approx(x, abs=1e-6)


@pytest.mark.parametrize("alpha", [0.05, 0.005, 1e-4, 1e-7])
@pytest.mark.parametrize("step", [1.2, 1.0, 0.9, 0.55, 0.4, 0.21, 0.08, 0.02, None])
def test_the_boundary_keeps_its_level_at_any_looks(alpha, step) -> None:
    """With the look beyond T too; `None`: looks at random."""
    rng = np.random.default_rng(11 + round(1 / alpha))
    steps = np.full(200, step) if step else rng.exponential(rng.choice([0.02, 0.1, 0.3]), 200)
    t = np.cumsum(steps)
    t = t[: int(np.argmax(t > 1.0)) + 1]
    within = t[t <= 1.0]
    x = horizon.limit(alpha)
    z = (x - horizon.allowance(within, x)) / within ** (0.5 - horizon.SHAPE)
    left = horizon.left_for_last(horizon.limit(alpha), within[-1] if within.size else 0.0)
    z = np.append(z, -stats.norm.ppf(math.exp(left)))
    _, above = crossing(t, np.full_like(t, -math.inf), z * np.sqrt(t))
    assert 0.7 * alpha < above.sum() <= 1.015 * alpha


@pytest.mark.parametrize(
    ("sequence", "summary"),
    [(proportion_sequence, Counts), (rate_sequence, lambda n, events: Events(events, n))],
    ids=["proportion", "rate"],
)
def test_events_count_as_their_epoch_weighs(sequence, summary) -> None:
    """After a canary of next to nothing three events of the control are three, not a thousand."""
    n, rare, often = np.full(6, 400.0), np.array([1.0, 0, 1, 0, 1, 0]), np.full(6, 2.0)
    canary = [100_000.0, *n], [1000.0, *rare]
    of_canary = [100.0, *n], [1.0, *often]
    epoch = [0, *np.ones(6, dtype=int)]
    found = sequence.contrasts(Stream(summary(*canary), summary(*of_canary), epoch), Plan())
    assert not found.paths.ready.any()
    alone = Stream(summary(n, often), summary(n, 2 * often), epoch[1:])
    # In one epoch they are as many as there are.
    assert sequence.contrasts(alone, Plan()).paths.ready.tolist() == [*[False] * 4, True, True]


def test_the_cost_of_looking_is_a_few_percent() -> None:
    largest, expected = cost_of_horizon()
    assert largest < 1.12
    assert expected < 0.78
    largest, expected = cost_of_horizon(one_sided=True)
    assert largest < 1.12
    assert expected < 0.78


def counts(rng, p, looks, each=200):
    n = np.full(looks, each)
    return Counts(n, rng.binomial(n, p))


def first(stream, plan):
    """The look at which it first rejects, by halving: what is proven stays proven."""
    low, high = 0, stream.epoch.size

    def rejects(look):
        polls = np.arange(stream.epoch.size) < look
        both = (side.at(polls) for side in (stream.control, stream.treatment))
        found = proportion_horizon.estimate(Stream(*both, stream.epoch[polls]), plan)
        return isinstance(found, Estimate) and found.rejects

    if not rejects(high):
        return math.inf
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if rejects(middle) else (middle, high)
    return high


@pytest.mark.slow
@pytest.mark.parametrize("alternative", ["greater", "less", "two-sided"])
def test_without_a_difference_it_errs_at_most_as_often_as_said(alternative) -> None:
    rng, plan = np.random.default_rng(1), Plan(alternative=alternative, mde=MDE)
    runs = 150
    streams = (
        Stream(counts(rng, 0.05, 300), counts(rng, 0.05, 300), np.zeros(300)) for _ in range(runs)
    )
    wrong = sum(proportion_horizon.estimate(each, plan).rejects for each in streams)
    assert stats.binom.sf(wrong - 1, runs, 0.05) > 0.01


@pytest.mark.slow
def test_power_and_size_are_nearly_those_of_one_look() -> None:
    rng = np.random.default_rng(2)
    largest, expected = cost_of_horizon(one_sided=True)
    once = (stats.norm.isf(0.05) + stats.norm.ppf(0.8)) ** 2
    plan = Plan(alternative="greater", mde=MDE, horizon=once * largest)
    looks = math.ceil(largest * FIXED / 200) + 1
    stops = []
    for _ in range(120):
        both = counts(rng, 0.05, looks), counts(rng, 0.055, looks)
        stops.append(200 * first(Stream(*both, np.zeros(looks)), plan))
    power = float(np.mean(np.isfinite(stops)))
    assert stats.binom.cdf(round(120 * power), 120, 0.8) > 0.01
    assert stats.binom.sf(round(120 * power) - 1, 120, 0.8) > 0.01
    assert float(np.minimum(stops, looks * 200).mean()) < (expected + 0.09) * FIXED


def test_beyond_the_horizon_only_the_e_process_goes_on() -> None:
    rng = np.random.default_rng(3)
    stream = Stream(counts(rng, 0.05, 900, 1000), counts(rng, 0.0525, 900, 1000), np.zeros(900))
    plan = Plan(alternative="greater", mde=MDE)
    found = proportion_horizon.estimate(stream, plan)
    ever = proportion_sequence.estimate(stream, replace(plan, alpha=0.05 * horizon.EVER_SHARE))
    assert found.log_p == pytest.approx(ever.log_p - math.log(horizon.EVER_SHARE))
    later = proportion_horizon.estimate(stream, replace(plan, horizon=100.0))
    assert later.log_p <= found.log_p


def test_one_look_at_totals_is_as_good_as_a_test_for_one_look() -> None:
    totals = Stream(Counts(5000, 250), Counts(5000, 290), 0)
    plan = Plan(alternative="greater", mde=Delta(0.02, relative=False))
    found = proportion_horizon.estimate(totals, plan)
    z = (0.058 - 0.05) / math.sqrt(0.05 * 0.95 / 5000 + 0.058 * 0.942 / 5000)
    assert found.p == pytest.approx(stats.norm.sf(z) / (1.0 - horizon.EVER_SHARE), rel=0.05)
    assert found.rejects == (found.interval[0] > 0.0)


def test_what_it_says_of_every_effect_is_one_test_turned_around() -> None:
    """The interval ends where the p value of that null is alpha, up to the last look."""
    rng = np.random.default_rng(8)
    values = [rng.normal(level, 1.0, (60, 100)) for level in (1.0, 1.1)]
    sides = (Moments(np.full(60, 100), x.sum(axis=1), (x * x).sum(axis=1)) for x in values)
    stream = Stream(*sides, np.zeros(60))
    plan = Plan(alternative="greater", mde=Delta(0.07, relative=False))
    end = mean_horizon.estimate(stream, plan).interval[0]
    for beside, rejects in ((-0.01, True), (0.01, False)):
        null = Delta(end + beside, relative=False)
        found = mean_horizon.estimate(stream, replace(plan, null=null))
        assert found.rejects == rejects
        assert (found.interval[0] > null.value) == rejects


def test_a_relative_effect_has_the_information_of_the_ratio() -> None:
    rng = np.random.default_rng(4)
    stream = Stream(counts(rng, 0.05, 100), counts(rng, 0.056, 100), np.zeros(100))
    found = [
        proportion_horizon.estimate(stream, Plan(mde=mde, alternative="greater")).log_p
        for mde in (Delta(0.1, relative=True), MDE)
    ]
    assert found[0] == pytest.approx(found[1], rel=0.2)


def test_means_and_ratios_of_users() -> None:
    rng = np.random.default_rng(5)
    values = [rng.normal(level, 1.0, (60, 100)) for level in (1.0, 1.1)]
    sides = [Moments(np.full(60, 100), x.sum(axis=1), (x * x).sum(axis=1)) for x in values]
    plan = Plan(mde=Delta(0.1, relative=True), alternative="greater")
    for method in (mean_horizon, bursty_mean_horizon):
        assert method.estimate(Stream(*sides, np.zeros(60)), plan).rejects
    requests = rng.poisson(5.0, (2, 60, 64))
    hits = [rng.binomial(n, p) for n, p in zip(requests, (0.2, 0.23), strict=True)]
    users = (Buckets(s, n) for s, n in zip(hits, requests, strict=True))
    plan = Plan(mde=Delta(0.02, relative=False), alternative="greater")
    assert ratio_horizon.estimate(Stream(*users, np.zeros(60)), plan).rejects


def test_quantiles_and_rates() -> None:
    rng = np.random.default_rng(7)
    edges = tuple(1.1 ** np.arange(30) * 0.01)
    cells = [
        np.array([np.bincount(np.searchsorted(edges, row), minlength=31) for row in values])
        for values in (rng.lognormal(-3.0, 0.5, (60, 200)), rng.lognormal(-2.9, 0.5, (60, 200)))
    ]
    plan = Plan(mde=Delta(0.1, relative=True), alternative="greater", quantile=0.5)
    stream = Stream(*(Histogram(each, edges) for each in cells), np.zeros(60))
    found = quantile_horizon.estimate(stream, plan)
    assert found.rejects
    assert found.interval[0] > 0.0
    grouped = (
        GroupedHistogram(rng.binomial(each[:, None, :], 0.5, (60, 16, 31)), edges) for each in cells
    )
    assert grouped_quantile_horizon.estimate(Stream(*grouped, np.zeros(60)), plan).rejects
    rates = [Events(rng.poisson(rate * 50.0, 60), np.full(60, 50.0)) for rate in (2.0, 2.2)]
    plan = Plan(mde=Delta(0.1, relative=False), alternative="greater")
    found = rate_horizon.estimate(Stream(*rates, np.zeros(60)), plan)
    ever = rate_sequence.estimate(Stream(*rates, np.zeros(60)), plan)
    assert found.rejects
    assert found.effect == ever.effect


def test_without_an_mde_it_is_the_sequential_test() -> None:
    rng = np.random.default_rng(6)
    stream = Stream(counts(rng, 0.05, 50), counts(rng, 0.06, 50), np.zeros(50))
    found, wanted = (
        each.estimate(stream, Plan()) for each in (proportion_horizon, proportion_sequence)
    )
    assert replace(found, method="proportion_sequence") == wanted
