"""Of which answers an outcome was reported, and how soon: streams that say whom to trust."""

from collections.abc import Iterator
from typing import Any

from abctl.core.experiment import Experiment, Metric
from abctl.core.reasons import Reason
from abctl.evidence.increments import MissingError, Samples
from abctl.evidence.summaries import as_ratio, summarize
from abctl.metrics.queries import MetricQueries
from abctl.stats.summaries.grouped import GroupedHistogram
from abctl.stats.summary import Stream

# The control and a treatment; or why there is nothing to compare.
Pair = Stream[Any] | Reason


def reported(
    experiment: Experiment,
    telemetry: MetricQueries,
    samples: Samples | None,
    metric: Metric,
    treatment: str,
) -> Pair | None:
    """Reports of an outcome over answers, by bucket; None where one of both is not counted.

    Args:
        experiment: whose variants.
        telemetry: what the source was asked for.
        samples: what was read, up to when the metric is mature.
        metric: what is made of the outcome.
        treatment: with the control.
    """
    parts = [telemetry.reports(metric, name) for name in (experiment.control.name, treatment)]
    selectors = [selector for each in parts if each for selector in each.values()]
    if samples is None or not all(samples.found.get(each) for each in selectors):
        return None
    polls = samples.polls(selectors)
    buckets = experiment.assignment.buckets
    try:
        both = [
            summarize("rate", samples, as_ratio(each), polls, buckets=buckets)
            for each in parts
            if each
        ]
    except MissingError as missing:
        return missing.why
    return Stream(both[0], both[1], polls.epoch[polls.counted]) if both else None


def ages(
    experiment: Experiment,
    telemetry: MetricQueries,
    samples: Samples | None,
    metric: Metric,
    treatment: str,
) -> Iterator[tuple[bool, Stream[GroupedHistogram]]]:
    """How old predictions were when they were reported on, of hits and of misses.

    Nothing where that is not counted. The arguments are those of `reported`.
    """
    names = (experiment.control.name, treatment)
    for hit in (True, False):
        parts = [p for name in names if (p := telemetry.ages(metric, name, hit=hit))]
        selectors = [selector for each in parts for selector in each.values()]
        if not selectors or samples is None or not all(map(samples.found.get, selectors)):
            continue
        polls, buckets = samples.polls(selectors), experiment.assignment.buckets
        try:
            both: list[Any] = [
                summarize("quantile", samples, each, polls, buckets=buckets) for each in parts
            ]
        except MissingError:
            continue
        yield hit, Stream(both[0], both[1], polls.epoch[polls.counted])
