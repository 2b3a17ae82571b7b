"""Can the source answer for this experiment? Asked before it has to."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from abctl.core.experiment import Experiment
from abctl.core.polls import GAP_INTERVALS, interval_seconds
from abctl.core.time import format_duration
from abctl.doctor.check import Check, error, failed, ok, warning
from abctl.errors import SourceError
from abctl.evidence.counters.targets import refuse_doubles, target_of
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
        yield _present(name, parts, source, now, found)
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
    for metric in experiment.metrics:
        yield metric.name, {name: asked.parts(metric, name) for name in names}


def _present(
    metric: str,
    by_variant: Mapping[str, Mapping[str, str]],
    source: Source,
    now: float,
    found: dict[str, Sequence[Series]],
) -> Check:
    """Whether every variant has every part of a metric; what was read is added to `found`."""
    name = f"metric {metric}"
    missing, doubtful = list[dict[str, str]](), list[dict[str, str]]()
    for variant, parts in by_variant.items():
        for part, selector in parts.items():
            try:
                if selector not in found:
                    found[selector] = source.series(selector, now - _RECENT_SECONDS, now)
                refuse_doubles(selector, found[selector])
            except SourceError as why:
                return failed(name, why)
            if not found[selector]:
                # A counter of events may be born with the first one.
                late = part in ("successes", "events")
                (doubtful if late else missing).append({"variant": variant, "selector": selector})
    if missing:
        hint = "has it had any traffic? are the labels those of this experiment?"
        return error(name, "seriesMissing", missing=missing, hint=hint)
    if doubtful:
        hint = "does it appear with its first event? then it counts as 0"
        return warning(name, "noEventYet", missing=doubtful, hint=hint)
    count = sum(len(found[s]) for parts in by_variant.values() for s in parts.values())
    return ok(name, "seriesComplete", series_count=count)


def _skew(ahead_seconds: float) -> Check:
    skew = abs(ahead_seconds)
    if skew > SKEW_SECONDS:
        hint = "changes of the split would be misplaced: synchronize both clocks (NTP)"
        return error("clock", "sourceClockApart", ahead_seconds=ahead_seconds, hint=hint)
    return ok("clock", "sourceClockAgrees", apart_seconds=max(skew, 0.1))


def _interval(experiment: Experiment, every: Sequence[Series], now: float) -> Check:
    interval = max(interval_seconds(series.times) for series in every)
    settle = experiment.design.settle_seconds
    if not interval:
        return warning("scrapes", "scrapedOnce", hint="wait for the next scrape")
    targets = len({target_of(series.labels) for series in every})
    age = now - max(float(series.times[-1]) for series in every)
    facts = {"targets_count": targets, "interval_seconds": interval, "age_seconds": age}
    if age > GAP_INTERVALS * interval:
        hint = "is the scrape job still there, and are its targets up?"
        return error("scrapes", "scrapesEnded", hint=hint, **facts)
    if settle < _SETTLED_SCRAPES * interval:
        hint = f"design.settle: {format_duration(round(_SETTLED_SCRAPES * interval, 1))} or more"
        return warning("scrapes", "settleTooShort", hint=hint, settle_seconds=settle, **facts)
    return ok("scrapes", "scrapesRegular", **facts)


def _collisions(found: Mapping[str, Sequence[Series]]) -> Iterator[Check]:
    """Labels of the servers that labels of the targets have pushed aside."""
    moved = {k for series in found.values() for s in series for k in s.labels if "exported_" in k}
    if moved:
        hint = "honorLabels: true, or drop the target's own labels"
        yield warning("labels", "labelsHidden", labels=sorted(moved), hint=hint)
    else:
        yield ok("labels", "labelsKept")


def _retention(experiment: Experiment, source: Source) -> Iterator[Check]:
    kept = source.retention_seconds()
    planned = experiment.design.max_duration_seconds
    if kept is None:
        hint = f"the experiment may take {format_duration(planned)}"
        yield warning("retention", "retentionUnknown", place=source.place, hint=hint)
        return
    if math.isinf(kept):
        yield ok("retention", "retentionUnlimited", place=source.place)
        return
    facts = {"kept_seconds": kept, "max_duration_seconds": planned}
    if kept < planned:
        hint = "--storage.tsdb.retention.time, or a shorter maxDuration"
        yield error("retention", "retentionTooShort", hint=hint, **facts)
    else:
        yield ok("retention", "retentionEnough", **facts)
