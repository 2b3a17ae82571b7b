"""What is made of the first samples of an experiment (pure)."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from abctl.core.polls import interval_seconds
from abctl.sources import Series
from abctl.sources._matrix import Key, key_of
from abctl.sources._targets import Target, grouped, joined, target_of

# The usual interval is that of the first scrapes, so that every look finds the same one.
FIRST_SECONDS = 300.0
_COMMON_INTERVAL_SECONDS = 15.0


def whole_series(pieces: Sequence[Series]) -> list[Series]:
    """Pieces of series, put together."""
    whole: dict[Key, list[Series]] = defaultdict(list)
    for each in pieces:
        whole[key_of(each.labels)].append(each)
    return [joined(each) for each in whole.values()]


def usual_interval(found: Sequence[Series], first: float) -> float:
    """Of the targets that were there at the beginning; a common one where there was none."""
    scrapes = [np.unique(np.concatenate([s.times for s in g])) for g in grouped(found).values()]
    early = [times[times <= first + FIRST_SECONDS] for times in scrapes]
    before = [times[times <= first] for times in early]
    return (
        max(map(interval_seconds, before), default=0.0)
        or max(map(interval_seconds, early), default=0.0)
        or _COMMON_INTERVAL_SECONDS
    )


def as_first_seen(found: Sequence[Series], known_until: dict[Target, float]) -> list[Series]:
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
