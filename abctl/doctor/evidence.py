"""Can the source answer for this experiment? Asked before it has to."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from abctl.core.experiment import Experiment
from abctl.core.polls import GAP_INTERVALS, interval_seconds
from abctl.core.selector import alone
from abctl.doctor.check import Check, error, failed, ok, warning
from abctl.errors import SourceError
from abctl.evidence import logged
from abctl.evidence.absence import silences
from abctl.evidence.collected import doubts_lately
from abctl.evidence.counters.processes import scraped_twice
from abctl.evidence.counters.targets import target_of
from abctl.evidence.evidence import SKEW_SECONDS, now_and_ahead_seconds
from abctl.metrics.queries import MetricQueries
from abctl.sources import Series, Source

_RECENT_SECONDS = 600.0
# A change of the split settles in so many scrapes at least; else they mix before and after.
_SETTLED_SCRAPES = 2.0


def examine(
    experiment: Experiment, source: Source, asked: MetricQueries, *, clock: Callable[[], float]
) -> Iterator[Check]:
    """Reachable, in time, watched closely enough, kept for long enough, and nothing missing.

    Args:
        experiment: whose metrics.
        source: where the counters are.
        asked: what to ask it for.
        clock: unix seconds, by which the ledger is written.
    """
    try:
        now, ahead_seconds = now_and_ahead_seconds(source, clock)
    except SourceError as why:
        yield failed("source", why)
        return
    yield ok("source", "answers", place=source.place)
    yield _skew(ahead_seconds)
    found: dict[str, Sequence[Series]] = {}
    for name, parts in _wanted(experiment, asked):
        yield _present(f"metric {name}", parts, source, now, found)
    if (log := asked.access_log) is not None:
        parts = {name: {"n": log.requests(name)} for name in log.names}
        yield _logged(_present("access log", parts, source, now, found))
    for doubt in doubts_lately(experiment, source, asked, now):
        yield error("collector counts", doubt.code, **doubt.facts)
    for doubt in logged.doubts_lately(source, asked, now):
        yield warning("access log", doubt.code, **doubt.facts)
    every = [s for series in found.values() for s in series]
    if every:
        yield _interval(experiment, every, now)
        yield from _collisions(found)
    yield from _retention(experiment, source)


def _wanted(
    experiment: Experiment, asked: MetricQueries
) -> Iterator[tuple[str, Mapping[str, Mapping[str, str]]]]:
    """What is counted: the selectors of each part, by variant."""
    names = [variant.name for variant in experiment.variants]
    yield "requests", {name: {"n": asked.requests(name)} for name in names}
    for metric in experiment.by_counters.metrics:
        yield metric.name, {name: asked.parts(metric, name) for name in names}


def _logged(check: Check) -> Check:
    """A log that nobody counts is no error: the servers decide then."""
    if check.reason.code != "seriesMissing":
        return check
    selector = check.reason.facts["missing"][0]["selector"]
    return warning(check.name, "accessLogNotScraped", selector=selector)


def _present(
    name: str,
    by_variant: Mapping[str, Mapping[str, str]],
    source: Source,
    now: float,
    found: dict[str, Sequence[Series]],
) -> Check:
    """Whether every variant has every part of something; what was read is added to `found`."""
    missing, doubtful = list[dict[str, str]](), list[dict[str, str]]()
    for variant, parts in by_variant.items():
        for part, selector in parts.items():
            try:
                if selector not in found:
                    found[selector] = [
                        series
                        for each in alone(selector)
                        for series in source.series(each, now - _RECENT_SECONDS, now)
                    ]
            except SourceError as why:
                return failed(name, why)
            if twice := scraped_twice(found[selector], {}):
                return error(name, twice.code, **twice.facts)
            if not found[selector]:
                # A counter of events may be born with the first one.
                late = part in ("successes", "events")
                (doubtful if late else missing).append({"variant": variant, "selector": selector})
    if missing:
        return error(name, "seriesMissing", missing=missing)
    if doubtful:
        return warning(name, "noEventYet", missing=doubtful)
    count = sum(len(found[s]) for parts in by_variant.values() for s in parts.values())
    return ok(name, "seriesComplete", series_count=count)


def answering(source: Source, asked: MetricQueries, shares: Mapping[str, float]) -> Iterator[Check]:
    """Whether every variant with a share has given good answers lately, if any has.

    Args:
        source: where the counters are.
        asked: what to ask it for.
        shares: of the traffic, by variant.
    """
    try:
        silent = silences(source, asked, shares, source.now())
    except SourceError as why:
        yield failed("answers", why)
        return
    for each in silent:
        yield error("answers", each.reason.code, **each.reason.facts)
    if not silent:
        yield ok("answers", "noneSilent")


def _skew(ahead_seconds: float) -> Check:
    skew = abs(ahead_seconds)
    if skew > SKEW_SECONDS:
        return error("clock", "sourceClockApart", ahead_seconds=ahead_seconds)
    return ok("clock", "sourceClockAgrees", apart_seconds=max(skew, 0.1))


def _interval(experiment: Experiment, every: Sequence[Series], now: float) -> Check:
    interval = max(interval_seconds(series.times) for series in every)
    settle = experiment.design.settle_seconds
    if not interval:
        return warning("scrapes", "scrapedOnce")
    targets = len({target_of(series.labels) for series in every})
    age = now - max(float(series.times[-1]) for series in every)
    facts = {"targets_count": targets, "interval_seconds": interval, "age_seconds": age}
    if age > GAP_INTERVALS * interval:
        return error("scrapes", "scrapesEnded", **facts)
    if settle < _SETTLED_SCRAPES * interval:
        about = {"needed_seconds": round(_SETTLED_SCRAPES * interval, 1)}
        return warning("scrapes", "settleTooShort", about, settle_seconds=settle, **facts)
    return ok("scrapes", "scrapesRegular", **facts)


def _collisions(found: Mapping[str, Sequence[Series]]) -> Iterator[Check]:
    """Labels of the servers that labels of the targets have pushed aside."""
    moved = {k for series in found.values() for s in series for k in s.labels if "exported_" in k}
    if moved:
        yield warning("labels", "labelsHidden", labels=sorted(moved))
    else:
        yield ok("labels", "labelsKept")


def _retention(experiment: Experiment, source: Source) -> Iterator[Check]:
    kept = source.retention_seconds()
    planned = experiment.design.max_duration_seconds
    if kept is None:
        about = {"max_duration_seconds": planned}
        yield warning("retention", "retentionUnknown", about, place=source.place)
        return
    if math.isinf(kept):
        yield ok("retention", "retentionUnlimited", place=source.place)
        return
    facts = {"kept_seconds": kept, "max_duration_seconds": planned}
    if kept < planned:
        yield error("retention", "retentionTooShort", **facts)
    else:
        yield ok("retention", "retentionEnough", **facts)
