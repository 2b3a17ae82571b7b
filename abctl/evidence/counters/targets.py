"""Which series belong together: what was scraped at once, and what was scraped twice.

The first samples of an experiment tell how often it is scraped, and what was there before.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from abctl.core.polls import interval_seconds
from abctl.errors import SourceError
from abctl.evidence.counters.increase import Counters, counters_of
from abctl.sources import Series
from abctl.sources.series import Key, joined, key_of

Target = tuple[tuple[str, str], ...]

# Labels that differ when two jobs scrape the same process.
_OF_SCRAPING = ("job", "endpoint", "service", "container", "namespace", "pod", "node")
# A sample may be missing here or there: two servers have no scrape in common.
_ODD_SCRAPES_RATIO = 0.1
_OF_REPLICA = ("prometheus", "prometheus_replica", "replica")
# The usual interval is that of the first scrapes, so that every look finds the same one.
FIRST_SECONDS = 300.0
_COMMON_INTERVAL_SECONDS = 15.0


def target_of(labels: Mapping[str, str]) -> Target:
    """What was scraped: job and instance, or, for series without, the series itself."""
    if "instance" in labels:
        return ("job", labels.get("job", "")), ("instance", labels["instance"])
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


def refuse_doubles(selector: str, found: Iterable[Series]) -> None:
    """Make sure that no process is counted twice.

    Series that follow each other are none: an address may pass on to another pod.

    Raises:
        SourceError: two series differ in nothing but who scraped them.
    """
    seen: dict[frozenset[tuple[str, str]], list[Series]] = defaultdict(list)
    ignored = {*_OF_SCRAPING, *_OF_REPLICA}
    for series in found:
        instance = series.labels.get("instance", "")
        if not instance or not len(series.times):
            continue
        alike = seen[frozenset((k, v) for k, v in series.labels.items() if k not in ignored)]
        for other in alike:
            if _overlap(other, series):
                one, two = dict(other.labels), dict(series.labels)
                different = {k for k in {*one, *two} if one.get(k) != two.get(k)}
                pairs = "; ".join(f"{k} {one.get(k)!r}, {two.get(k)!r}" for k in sorted(different))
                raise SourceError(
                    f"{instance} is scraped twice ({pairs}): {selector} would count "
                    "everything double",
                    "let only one job scrape it, or give the metric selectors with a job",
                )
        alike.append(series)


def refuse_other_scrapes(
    place: str, found: Iterable[Series], starts: Mapping[Target, Series]
) -> None:
    """Make sure that all answers are of one server's scrapes.

    Two servers behind one address scrape the same targets at other times, and who asks twice may
    get an answer of each: numerators would not fit their denominators.

    Args:
        place: of the source, for the message.
        found: counters.
        starts: `process_start_time_seconds`, which every scrape of a target has or none.

    Raises:
        SourceError: a counter was scraped when the start of its process was not.
    """
    checked: set[int] = set()  # all series of a target may share their times
    for series in found:
        known = starts.get(target_of(series.labels))
        if known is None or id(series.times) in checked:
            continue
        checked.add(id(series.times))
        times, values, scrapes = series.times, series.values, known.times
        # A zero may have been put in by the server, for the time at which a series began.
        mine = times[(times >= scrapes[0]) & (times <= scrapes[-1]) & (values > 0)]
        odd = np.count_nonzero(scrapes[np.searchsorted(scrapes, mine)] != mine)
        if odd > _ODD_SCRAPES_RATIO * len(mine):
            instance = series.labels.get("instance", "")
            raise SourceError(
                f"{place}: {instance} was scraped at other times for one answer than for another",
                "are there two servers behind that address? give the address of one of them, or of "
                "a Thanos or Mimir that merges them",
            )


def _overlap(one: Series, other: Series) -> bool:
    """Whether both were there at the same time, by more than the sample in which one ended."""
    first = max(one.times[0], other.times[0])
    last = min(one.times[-1], other.times[-1])
    inside = [np.count_nonzero((s.times >= first) & (s.times <= last)) for s in (one, other)]
    few = min(len(one.times), len(other.times)) == 1
    return bool(min(inside) > (0 if few else 1))


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
