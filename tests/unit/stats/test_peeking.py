"""Error rates under constant looking, in worlds that break naive tests (short simulations)."""

import math

import numpy as np
import pytest
from scipy.signal import lfilter

from abctl.stats.estimate import Delta, Estimate, Plan
from abctl.stats.methods import (
    bursty_mean_sequence,
    histogram_sequence,
    mean_sequence,
    proportion,
    proportion_sequence,
    quantile_sequence,
    rate_sequence,
    ratio,
    ratio_sequence,
)
from abctl.stats.summary import Buckets, Counts, Events, Histogram, Moments, Stream

pytestmark = pytest.mark.slow

EDGES = tuple(0.005 * 1.5 ** np.arange(12))
RUNS, LOOKS = 200, 150
# Three standard errors above 5% of 200 runs.
AT_MOST = 0.05 + 3.0 * math.sqrt(0.05 * 0.95 / RUNS)
EPOCH = np.repeat([0, 1, 2], LOOKS // 3)
RAMP = np.array([0.05, 0.2, 0.5])[EPOCH]
DRIFT = np.linspace(0.04, 0.06, LOOKS)
MDE = Delta(0.1, relative=True)


def rejections(draw, seed, *asked):
    """How often each method rejects its plan's null: all of them see the same experiments."""
    rng, found = np.random.default_rng(seed), np.zeros(len(asked))
    for _ in range(RUNS):
        stream = draw(rng)
        answers = [method.estimate(stream, plan) for method, plan in asked]
        found += [isinstance(each, Estimate) and each.rejects for each in answers]
    return found / RUNS


def ramped(rng, effect=0.0):
    n_b = rng.binomial(200, RAMP)
    control = Counts(200 - n_b, rng.binomial(200 - n_b, DRIFT))
    return Stream(control, Counts(n_b, rng.binomial(n_b, DRIFT + effect)), EPOCH)


@pytest.mark.parametrize(
    ("effect", "plans"),
    [
        (0.0, [Plan(mde=MDE), Plan(mde=MDE, alternative="greater")]),
        (0.02, [Plan(null=Delta(0.02, False), alternative="less")]),
        (-0.01, [Plan(null=Delta(-0.01, False), alternative="greater")]),
    ],
)
def test_proportions_on_a_ramp_with_a_drift(effect, plans) -> None:
    asked = [(method, plan) for plan in plans for method in (proportion_sequence, proportion)]
    assert rejections(lambda rng: ramped(rng, effect), 1, *asked).max() <= AT_MOST


def test_one_total_on_a_ramp_with_a_drift_is_wrong() -> None:
    """The witness that this world is hard: without its epochs the same test fails."""

    def pooled(rng):
        stream = ramped(rng)
        return Stream(stream.control, stream.treatment, EPOCH * 0)

    assert rejections(pooled, 3, (proportion, Plan())) > 0.5


def test_a_canary_of_rare_events() -> None:
    n_a, n_b = np.full(LOOKS, 1900), np.full(LOOKS, 100)

    def draw(rng):
        control = Counts(n_a, rng.binomial(n_a, 0.001))
        return Stream(control, Counts(n_b, rng.binomial(n_b, 0.001)), n_a * 0)

    plan = Plan(mde=Delta(2.0, relative=True))
    assert rejections(draw, 4, (proportion_sequence, plan)) <= AT_MOST


def test_rates_on_a_ramp_with_a_drift() -> None:
    def draw(rng):
        exposure = 200.0 * RAMP
        control = Events(rng.poisson((200.0 - exposure) * DRIFT), 200.0 - exposure)
        return Stream(control, Events(rng.poisson(1.2 * exposure * DRIFT), exposure), EPOCH)

    margin = Plan(null=Delta(0.2, relative=True), alternative="less")
    assert rejections(draw, 5, (rate_sequence, margin)) <= AT_MOST


def test_means_on_a_ramp_with_a_drift() -> None:
    def draw(rng):
        sides = []
        for n in (200 - rng.binomial(200, RAMP), rng.binomial(200, RAMP)):
            values = [
                rng.exponential(20.0 * level, size) for level, size in zip(DRIFT, n, strict=True)
            ]
            sums, squares = [x.sum() for x in values], [np.square(x).sum() for x in values]
            sides.append(Moments(n, sums, squares))
        return Stream(*sides, EPOCH)

    assert rejections(draw, 6, (mean_sequence, Plan(mde=MDE))) <= AT_MOST


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.5), (0.1, 0.3, 0.5)])
def test_returning_users(shares) -> None:
    users, buckets = 2000, 32

    def draw(rng):
        level, point = rng.beta(0.2, 0.8, users), rng.random(users)
        bucket, who = rng.integers(buckets, size=users), rng.integers(users, size=(LOOKS, 100))
        treated = point[who] < np.array(shares)[EPOCH][:, None]
        cell = bucket[who] + buckets * np.arange(LOOKS)[:, None]
        success = rng.random(who.shape) < level[who]
        sides = []
        for mask in (~treated, treated):
            hits, trials = (
                np.bincount(cell[m], minlength=LOOKS * buckets).reshape(LOOKS, buckets)
                for m in (mask & success, mask)
            )
            sides.append(Buckets(hits, trials))
        return Stream(*sides, EPOCH)

    class AsRequests:
        @staticmethod
        def estimate(stream, plan):
            sides = (
                Counts(side.denominator.sum(axis=1), side.numerator.sum(axis=1))
                for side in (stream.control, stream.treatment)
            )
            return proportion.estimate(Stream(*sides, EPOCH), plan)

    *users_known, requests = rejections(
        draw, 7, (ratio_sequence, Plan(mde=MDE)), (ratio, Plan()), (AsRequests, Plan())
    )
    assert max(users_known) <= AT_MOST
    assert requests > 0.15


