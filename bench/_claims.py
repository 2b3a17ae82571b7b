"""Error rates of every claim that decides: one side at a time, at its margin too.

A cell is a world, a method and a side. Cells are judged as a table: one fails where
P(Binomial(runs, level) >= wrong) < 0.01 / number of cells. Beside it stands in how many experiments
there was no answer at the end.
"""

from dataclasses import dataclass, replace

import numpy as np
from _worlds import BUCKETS, EDGES, TOTAL, WORLDS, World, lognormal
from scipy.stats import binom

from abctl.stats import methods
from abctl.stats.estimate import Delta, Estimate, Plan
from abctl.stats.summaries.grouped import GroupedHistogram
from abctl.stats.summary import Buckets, Counts, Events, Moments, Stream

LEVEL = 0.05
SIDES = ("greater", "less", "two-sided")
GROUPS = 16


def _sparse(rng, looks):
    """Revenue in cents of the few who buy; a tenth sees the treatment."""
    sides = []
    for size in (180, 20):
        buyers = rng.binomial(size, 0.05, looks)
        cents = np.rint(100.0 * rng.lognormal(3.0, 1.0, buyers.sum()))
        poll = np.repeat(np.arange(looks), buyers)
        sums = (np.bincount(poll, cents**power, looks) for power in (1, 2))
        sides.append(Moments(np.full(looks, size), *sums))
    return Stream(*sides, np.zeros(looks))


def _pareto(rng, looks, users=2000):
    """Users of whom some come far more often than others, each with a rate of their own."""
    who, treated, bucket, rate = _visits(rng, looks, users)
    return _by_bucket(bucket[who], treated[who], rng.random(who.shape) < rate[who])


def _broken_clients(rng, looks, users=2000):
    """Ten clients are broken, in either variant: all that they send fails, and they send much."""
    who, treated, bucket, _ = _visits(rng, looks, users)
    broken = np.isin(who, rng.choice(users, 10, replace=False))
    return _by_bucket(bucket[who], treated[who], broken)


def _by_bucket(bucket, treated, hits):
    """Hits over requests, from the bucket of each request of each look, and its variant."""
    looks = len(bucket)
    cell = bucket + BUCKETS * np.arange(looks)[:, None]
    sides = []
    for side in (0, 1):
        mask = treated == side
        counts = (np.bincount(cell[m], minlength=BUCKETS * looks) for m in (mask & hits, mask))
        sides.append(Buckets(*(c.reshape(looks, BUCKETS) for c in counts)))
    return Stream(*sides, np.zeros(looks))


def _own_latency(rng, looks, users=2000):
    """Users with a latency of their own, counted by 16 groups."""
    who, treated, bucket, _ = _visits(rng, looks, users)
    slow = rng.normal(0.0, 0.4, users)
    values = lognormal(rng, who.shape) * np.exp(slow[who])
    cells = len(EDGES) + 1
    at = np.searchsorted(EDGES, values) + cells * (
        bucket[who] % GROUPS + GROUPS * np.arange(looks)[:, None]
    )
    sides = []
    for side in (0, 1):
        counts = np.bincount(at[treated[who] == side], minlength=cells * GROUPS * looks)
        sides.append(GroupedHistogram(counts.reshape(looks, GROUPS, cells), EDGES))
    return Stream(*sides, np.zeros(looks))


def _visits(rng, looks, users):
    """Who comes, and of each user whether treated, the bucket, and a rate."""
    activity = rng.pareto(1.5, users) + 0.1
    who = rng.choice(users, (looks, TOTAL), p=activity / activity.sum())
    bucket = rng.integers(BUCKETS, size=users)
    return who, rng.integers(2, size=users), bucket, rng.beta(0.5, 9.5, users)


def _at_margin(rng, looks):
    """The treatment errs half a point more often: exactly its margin."""
    n = np.full(looks, 100)
    return Stream(Counts(n, rng.binomial(n, 0.02)), Counts(n, rng.binomial(n, 0.025)), n * 0)


def _means_at_margin(rng, looks):
    """Skewed values, the treatment a tenth more: exactly its margin."""
    sides = []
    for level in (1.0, 1.1):
        x = level * rng.lognormal(0.0, 1.2, (looks, 100))
        sides.append(Moments(np.full(looks, 100), x.sum(axis=1), np.square(x).sum(axis=1)))
    return Stream(*sides, np.zeros(looks))


def _rates(rng, looks):
    """Events of a rate that drifts."""
    rate = 2.0 + np.sin(np.arange(looks) / 30.0)
    sides = [Events(rng.poisson(rate * 5.0), np.full(looks, 5.0)) for _ in "ab"]
    return Stream(*sides, np.zeros(looks))


_TENTH, _HALF = Delta(0.1, relative=True), Delta(0.005, relative=False)
_POINT = Delta(0.01, relative=False)
NEW = (
    World("sparse revenue in cents", "mean_sequence", Plan(mde=_TENTH), _sparse),
    World("Pareto users", "ratio_sequence", Plan(mde=_POINT), _pareto),
    World("ten broken clients", "ratio_sequence", Plan(mde=_POINT), _broken_clients),
    World(
        "ten broken clients, margin",
        "ratio_sequence",
        Plan(mde=_POINT, null=_POINT),
        lambda rng, looks: _shifted(_broken_clients(rng, looks), rng, 0.01),
    ),
    World(
        "users with a latency of their own",
        "grouped_quantile_sequence",
        Plan(mde=_TENTH, quantile=0.5),
        _own_latency,
    ),
    World("rates that drift", "rate_sequence", Plan(mde=_TENTH), _rates),
    World("at the margin", "proportion_sequence", Plan(mde=_HALF, null=_HALF), _at_margin),
    World(
        "skewed values at the margin",
        "mean_sequence",
        Plan(mde=_TENTH, null=_TENTH),
        _means_at_margin,
    ),
)


def _shifted(stream, rng, by):
    """The same, where the treatment fails so much more often, by requests of all."""
    side = stream.treatment
    fresh = rng.binomial((side.denominator - side.numerator).astype(int), by)
    return replace(stream, treatment=Buckets(side.numerator + fresh, side.denominator))


@dataclass
class Cell:
    """What was seen in one world, of one method, on one side."""

    world: str
    method: str
    side: str
    runs: int = 0
    wrong: int = 0
    silent: int = 0

    @property
    def chance(self) -> float:
        """To be wrong as often or more often, if it errs at its level."""
        return float(binom.sf(self.wrong - 1, self.runs, LEVEL))


def methods_of(world):
    """The sequential method, and the one up to a horizon, where there is one."""
    other = world.method.replace("_sequence", "_horizon")
    return (world.method, other) if other in methods.names() else (world.method,)


def cells_of(world, rng, runs, looks, sides=SIDES):
    """The cells of a world, each after so many experiments."""
    found = {(m, s): Cell(world.name, m, s) for m in methods_of(world) for s in sides}
    for _ in range(runs):
        stream = world.looks(rng, looks)
        for (method, side), cell in found.items():
            judge = methods.method(method).estimate
            result = judge(stream, replace(world.plan, alternative=side))
            cell.runs += 1
            cell.silent += not isinstance(result, Estimate)
            cell.wrong += isinstance(result, Estimate) and result.rejects
    return list(found.values())


ALL = (*WORLDS, *NEW)
CELLS = sum(len(methods_of(world)) * len(SIDES) for world in ALL)
