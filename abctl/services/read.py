"""Reads what the counters of an experiment did, exactly, and no more of it than that takes."""

from collections.abc import Iterable, Sequence

import numpy as np

from abctl.core.polls import Window, interval_seconds
from abctl.services.evidence import Samples
from abctl.sources import Series, Source
from abctl.sources._promql import one_of
from abctl.sources._targets import Target, grouped, joined, refuse_doubles, target_of

# Samples from before a window tell where its counters stood, and which series were not there yet.
_LOOK_BACK_SECONDS = 300.0
# The usual interval is that of the first scrapes, so that every look finds the same one.
_FIRST_SECONDS = 300.0
_TARGETS_A_QUERY = 50


def read(
    source: Source, windows: Sequence[Window], selectors: Iterable[str], now: float
) -> Samples:
    """Read every selector once, and when the processes behind them started.

    Raises:
        SourceError: unreachable, refused, or the same target twice.
    """
    start = windows[0].start - _LOOK_BACK_SECONDS
    found: dict[str, Sequence[Series]] = {}
    known_until: dict[Target, float] = {}
    for selector in dict.fromkeys(selectors):
        series = source.series(selector, start, now)
        refuse_doubles(selector, series)
        found[selector] = _as_first_seen(series, known_until)
    every = [series for each in found.values() for series in each]
    starts = _of_targets(source, "process_start_time_seconds", every, start, now)
    others = [s for s in every if target_of(s.labels) not in starts]
    up = _of_targets(source, "up", others, start, now)
    scraped = {target: s.times[s.values == 1] for target, s in up.items()}
    return Samples(
        source.place,
        tuple(windows),
        now,
        _usual_interval(every, windows[0].start),
        found,
        starts,
        scraped,
    )


def _usual_interval(found: Sequence[Series], first: float) -> float:
    """Of the targets that were there at the beginning; 0 where there was none."""
    scrapes = [np.unique(np.concatenate([s.times for s in g])) for g in grouped(found).values()]
    early = [times[times <= first + _FIRST_SECONDS] for times in scrapes]
    before = [times[times <= first] for times in early]
    return max(map(interval_seconds, before), default=0.0) or max(
        map(interval_seconds, early), default=0.0
    )


def _of_targets(
    source: Source, name: str, found: Sequence[Series], start: float, end: float
) -> dict[Target, Series]:
    """A metric that every target has once."""
    instances = sorted({s.labels.get("instance", "") for s in found} - {""})
    pieces: list[Series] = []
    for at in range(0, len(instances), _TARGETS_A_QUERY):
        matcher = one_of("instance", instances[at : at + _TARGETS_A_QUERY])
        pieces += source.series(f"{name}{{{matcher}}}", start, end)
    return {target: joined(each) for target, each in grouped(pieces).items()}


def _as_first_seen(found: Sequence[Series], known_until: dict[Target, float]) -> list[Series]:
    """Cut off scrapes that arrived between two queries, which the one before could not see.

    A scrape is stored some time after the moment that it bears, as a whole. So whatever a target's
    first query has seen, later ones see as well, and numerators fit their denominators.
    """
    last: dict[Target, float] = {}
    for series in found:
        target = target_of(series.labels)
        last[target] = max(last.get(target, -np.inf), *series.times[-1:])
    for target, time in last.items():
        known_until.setdefault(target, time)
    cut = []
    for series in found:
        end = np.searchsorted(series.times, known_until[target_of(series.labels)], side="right")
        if end:
            cut.append(Series(series.labels, series.times[:end], series.values[:end]))
    return cut
