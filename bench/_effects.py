"""What is found of effects of a quarter, half, once and twice the planned one, and how surely.

Each world ends about where the test up to a horizon does, one-sided at 5% with 80% power. A cell is
a world, a method and an effect. It fails where P(Binomial(runs, floor) <= found) < 0.01 / cells.
The floors are a little under what is expected of large samples; skewed values have a fifth more
than these, and quantiles are judged beside bursts, which takes some power while polls are few.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from _worlds import BUCKETS, EDGES
from scipy.stats import binom

from abctl.stats import methods
from abctl.stats.estimate import Delta, Estimate, Plan
from abctl.stats.summary import Buckets, Counts, Events, Histogram, Moments, Stream, Summary

TIMES = (0.25, 0.5, 1.0, 2.0)
LOOKS = 60
# Power to find each of them.
HORIZON, SEQUENCE = (0.05, 0.22, 0.7, 0.93), (0.02, 0.1, 0.5, 0.93)
BESIDE_BURSTS = (0.02, 0.06, 0.35, 0.9)
METHODS = ("horizon", "sequence")


@dataclass(frozen=True)
class Effect:
    """A world in which the treatment differs by a multiple of the planned effect.

    `side(rng, looks, times)` draws a variant, of the effect times so much; 0 is the control.
    """

    name: str
    kind: str
    plan: Plan
    side: Callable[[np.random.Generator, int, float], Summary]
    bursts: bool = False

    def floor(self, method: str, index: int) -> float:
        """The least power of a method to find one of the effects."""
        if self.bursts:
            return BESIDE_BURSTS[index]
        return (HORIZON if method == "horizon" else SEQUENCE)[index]


@dataclass(frozen=True)
class Cell:
    """What was found in one world, by one method, of one effect."""

    world: str
    method: str
    times: float
    floor: float
    runs: int
    found: int
    silent: int

    @property
    def chance(self) -> float:
        """To find it so rarely, if the power is the floor."""
        return float(binom.cdf(self.found, self.runs, self.floor))


def _shares(rng, looks, times):
    n = np.full(looks, 120)
    return Counts(n, rng.binomial(n, 0.05 + 0.01 * times))


def _money(rng, looks, times, each=52):
    x = (1.0 + 0.1 * times) * rng.lognormal(0.0, 1.0, (looks, each))
    return Moments(np.full(looks, each), x.sum(axis=1), np.square(x).sum(axis=1))


def _users(rng, looks, times, each=16):
    """New users of every poll, some with more requests, each with a rate of their own."""
    requests = 1 + rng.poisson(4.0, (looks, each))
    rate = np.minimum(rng.beta(1.0, 9.0, requests.shape) + 0.02 * times, 1.0)
    cell = rng.integers(BUCKETS, size=requests.shape) + BUCKETS * np.arange(looks)[:, None]
    sums = (
        np.bincount(cell.ravel(), x.ravel(), BUCKETS * looks).reshape(looks, BUCKETS)
        for x in (rng.binomial(requests, rate), requests)
    )
    return Buckets(*sums)


def _rates(rng, looks, times):
    exposure = np.full(looks, 12.5)
    return Events(rng.poisson(2.0 * (1.0 + 0.1 * times) * exposure), exposure)


def _latency(rng, looks, times, each=15):
    seconds = 0.05 * (1.0 + 0.1 * times) * rng.lognormal(0.0, 0.6, (looks, each))
    cells = len(EDGES) + 1
    at = np.searchsorted(EDGES, seconds) + cells * np.arange(looks)[:, None]
    counts = np.bincount(at.ravel(), minlength=cells * looks)
    return Histogram(counts.reshape(looks, cells), EDGES)


def _plan(mde, *, relative):
    return Plan(
        mde=Delta(mde, relative=relative),
        alternative="greater",
        quantile=0.5,
    )


EFFECTS = (
    Effect("5% > 6%", "proportion", _plan(0.01, relative=False), _shares),
    Effect("skewed values, 10%", "mean", _plan(0.1, relative=True), _money),
    Effect("users' requests, 10% > 12%", "ratio", _plan(0.02, relative=False), _users),
    Effect("events, 10% more", "rate", _plan(0.1, relative=True), _rates),
    Effect("median latency, 10% more", "quantile", _plan(0.1, relative=True), _latency, True),
)
CELLS = len(EFFECTS) * len(METHODS) * len(TIMES)


def cells_of(world: Effect, rng: np.random.Generator, runs: int) -> Iterator[Cell]:
    """The cells of a world, each after so many experiments."""
    for index, times in enumerate(TIMES):
        drawn = [
            Stream(world.side(rng, LOOKS, 0.0), world.side(rng, LOOKS, times), np.zeros(LOOKS))
            for _ in range(runs)
        ]
        for method in METHODS:
            judge = methods.method(f"{world.kind}_{method}").estimate
            results = [judge(stream, world.plan) for stream in drawn]
            estimates = [each for each in results if isinstance(each, Estimate)]
            found = sum(each.rejects for each in estimates)
            silent = runs - len(estimates)
            floor = world.floor(method, index)
            yield Cell(world.name, f"{world.kind}_{method}", times, floor, runs, found, silent)
