"""When a test for one look is looked at: as the plan says, whatever is found.

The plan knows durations and effects to find, but no number of requests: that takes the variance. It
is measured once, at the shortest duration, and settles how many requests there have to be. The
planned end is the end of the poll in which the smaller variant has them, or the last one within
maxDuration. So it follows from the variance at that time and from the traffic, never from the
effect, and every look finds the same one.

Source: Wittes & Brittain (1990), doi:10.1002/sim.4780090113 (internal pilots; the error rate of the
final test is that of a size known beforehand, but for terms that vanish as the pilot grows).

How much more evidence the primaries need, judged by what there is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from sys import float_info

import numpy as np

from abctl.analysis.compare import Comparing
from abctl.core.analysis import Comparison, MetricResult
from abctl.core.experiment import Design, Experiment
from abctl.core.verdict import Size
from abctl.evidence.increments import Samples
from abctl.evidence.streams import CounterStreams
from abctl.metrics.queries import MetricQueries
from abctl.stats.estimate import Estimate
from abctl.stats.power.sizes import alpha_each, cost_of_looking
from abctl.stats.power.up_to_horizon import cost_of_horizon, planned_power


def sizes(design: Design, metrics: Sequence[MetricResult]) -> Iterator[Size]:
    """About the size that finds the mde of each primary with the planned power.

    The standard error now is half the width of the interval of the test for one look, in normal
    quantiles; its square falls with the size. So dependence between requests is in it. It is found
    as the verdict decides: one-sided, at the level that Holm's first step leaves for each claim.
    """
    primaries = [metric for metric in metrics if metric.role == "primary"]
    alpha = alpha_each(design.alpha, max(1, sum(len(m.comparisons) for m in primaries)))
    z_interval = _beyond(design.alpha / 2)
    power = planned_power(design.power, alpha)
    z_claim, z_power = _beyond(alpha), NormalDist().inv_cdf(power)
    for metric in primaries:
        for comparison in metric.comparisons:
            once = _once(comparison, metric.method)
            if metric.mde is None or once is None:
                continue
            error = (once.interval[1] - once.interval[0]) / (2 * z_interval)
            wanted = metric.mde.absolute(once.control)
            if wanted > 0:
                growth = ((z_claim + z_power) * error / wanted) ** 2
                if design.test == "sequential":
                    growth *= cost_of_looking(alpha, power, one_sided=True)[0]
                elif design.test == "horizon":
                    growth *= cost_of_horizon(alpha, power, one_sided=True)[0]
                yield Size(metric.name, comparison.treatment, growth * min(once.n), min(once.n))


def _beyond(share: float) -> float:
    """The normal quantile that a share lies above; 1 minus a small one would be 1."""
    return -NormalDist().inv_cdf(max(share, float_info.min))


def _once(comparison: Comparison, method: str) -> Estimate | None:
    """The two-sided answer of the test for one look that belongs to the method."""
    results = (comparison.effect, *(reading.result for reading in comparison.readings[:1]))
    found = results[-1] if method.endswith(("_sequence", "_horizon")) else results[0]
    return found if isinstance(found, Estimate) else None


@dataclass(frozen=True)
class Planned:
    """The planned end (unix seconds; None if it is not reached), and sizes as they stand."""

    end: float | None
    sizes: tuple[Size, ...]


def planned_end(
    experiment: Experiment, samples: Samples, asked: MetricQueries, started: float
) -> Planned | None:
    """Where a test for one look ends; None while its size cannot be known yet.

    Args:
        experiment: what is asked.
        samples: what was read.
        asked: what the source was asked for.
        started: when the experiment started (unix seconds).
    """
    design, names = experiment.design, [v.name for v in experiment.variants]
    ends, seen = samples.exposures([asked.requests(name) for name in names])
    first = int(np.searchsorted(ends, started + design.min_duration_seconds))
    latest = started + design.max_duration_seconds
    within = int(np.searchsorted(ends, latest, side="right"))
    # As long as a scrape of before may still arrive, polls may end that are not known yet.
    over = samples.now - samples.interval_seconds >= latest
    final = float(ends[within - 1]) if within and over else None
    if first >= within:
        return None if final is None else Planned(final, ())
    needed = _needed(experiment, samples.until(float(ends[first])), asked)
    if needed is None:
        return Planned(final, ())
    reached = []
    for size in needed:
        pair = seen[[0, names.index(size.treatment)]].min(axis=0)
        reached.append(size.reached * pair / max(1.0, pair[first]))
    enough = np.arange(ends.size) >= first
    for size, path in zip(needed, reached, strict=True):
        enough &= path >= size.needed
    end = next(iter(ends[:within][enough[:within]].tolist()), final)
    return Planned(
        end,
        tuple(
            replace(size, reached=float(path[-1]))
            for size, path in zip(needed, reached, strict=True)
        ),
    )


def _needed(
    experiment: Experiment, samples: Samples, asked: MetricQueries
) -> Sequence[Size] | None:
    """The size of each primary with an mde, for each treatment; None where one is not known."""
    primaries = tuple(m for m in experiment.metrics if m.role == "primary")
    only = replace(experiment, metrics=primaries)
    metrics = Comparing(only, CounterStreams(only, samples, asked)).metrics()
    found = tuple(sizes(experiment.design, metrics))
    planned = sum(len(m.comparisons) for m in metrics if m.mde is not None)
    return found if len(found) == planned else None
