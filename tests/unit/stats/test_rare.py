"""Intervals while events are few: sound at every look, whatever the rate does, and not endless."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from abctl.stats.bayes import posteriors
from abctl.stats.estimate import Delta, NotEstimable, Plan
from abctl.stats.methods import (
    mean_sequence,
    proportion_sequence,
    rate_sequence,
    ratio,
    ratio_sequence,
)
from abctl.stats.sequential.sequence import event_bounds
from abctl.stats.summary import Buckets, Counts, Events, Moments, Stream

POLLS = 50
EACH = np.full(POLLS, 100)
EPOCH = np.zeros(POLLS, dtype=int)
NONE = np.zeros(POLLS)
TWO = (np.arange(POLLS) < 2).astype(float)


@pytest.mark.slow
@pytest.mark.parametrize("events", [0, 1, 7, 400])
@pytest.mark.parametrize("threshold", [3.0, 8.0])
def test_the_ends_are_where_the_mixture_reaches_the_threshold(events, threshold) -> None:
    def e_value(expected):
        def ratio(z):
            # If r is the square of a standard normal z, it is Gamma(1/2, 1/2).
            poisson = stats.poisson.logpmf(events, z * z * expected)
            alone = stats.poisson.logpmf(events, expected)
            return 2.0 * math.exp(poisson - alone) * stats.norm.pdf(z)

        peak = math.sqrt(events / expected)
        return integrate.quad(ratio, 0.0, 10.0, limit=200, points=[min(peak, 9.0)])[0]

    low, high = event_bounds(events, threshold)
    assert math.log(e_value(high)) == pytest.approx(threshold, abs=1e-6)
    if low > 0.0:
        assert math.log(e_value(low)) == pytest.approx(threshold, abs=1e-6)
    assert low <= events <= high


def test_without_an_event_it_is_the_rule_of_three_and_a_little() -> None:
    low, high = event_bounds(0, math.log(20))
    assert low == 0.0
    assert math.log(20) < high < 4.2


def test_the_number_expected_is_covered_at_every_look_whatever_the_rate_does() -> None:
    rng = np.random.default_rng(5)
    rates = np.where(np.arange(POLLS) < POLLS // 2, 0.0005, 0.004)
    truth = np.cumsum(100 * rates)
    seen = np.cumsum(rng.binomial(100, rates, (300, POLLS)), axis=1)
    ends = {int(s): event_bounds(int(s), math.log(20)) for s in np.unique(seen)}
    missed = [
        any(not ends[int(s)][0] <= m <= ends[int(s)][1] for s, m in zip(run, truth, strict=True))
        for run in seen
    ]
    assert np.mean(missed) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)


def counts(s_a, s_b):
    return Stream(Counts(EACH, s_a), Counts(EACH, s_b), EPOCH)


def test_a_share_without_an_event_has_a_finite_interval_that_shrinks() -> None:
    early = Stream(Counts(EACH[:5], NONE[:5]), Counts(EACH[:5], NONE[:5]), EPOCH[:5])
    narrow = proportion_sequence.estimate(counts(NONE, NONE), Plan())
    wide = proportion_sequence.estimate(early, Plan())
    assert 0.0 < narrow.interval[1] < 0.0015
    assert narrow.interval[1] == pytest.approx(wide.interval[1] / 10)
    assert narrow.interval[0] == -narrow.interval[1]
    assert narrow.lift_interval is None


def test_shares_without_a_failure_are_mirrored() -> None:
    few = proportion_sequence.estimate(counts(NONE, TWO), Plan())
    many = proportion_sequence.estimate(counts(EACH - NONE, EACH - TWO), Plan())
    assert many.interval == pytest.approx((-few.interval[1], -few.interval[0]))


def test_rates_have_finite_intervals_too() -> None:
    found = rate_sequence.estimate(Stream(Events(NONE, EACH), Events(TWO, EACH), EPOCH), Plan())
    assert found.interval[0] == pytest.approx(-6.6 / 5000, rel=0.01)
    assert found.interval[1] < 20 / 5000


def test_users_count_not_their_requests() -> None:
    """100 requests of a user are not 100 witnesses."""
    rng = np.random.default_rng(6)
    busy = rng.integers(50, 150, 64)
    requests = np.tile(busy, (10, 1)).astype(float)
    quiet = Stream(*[Buckets(0 * requests, requests)] * 2, np.zeros(10))
    low, high = ratio_sequence.estimate(quiet, Plan()).interval
    assert low == -high
    if_requests_were_users = 6.63 / requests.sum()
    assert 10 * if_requests_were_users < high < 0.05


def test_an_event_of_a_small_epoch_may_weigh_more() -> None:
    """Bounds hold for the level over epochs that weigh differently."""
    rng = np.random.default_rng(7)
    n_a, n_b = np.array([950, 500]), np.array([50, 500])
    weights = n_a * n_b / (n_a + n_b)
    level, rise = np.array([0.004, 0.001]), np.array([0.002, 0.0])
    truth = rise[0] * weights[0] / weights.sum()
    missed = 0
    for _ in range(200):
        stream = Stream(
            Counts(n_a, rng.binomial(n_a, level)),
            Counts(n_b, rng.binomial(n_b, level + rise)),
            [0, 1],
        )
        low, high = proportion_sequence.estimate(stream, Plan()).interval
        missed += not low <= truth <= high
    assert missed <= 4


@pytest.mark.parametrize("method", [ratio, ratio_sequence])
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_users_known_from_the_time_before_the_first_shift_count_when_they_come_back(
    method, rate
) -> None:
    rng = np.random.default_rng(8)
    alone, control, treatment = (rng.poisson(3.0, (20, 64)).astype(float) for _ in range(3))
    nobody = np.zeros((20, 64))
    hits = [rng.binomial(each.astype(int), rate) for each in (alone, control, treatment)]
    before = Stream(
        Buckets(np.vstack((hits[0], hits[1])), np.vstack((alone, control))),
        Buckets(np.vstack((nobody, hits[2])), np.vstack((nobody, treatment))),
        np.repeat([0, 1], 20),
    )
    plan = Plan(alternative="less", null=Delta(0.02, relative=False))
    after = Stream(Buckets(hits[1], control), Buckets(hits[2], treatment), np.ones(20))
    assert method.estimate(before, plan) == method.estimate(after, plan)
    assert posteriors([before]) == posteriors([after])


def test_values_of_one_variant_alone_support_nothing() -> None:
    """Of the control's 505 values that are not zero, 500 are from before the first shift."""
    hits_a, hits_b = np.array([500.0, 5.0]), np.array([0.0, 100.0])
    stream = Stream(
        Moments([5000, 100], hits_a, hits_a), Moments([0, 1000], hits_b, hits_b), [0, 1]
    )
    assert isinstance(mean_sequence.estimate(stream, Plan()), NotEstimable)


def test_users_who_come_to_the_treatment_by_a_ramp_count() -> None:
    """Nobody is new to the control then: all of its users are known from before."""
    rng = np.random.default_rng(9)
    users, polls, shares = 6000, 30, np.repeat([0.1, 0.5], 15)
    bucket, point = rng.integers(64, size=users), rng.random(users)
    # None is so busy that it alone could be half a point.
    busy = rng.lognormal(sigma=0.3, size=users)
    sides = []
    for of_treatment in (False, True):
        seen = np.zeros((polls, 64))
        for poll in range(polls):
            requests = rng.poisson(0.8 * busy) * ((point < shares[poll]) == of_treatment)
            seen[poll] = np.bincount(bucket, requests, 64)
        sides.append(Buckets(0.0 * seen, seen))
    margin = Delta(0.005, relative=False)
    plan = Plan(null=margin, mde=margin, alternative="less")
    assert ratio_sequence.estimate(Stream(*sides, np.repeat([0, 1], 15)), plan).rejects