def test_a_canary_of_rare_events_by_buckets() -> None:
    """A small variance where there happen to be few events must not pass for proof."""

    def draw(rng):
        trials = [rng.multinomial(n, np.full(32, 1 / 32), LOOKS) for n in (1900, 100)]
        sides = (Buckets(rng.binomial(each, 0.001), each) for each in trials)
        return Stream(*sides, EPOCH)

    half = Delta(0.5, relative=True)
    plans = [Plan(mde=half), Plan(mde=half, alternative="less")]
    assert rejections(draw, 10, *((ratio_sequence, plan) for plan in plans)).max() <= AT_MOST


@pytest.mark.parametrize("kind", [Moments, Buckets, Histogram])
def test_a_canary_of_skewed_values(kind) -> None:
    """Where the mean happens to be small, so is the variance: one-sided tests suffer most."""
    sizes = (95, 5)
    edges = tuple(0.1 * 1.3 ** np.arange(30))
    bins = 32 if kind is Buckets else len(edges) + 1
    offset = np.arange(LOOKS)[:, None] * bins

    def side(rng, size):
        x = rng.lognormal(0.0, 1.5, (LOOKS, size))
        if kind is Moments:
            return Moments(np.full(LOOKS, size), x.sum(axis=1), np.square(x).sum(axis=1))
        cell = rng.integers(bins, size=x.shape) if kind is Buckets else np.searchsorted(edges, x)
        flat = (cell + offset).ravel()
        count, total = (
            np.bincount(flat, weights, LOOKS * bins).reshape(LOOKS, bins)
            for weights in (None, x.ravel())
        )
        return Buckets(total, count) if kind is Buckets else Histogram(count, edges)

    def draw(rng):
        return Stream(*(side(rng, size) for size in sizes), np.zeros(LOOKS))

    method = {Moments: mean_sequence, Buckets: ratio_sequence, Histogram: quantile_sequence}[kind]
    plan = Plan(mde=Delta(0.2, relative=True), alternative="less", quantile=0.5)
    assert rejections(draw, 11, (method, plan)) <= AT_MOST


def test_latencies_on_a_ramp_with_a_drift() -> None:
    def draw(rng):
        n_b = rng.binomial(60, RAMP)
        values = rng.lognormal(-3.0, 0.6, (LOOKS, 60)) * (20.0 * DRIFT)[:, None]
        cell = np.searchsorted(EDGES, values)
        treated = np.arange(60) < n_b[:, None]
        offset = np.arange(LOOKS)[:, None] * (len(EDGES) + 1)
        sides = (
            np.bincount((cell + offset)[mask], minlength=LOOKS * (len(EDGES) + 1))
            for mask in (~treated, treated)
        )
        a, b = (Histogram(side.reshape(LOOKS, -1), EDGES) for side in sides)
        return Stream(a, b, EPOCH)

    plan = Plan(mde=MDE, quantile=0.9)
    found = rejections(draw, 9, (histogram_sequence, plan), (quantile_sequence, plan))
    assert found.max() <= AT_MOST


@pytest.mark.parametrize("kind", [Histogram, Moments])
@pytest.mark.parametrize("alike", [0.0, 0.5])
def test_bursts_of_slow_requests_are_no_difference(alike, kind) -> None:
    """Each variant is slow for a while now and then, for one poll or for some."""

    def side(values):
        if kind is Moments:
            return Moments(np.full(LOOKS, 60), values.sum(axis=1), np.square(values).sum(axis=1))
        cell = np.searchsorted(EDGES, values) + np.arange(LOOKS)[:, None] * (len(EDGES) + 1)
        counts = np.bincount(cell.ravel(), minlength=LOOKS * (len(EDGES) + 1))
        return Histogram(counts.reshape(LOOKS, -1), EDGES)

    def draw(rng):
        sides = []
        for _ in "ab":
            fresh = rng.normal(0.0, 0.3, LOOKS)
            fresh[1:] *= math.sqrt(1.0 - alike**2)
            load = lfilter([1.0], [1.0, -alike], fresh)
            sides.append(side(rng.lognormal(-3.0 + load[:, None], 0.6, (LOOKS, 60))))
        return Stream(*sides, np.zeros(LOOKS))

    knowing, trusting = {
        Histogram: (quantile_sequence, histogram_sequence),
        Moments: (bursty_mean_sequence, mean_sequence),
    }[kind]
    plan = Plan(mde=MDE, quantile=0.9)
    knows, trusts = rejections(draw, 12, (knowing, plan), (trusting, plan))
    assert knows <= AT_MOST
    # The witness that this world is hard: what takes requests as independent fails.
    assert trusts > 0.3
