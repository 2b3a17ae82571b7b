"""When a test for one look is looked at: as the plan says, whatever is found.

The plan knows durations and effects to find, but no number of requests: that takes the variance. It
is measured once, at the shortest duration, and settles how many requests there have to be. The
planned end is the end of the poll in which the smaller variant has them, or the last one within
maxDuration. So it follows from the variance at that time and from the traffic, never from the
effect, and every look finds the same one.

Source: Wittes & Brittain (1990), doi:10.1002/sim.4780090113 (internal pilots; the error rate of the
final test is that of a size known beforehand, but for terms that vanish as the pilot grows).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from abctl.core.experiment import Experiment
from abctl.core.verdict import Size
from abctl.services._compare import Comparing
from abctl.services._sizes import sizes
from abctl.services.evidence import Samples
from abctl.sources._telemetry import Telemetry


@dataclass(frozen=True)
class Planned:
    """The planned end (unix seconds; None if it is not reached), and sizes as they stand."""

    end: float | None
    sizes: tuple[Size, ...]


def planned_end(
    experiment: Experiment, samples: Samples, asked: Telemetry, started: float
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


def _needed(experiment: Experiment, samples: Samples, asked: Telemetry) -> Sequence[Size] | None:
    """The size of each primary with an mde, for each treatment; None where one is not known."""
    primaries = tuple(m for m in experiment.metrics if m.role == "primary")
    metrics = Comparing(replace(experiment, metrics=primaries), samples, asked).metrics()
    found = tuple(sizes(experiment.design, metrics))
    planned = sum(len(m.comparisons) for m in metrics if m.mde is not None)
    return found if len(found) == planned else None
