"""One look at the values of two variants, by the methods for one look."""

import numpy as np

from abctl.stats import cuped
from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.library import summed
from abctl.stats.methods import proportion, quantile, welch
from abctl.stats.summaries.linear import too_few_units
from abctl.stats.summaries.pairs import Pairs
from abctl.stats.summary import Array, Counts, Stream

Sides = tuple[Array, Array]
_EPOCH = np.zeros(1, dtype=np.int64)


def by_welch(sides: Sides, plan: Plan) -> Estimate | NotEstimable:
    """Two means.

    >>> found = by_welch((np.arange(50.0), np.arange(50.0) + 7.0), Plan())
    >>> round(found.effect, 4), round(found.p, 4)
    (7.0, 0.0182)
    """
    shift = float(np.concatenate(sides).mean())
    one, other = (summed.moments_of(side, shift, summed.once(side)) for side in sides)
    return welch.estimate(Stream(one, other, _EPOCH), plan)


def by_linearization(
    sides: Sides, denominators: Sides, plan: Plan, before: Sides | None = None
) -> Estimate | NotEstimable:
    """Two ratios of sums over units, from their linearizations; with a covariate, by CUPED.

    >>> one, other = np.arange(50.0), np.arange(50.0) + 7.0
    >>> round(by_linearization((one, other), (np.ones(50), np.ones(50)), Plan()).p, 4)
    0.0182
    """
    if min(side.size for side in sides) >= welch.MIN_N:
        for below in denominators:
            few = too_few_units(float(below.sum()), float(below @ below), float(below.max()))
            if few is not None:
                n = float(sides[0].size), float(sides[1].size)
                return NotEstimable("welch" if before is None else "cuped", few, n)
    return by_welch(sides, plan) if before is None else by_cuped(sides, before, plan)


def by_cuped(during: Sides, before: Sides, plan: Plan) -> Estimate | NotEstimable:
    """Two means, adjusted by a covariate of each unit."""
    y_mean, x_mean = (float(np.concatenate(two).mean()) for two in (during, before))
    one, other = (Pairs.of(y, x - x_mean, y_mean) for y, x in zip(during, before, strict=True))
    return cuped.estimate(Stream(one, other, _EPOCH), plan)


def by_score(control: Counts, treatment: Counts, plan: Plan) -> Estimate | NotEstimable:
    """Two shares."""
    return proportion.estimate(Stream(control, treatment, _EPOCH), plan)


def by_woodruff(sides: Sides, plan: Plan) -> Estimate | NotEstimable:
    """A quantile of values that are independent of each other."""
    assert plan.quantile is not None, "the plan names it"
    edges = summed.edges_of(np.concatenate(sides), plan.quantile)
    one, other = (summed.histogram_of(side, edges, summed.once(side)) for side in sides)
    return quantile.estimate(Stream(one, other, _EPOCH), plan)
