"""Which series belong together (pure): what was scraped at once, and what was scraped twice."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from abctl.errors import SourceError
from abctl.sources import Series
from abctl.sources._increase import Counters, counters_of

Target = tuple[tuple[str, str], ...]

# Labels that differ when two jobs scrape the same process.
_OF_SCRAPING = ("job", "endpoint", "service", "container", "namespace", "pod", "node")
_OF_REPLICA = ("prometheus", "prometheus_replica", "replica")


def target_of(labels: Mapping[str, str]) -> Target:
    """What was scraped: job and instance, or, for series without, the series itself."""
    names = ("job", "instance") if "instance" in labels else sorted(labels)
    return tuple((name, labels.get(name, "")) for name in names)


def grouped(found: Iterable[Series]) -> dict[Target, list[Series]]:
    """Series, target by target."""
    groups: dict[Target, list[Series]] = defaultdict(list)
    for series in found:
        groups[target_of(series.labels)].append(series)
    return {target: groups[target] for target in sorted(groups)}


def by_target(found: Iterable[Series]) -> dict[Target, Counters]:
    """Counters, target by target."""
    return {target: counters_of(series) for target, series in grouped(found).items()}


def joined(pieces: Sequence[Series]) -> Series:
    """Pieces of one series, or of series that followed each other, as one; a time counts once."""
    times, first = np.unique(np.concatenate([s.times for s in pieces]), return_index=True)
    return Series(pieces[0].labels, times, np.concatenate([s.values for s in pieces])[first])


def refuse_doubles(selector: str, found: Iterable[Series]) -> None:
    """Make sure that no process is counted twice.

    Series that follow each other are none: an address may pass on to another pod.

    Raises:
        SourceError: two series differ in nothing but who scraped them.
    """
    seen: dict[tuple[tuple[str, str], ...], list[Series]] = defaultdict(list)
    ignored = {*_OF_SCRAPING, *_OF_REPLICA}
    for series in found:
        instance = series.labels.get("instance", "")
        if not instance or not len(series.times):
            continue
        alike = seen[tuple(sorted((k, v) for k, v in series.labels.items() if k not in ignored))]
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


def _overlap(one: Series, other: Series) -> bool:
    """Whether both were there at the same time, by more than the sample in which one ended."""
    first = max(one.times[0], other.times[0])
    last = min(one.times[-1], other.times[-1])
    inside = [np.count_nonzero((s.times >= first) & (s.times <= last)) for s in (one, other)]
    few = min(len(one.times), len(other.times)) == 1
    return bool(min(inside) > (0 if few else 1))
