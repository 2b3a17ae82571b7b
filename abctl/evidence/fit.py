"""Whether what was counted is what a metric is of."""

from collections.abc import Iterable, Mapping

import numpy as np

from abctl.core.experiment import Metric
from abctl.core.reasons import Reason
from abctl.core.selector import matures_in
from abctl.core.time import format_moment
from abctl.evidence.counters.targets import target_of
from abctl.evidence.increments import Samples
from abctl.evidence.summaries import Parts
from abctl.metrics.presets import LATENCY
from abctl.metrics.queries import MetricQueries

# A memory that begins so much later than another one is not the same.
_SAME_SECONDS = 1.0


def other_population(samples: Samples, queries: MetricQueries, name: str) -> Reason | None:
    """Why the latency of a variant is not that of its requests: it holds others' as well."""
    selector = queries.foreign(LATENCY, name)
    if selector is None or not samples.found.get(selector):
        return None
    rows = samples.rows(selector, samples.polls([selector]))
    if not (count := float(rows.total().sum())):
        return None
    facts = {"variant": name, "others_count": count, "selector": selector}
    return Reason("otherPopulation", facts)


def unfit(
    samples: Samples, queries: MetricQueries, metric: Metric, parts: Mapping[str, Parts]
) -> Reason | None:
    """Why what was counted is not what the metric is of; None if it is."""
    if metric.counted == LATENCY and not metric.selectors:
        for name in parts:
            if (mixed := other_population(samples, queries, name)) is not None:
                return mixed
    return _forgotten(samples, [each for of in parts.values() for each in of.values()])


def _forgotten(samples: Samples, selectors: Iterable[str]) -> Reason | None:
    """That a collector of such counters has begun with a new memory: what waited is not counted.

    Others than those that count when predictions are mature have no memory.
    """
    begins = [
        starts.values + matures_in(selector)
        for selector in filter(matures_in, selectors)
        for target in {target_of(each.labels) for each in samples.found.get(selector, ())}
        if (starts := samples.starts.get(target)) is not None
    ]
    if not begins:
        return None
    first, last = (float(which(np.concatenate(begins))) for which in (np.min, np.max))
    if last <= max(first + _SAME_SECONDS, samples.windows[0].start):
        return None
    return Reason("memoryLost", {"since": format_moment(last, "seconds")})
