"""Worlds in which nothing differs between control and treatment, poll by poll."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from abctl.stats.estimate import Delta, Plan
from abctl.stats.summary import Buckets, Counts, Histogram, Moments, Stream

EDGES = tuple(0.001 * 1.2 ** np.arange(40))
BUCKETS = 64
TOTAL = 200


@dataclass(frozen=True)
class World:
    """One A/A experiment, the method that abctl takes for it, and what was planned.

    `looks` draws a stream of that many polls; `level` turns a histogram into what the naive rules
    compare: the share of values above the middle.
    """

    name: str
    method: str
    plan: Plan
    looks: Callable[[np.random.Generator, int], Stream]


def _even(rng, looks):
    n = np.full(looks, TOTAL // 2)
    return Stream(Counts(n, rng.binomial(n, 0.05)), Counts(n, rng.binomial(n, 0.05)), n * 0)


def _canary(rng, looks):
    n_a, n_b = np.full(looks, 1900), np.full(looks, 100)
    control = Counts(n_a, rng.binomial(n_a, 0.001))
    return Stream(control, Counts(n_b, rng.binomial(n_b, 0.001)), n_a * 0)


def _skewed(rng, looks):
    """Money: few spend much, and the canary may not yet have seen any of them."""
    sides = []
    for size in (190, 10):
        x = rng.lognormal(0.0, 1.5, (looks, size))
        sides.append(Moments(np.full(looks, size), x.sum(axis=1), np.square(x).sum(axis=1)))
    return Stream(*sides, np.zeros(looks))


def _thirds(looks):
    return np.arange(looks) * 3 // looks


def _ramp(rng, looks):
    epoch = _thirds(looks)
    n_b = rng.binomial(TOTAL, np.array([0.05, 0.2, 0.5])[epoch])
    rate = np.linspace(0.04, 0.06, looks)
    control = Counts(TOTAL - n_b, rng.binomial(TOTAL - n_b, rate))
    return Stream(control, Counts(n_b, rng.binomial(n_b, rate)), epoch)


def _users(rng, looks, shares, users=3000):
    """Users that come back, each with a rate of their own, some far more often than others."""
    epoch = _thirds(looks)
    activity = rng.gamma(0.5, size=users)
    rate = rng.beta(0.05, 0.95, size=users)
    bucket, point = rng.integers(BUCKETS, size=users), rng.random(users)
    cumulative = np.cumsum(activity / activity.sum())
    who = np.minimum(np.searchsorted(cumulative, rng.random((looks, TOTAL))), users - 1)
    treated = point[who] < np.asarray(shares)[epoch][:, None]
    success = rng.random((looks, TOTAL)) < rate[who]
    cell = bucket[who] + BUCKETS * np.arange(looks)[:, None]

    def side(mask):
        trials = np.bincount(cell[mask], minlength=looks * BUCKETS)
        hits = np.bincount(cell[mask & success], minlength=looks * BUCKETS)
        return Buckets(hits.reshape(looks, BUCKETS), trials.reshape(looks, BUCKETS))

    return Stream(side(~treated), side(treated), epoch)


def histogram(values):
    looks = values.shape[0]
    cell = np.searchsorted(EDGES, values) + (len(EDGES) + 1) * np.arange(looks)[:, None]
    counts = np.bincount(cell.ravel(), minlength=looks * (len(EDGES) + 1))
    return Histogram(counts.reshape(looks, -1), EDGES)


def lognormal(rng, size):
    return rng.lognormal(np.log(0.05), 0.6, size)


def bimodal(rng, size):
    """Hits and misses of a cache."""
    slow = rng.random(size) < 0.3
    return rng.lognormal(np.where(slow, np.log(0.2), np.log(0.02)), 0.3)


def _latency(draw, each=50):
    def looks(rng, looks):
        load = 1.0 + 0.2 * np.sin(np.arange(looks) / 50.0)[:, None]
        values = [histogram(draw(rng, (looks, each)) * load) for _ in "ab"]
        return Stream(values[0], values[1], np.zeros(looks))

    return looks


def _moments(values):
    return Moments(
        np.full(values.shape[0], values.shape[1]), values.sum(axis=1), np.square(values).sum(axis=1)
    )


def _bursts(rng, looks, each=50, summary=histogram):
    """Each variant is slow for a while now and then."""
    sides = []
    for _ in "ab":
        load = rng.normal(0.0, 0.3, looks)
        for i in range(1, looks):
            load[i] = 0.5 * load[i - 1] + 0.75**0.5 * load[i]
        sides.append(summary(lognormal(rng, (looks, each)) * np.exp(load)[:, None]))
    return Stream(*sides, np.zeros(looks))


_ABSOLUTE = Plan(mde=Delta(0.005, relative=False))
_TENTH = Plan(mde=Delta(0.1, relative=True), quantile=0.5)
WORLDS = (
    World("50/50, 5%", "proportion_sequence", _ABSOLUTE, _even),
    World("5% canary, 0.1%", "proportion_sequence", Plan(mde=Delta(2.0, relative=True)), _canary),
    World("5% canary, skewed values", "mean_sequence", Plan(mde=_TENTH.mde), _skewed),
    World("ramp 5 > 20 > 50%, drift 4 > 6%", "proportion_sequence", _ABSOLUTE, _ramp),
    World(
        "returning users",
        "ratio_sequence",
        Plan(mde=Delta(0.01, relative=False)),
        lambda rng, looks: _users(rng, looks, (0.5, 0.5, 0.5)),
    ),
    World(
        "returning users, ramp",
        "ratio_sequence",
        Plan(mde=Delta(0.01, relative=False)),
        lambda rng, looks: _users(rng, looks, (0.2, 0.35, 0.5)),
    ),
    World("latency, lognormal", "histogram_sequence", _TENTH, _latency(lognormal)),
    World("latency, bimodal", "histogram_sequence", _TENTH, _latency(bimodal)),
    World("latency, lognormal: median", "quantile_sequence", _TENTH, _latency(lognormal)),
    World("latency, bursts: median", "quantile_sequence", _TENTH, _bursts),
    World(
        "latency, bursts: mean", "bursty_mean_sequence", _TENTH, partial(_bursts, summary=_moments)
    ),
)
