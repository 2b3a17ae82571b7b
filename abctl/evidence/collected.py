"""Whether a collector's counts can be had, and whether its memory is the first one."""

from collections.abc import Iterator, Mapping, Sequence

from abctl.core.experiment import Experiment
from abctl.core.reasons import Reason
from abctl.errors import SourceError
from abctl.metrics.queries import MetricQueries
from abctl.sources import Series, Source

_RECENT_SECONDS = 600.0


def selectors(experiment: Experiment, asked: MetricQueries) -> tuple[str, ...]:
    """What finds the reports that a collector refused as older than its memory, by variant.

    Nothing where the experiment has no collector, or other counters than its.
    """
    if not experiment.outcomes or asked.preset.lost is None:
        return ()
    found = (asked.lost(variant.name) for variant in experiment.variants)
    return tuple(selector for selector in found if selector)


def doubts(found: Mapping[str, Sequence[Series]]) -> Iterator[Reason]:
    """What is wrong, from what these selectors found; every series exists from the start."""
    if missing := [selector for selector, series in found.items() if not series]:
        yield Reason("collectorNotScraped", {"selector": missing[0]})
    last = (float(s.values[-1]) for each in found.values() for s in each if s.values.size)
    if refused := sum(last):
        yield Reason("collectorLost", {"refused_count": refused})


def doubts_lately(
    experiment: Experiment, source: Source, asked: MetricQueries, now: float
) -> tuple[Reason, ...]:
    """The same of the last ten minutes.

    Nothing where the source does not answer, or has nothing of the servers either: then the
    collector is not what is missing.
    """
    if not (wanted := selectors(experiment, asked)):
        return ()
    start = now - _RECENT_SECONDS
    try:
        if not source.series(asked.requests(experiment.control.name), start, now):
            return ()
        found = {each: source.series(each, start, now) for each in wanted}
    except SourceError:
        return ()
    return tuple(doubts(found))
