"""Can the source answer for this experiment? Asked before it has to."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from abctl.core.experiment import Experiment
from abctl.core.polls import GAP_INTERVALS, interval_seconds
from abctl.core.time import format_duration
from abctl.doctor.check import Check, error, ok, warning
from abctl.errors import SourceError
from abctl.evidence.counters.targets import refuse_doubles, target_of
from abctl.evidence.evidence import SKEW_SECONDS, now_and_ahead_seconds
from abctl.metrics.queries import Telemetry
from abctl.sources import Series, Source

_RECENT_SECONDS = 600.0
# A change of the split settles in so many scrapes at least; else they mix before and after.
_SETTLED_SCRAPES = 2.0


def examine(
    experiment: Experiment, source: Source, asked: Telemetry, *, clock: Callable[[], float]
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
    except SourceError as failed:
        yield error("source", failed.message, failed.hint)
        return
    yield ok("source", f"{source.place} answers")
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
    experiment: Experiment, asked: Telemetry
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
    missing, doubtful = list[str](), list[str]()
    for variant, parts in by_variant.items():
        for part, selector in parts.items():
            try:
                if selector not in found:
                    found[selector] = source.series(selector, now - _RECENT_SECONDS, now)
                refuse_doubles(selector, found[selector])
            except SourceError as failed:
                return error(name, failed.message, failed.hint)
            if not found[selector]:
                # A counter of events may be born with the first one.
                late = part in ("successes", "events")
                (doubtful if late else missing).append(f"{variant}: no series of {selector}")
    if missing:
        hint = "has it had any traffic? are the labels those of this experiment?"
        return error(name, "; ".join(missing), hint)
    if doubtful:
        return warning(
            name, "; ".join(doubtful), "does it appear with its first event? then it counts as 0"
        )
    count = sum(len(found[s]) for parts in by_variant.values() for s in parts.values())
    return ok(name, f"{count} series, every variant has them")


def _skew(ahead_seconds: float) -> Check:
    skew = abs(ahead_seconds)
    if skew > SKEW_SECONDS:
        way = "ahead of" if ahead_seconds > 0 else "behind"
        message = f"the source's is {skew:.1f} s {way} the ledger's"
        return error(
            "clock",
            message,
            "changes of the split would be misplaced: synchronize both clocks (NTP)",
        )
    return ok("clock", f"within {max(skew, 0.1):.1f} s of the ledger's")


def _interval(experiment: Experiment, every: Sequence[Series], now: float) -> Check:
    interval = max(interval_seconds(series.times) for series in every)
    settle = experiment.design.settle_seconds
    if not interval:
        return warning("scrapes", "only one scrape in ten minutes", "wait for the next scrape")
    targets = len({target_of(series.labels) for series in every})
    age = now - max(float(series.times[-1]) for series in every)
    said = f"{targets} targets, every {interval:g} s, the last one {age:.0f} s ago"
    if age > GAP_INTERVALS * interval:
        return error("scrapes", said, "is the scrape job still there, and are its targets up?")
    if settle < _SETTLED_SCRAPES * interval:
        hint = f"design.settle: {format_duration(_SETTLED_SCRAPES * interval)} or more"
        return warning("scrapes", f"{said}; settle is only {format_duration(settle)}", hint)
    return ok("scrapes", said)


def _collisions(found: Mapping[str, Sequence[Series]]) -> Iterator[Check]:
    """Labels of the servers that labels of the targets have pushed aside."""
    moved = {k for series in found.values() for s in series for k in s.labels if "exported_" in k}
    if moved:
        message = f"{', '.join(sorted(moved))}: the target sets labels that the server also sets"
        yield warning("labels", message, "honorLabels: true, or drop the target's own labels")
    else:
        yield ok("labels", "no label of a server is hidden by one of its target")


def _retention(experiment: Experiment, source: Source) -> Iterator[Check]:
    kept = source.retention_seconds()
    planned = experiment.design.max_duration_seconds
    if kept is None:
        yield warning(
            "retention",
            f"{source.place} does not say for how long it keeps samples",
            f"the experiment may take {format_duration(planned)}",
        )
    elif kept < planned:
        message = f"{format_duration(kept)}, the experiment may take {format_duration(planned)}"
        yield error("retention", message, "--storage.tsdb.retention.time, or a shorter maxDuration")
    else:
        yield ok("retention", f"{format_duration(kept)}, longer than {format_duration(planned)}")
