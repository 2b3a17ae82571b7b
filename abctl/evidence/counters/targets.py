"""Which series belong together, as they were scraped at once.

The first samples of an experiment tell how often it is scraped, and what was there before.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile

import numpy as np

from abctl.core.polls import interval_seconds
from abctl.core.reasons import Reason
from abctl.core.selector import MATURES_IN
from abctl.evidence.counters.increase import Array, Counters, counters_of
from abctl.sources import Series
from abctl.sources.series import Key, joined, key_of

Target = tuple[tuple[str, str], ...]

# A sample may be missing here or there: two servers have no scrape in common.
_ODD_SCRAPES_RATIO = 0.1
# The usual interval is that of the first scrapes, so that every look finds the same one.
FIRST_SECONDS = 300.0
_COMMON_INTERVAL_SECONDS = 15.0


def target_of(labels: Mapping[str, str]) -> Target:
    """What was scraped: job and instance, or, for series without, the series itself.

    Counters that were moved in time are as if scraped at other times, so they are apart.
    """
    if "instance" in labels:
        moved = [(MATURES_IN, labels[MATURES_IN])] if MATURES_IN in labels else []
        return ("job", labels.get("job", "")), ("instance", labels["instance"]), *moved
    return tuple(sorted(labels.items()))


def grouped(found: Iterable[Series]) -> dict[Target, list[Series]]:
    """Series, target by target."""
    groups: dict[Target, list[Series]] = defaultdict(list)
    for series in found:
        groups[target_of(series.labels)].append(series)
    return {target: groups[target] for target in sorted(groups)}


def by_target(found: Iterable[Series]) -> dict[Target, Counters]:
    """Counters, target by target."""
    return {target: counters_of(series) for target, series in grouped(found).items()}


def written_before(found: Mapping[str, Iterable[Series]]) -> dict[Target, Array]:
    """Of series without an instance, when others were written before they were there themselves.

    Those are of one selector, so of one variant, or have the same labels but for their name; and
    they have a sample at the moment at which the one appeared.

    Args:
        found: the series of each selector.
    """
    groups: dict[object, dict[Target, Series]] = defaultdict(dict)
    for selector, every in found.items():
        for series in every:
            if "instance" not in series.labels and len(series.times):
                named = {k: v for k, v in series.labels.items() if k != "__name__"}
                for group in (selector, frozenset(named.items())):
                    groups[group][target_of(series.labels)] = series
    before: dict[Target, Array] = {}
    for together in groups.values():
        elders = sorted(together.values(), key=lambda each: float(each.times[0]))
        for target, series in together.items():
            first = series.times[0]
            older = takewhile(lambda each: each.times[0] < first, elders)  # noqa: B023 - used at once
            elder = next((each for each in older if first in each.times), None)
            if elder is not None and target not in before:
                before[target] = elder.times[elder.times < first]
    return before


def other_scrapes(found: Iterable[Series], starts: Mapping[Target, Series]) -> Reason | None:
    """Why counters are not of the scrapes that tell of their processes; None where they are.

    Two servers behind one address scrape the same targets at other times, and who asks twice may
    get an answer of each: numerators would not fit their denominators. Where starts are missing
    in scrapes, nobody knows which of these a restart came before.

    Args:
        found: the series of a selector.
        starts: `process_start_time_seconds` of their targets, where they have it.
    """
    checked: set[int] = set()  # all series of a target may share their times
    for series in found:
        known = starts.get(target_of(series.labels))
        if known is None or not known.times.size or id(series.times) in checked:
            continue
        checked.add(id(series.times))
        times, values, scrapes = series.times, series.values, known.times
        # A zero may have been put in by the server, for the time at which a series began.
        mine = times[(times >= scrapes[0]) & (times <= scrapes[-1]) & (values > 0)]
        odd = np.count_nonzero(scrapes[np.searchsorted(scrapes, mine)] != mine)
        if odd > _ODD_SCRAPES_RATIO * len(mine):
            return Reason("otherScrapes", {"instance": series.labels.get("instance", "")})
    return None


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
