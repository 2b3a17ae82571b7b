"""Whether all of a proxy's access log was counted: lines that it dropped, a reader that began anew.

The proxy never waits for the reader: what it does not take in time is lost, of all variants alike.
"""

from collections.abc import Iterator

import numpy as np

from abctl.core.reasons import Reason
from abctl.core.selector import alone
from abctl.errors import SourceError
from abctl.evidence.increments import Samples, between
from abctl.metrics.queries import MetricQueries
from abctl.sources import Source

_RECENT_SECONDS = 600.0


def doubts(samples: Samples | None, asked: MetricQueries) -> Iterator[Reason]:
    """What is missing, in the time that counts; nothing where no log was counted."""
    log = asked.access_log
    if samples is None or log is None:
        return
    requests = [log.requests(name) for name in log.names]
    if not all(samples.found.get(selector) for selector in requests):
        return
    counted = _counted(samples, requests)
    dropped = log.dropped
    if dropped and samples.found.get(dropped) and (lost := _counted(samples, [dropped])):
        yield Reason("accessLogDropped", {"lines_count": lost, "counted_count": counted})
    first, last = samples.windows[0].start, samples.windows[-1].end
    readers = samples.scrapes(requests[0]).values()
    if anew := sum(between(each.restarts, first, last) for each in readers):
        yield Reason("accessLogRestarted", {"restarts_count": anew})


def _counted(samples: Samples, selectors: list[str]) -> float:
    polls = samples.polls(selectors)
    return float(sum(samples.rows(selector, polls).total().sum() for selector in selectors))


def doubts_lately(source: Source, asked: MetricQueries, now: float) -> tuple[Reason, ...]:
    """The same of the last ten minutes; nothing where the source does not answer."""
    log = asked.access_log
    if log is None or log.dropped is None or log.since is None:
        return ()
    start = now - _RECENT_SECONDS
    try:
        requests = [s for v in log.names for s in source.series(log.requests(v), start, now)]
        dropped = [s for each in alone(log.dropped) for s in source.series(each, start, now)]
        since = source.series(log.since, start, now)
    except SourceError:
        return ()
    lost, counted = (
        float(sum(np.maximum(np.diff(each.values), 0.0).sum() for each in every))
        for every in (dropped, requests)
    )
    anew = sum(int(np.count_nonzero(np.diff(each.values))) for each in since)
    found = []
    if lost:
        found.append(Reason("accessLogDropped", {"lines_count": lost, "counted_count": counted}))
    if anew:
        found.append(Reason("accessLogRestarted", {"restarts_count": anew}))
    return tuple(found)
