"""Which series are of one process: scraped twice, or renamed while it went on (pure)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from abctl.core.reasons import Reason
from abctl.evidence.counters.increase import SAME_START_SECONDS
from abctl.evidence.counters.targets import Target, target_of
from abctl.sources import Series

# Labels that differ when two jobs, or two servers, scrape the same process.
_OF_SCRAPING = ("job", "endpoint", "service", "container", "namespace", "pod", "node")
_OF_REPLICA = ("prometheus", "prometheus_replica", "replica")
_IGNORED = frozenset((*_OF_SCRAPING, *_OF_REPLICA))
# A process says when it started to a hundredth of a second, which no two of them share.
_SAME_PROCESS_SECONDS = 0.02
# With less than that two counters may be alike by chance.
_GROWTH = 10.0
# As long as a scrape takes at most, and the share of scrapes that fall into bursts.
_SCRAPE_SECONDS, _BURSTS = 0.1, 0.1


def scraped_twice(found: Iterable[Series], starts: Mapping[Target, Series]) -> Reason | None:
    """Why the series of a selector would count a process twice; None where they do not.

    Two series are of one process if they differ in nothing but who scraped them. At two addresses
    they are, if the process of both started at the same moment (or, where that is not known, if
    they have the same host), and one never has less than the other had before.

    Series that follow each other are not counted twice: an address may pass on to another pod.

    Args:
        found: the series.
        starts: `process_start_time_seconds` of their targets, where they have it.
    """
    alike: dict[frozenset[tuple[str, str]], list[Series]] = defaultdict(list)
    for series in found:
        if series.labels.get("instance") and len(series.times):
            own = ((k, v) for k, v in series.labels.items() if k not in _IGNORED)
            alike[frozenset(each for each in own if each[0] != "instance")].append(series)
    apart: dict[tuple[Target, Target], list[tuple[Series, Series]]] = defaultdict(list)
    for group in alike.values():
        for one, two in _near(group, starts):
            if one.labels["instance"] == two.labels["instance"]:
                if _overlap(one, two):
                    return _twice(one, two)
            else:
                apart[target_of(one.labels), target_of(two.labels)].append((one, two))
    for pairs in apart.values():
        if _same_counts(pairs):
            return _twice(*pairs[0])
    return None


def of_callers(found: Sequence[Series]) -> Sequence[Series]:
    """Of proxies that report the same requests, the one that called: Istio's label `reporter`.

    A waypoint alone counts where nobody calls it but the nodes.
    """
    calling = [series for series in found if series.labels.get("reporter") == "source"]
    return calling or found


class Whole(NamedTuple):
    """The series of a selector, each of them whole.

    Attributes:
        series: those that were renamed are one.
        labels: that changed.
        moved: targets that became others.
    """

    series: Sequence[Series]
    labels: frozenset[str] = frozenset()
    moved: frozenset[tuple[Target, Target]] = frozenset()


def renamed(found: Sequence[Series], starts: Mapping[Target, Series]) -> Whole:
    """Series whose labels of scraping changed while their process went on, as one.

    The configuration of Prometheus was changed, say: each series ends, and another one with all
    that the process had counted begins. That is no birth.

    Args:
        found: the series of a selector.
        starts: `process_start_time_seconds` of their targets; its labels are those of scraping.
    """
    scraping = _IGNORED | {"instance", *(name for s in starts.values() for name in s.labels)}
    alike: dict[frozenset[tuple[str, str]], list[Series]] = defaultdict(list)
    for series in found:
        own = frozenset((k, v) for k, v in series.labels.items() if k not in scraping)
        alike[own].append(series)
    if len(alike) == len(found):
        return Whole(found)
    moved: set[tuple[Target, Target]] = set()
    whole: list[Series] = []
    changed: set[str] = set()
    for group in alike.values():
        # Where all of them are there at once, none follows another.
        if max(s.times[0] for s in group) < min(s.times[-1] for s in group):
            whole += group
            continue
        chains: list[Series] = []
        for series in sorted(group, key=lambda each: float(each.times[0])):
            before = next((c for c in chains if _goes_on(c, series, starts)), None)
            if before is None:
                chains.append(series)
                continue
            one, two = dict(before.labels), dict(series.labels)
            moved.add((target_of(one), target_of(two)))
            changed |= {k for k in {*one, *two} if one.get(k) != two.get(k)}
            chains[next(i for i, c in enumerate(chains) if c is before)] = _chained(before, series)
        whole += chains
    return Whole(whole, frozenset(changed), frozenset((a, b) for a, b in moved if a != b))


def _goes_on(one: Series, two: Series, starts: Mapping[Target, Series]) -> bool:
    """Whether a series is what another one became: it begins where that ended, in one process."""
    # Of what was not read whole the end of one may stand a scrape or two after its time.
    if one.times[-1] > two.times[min(2, len(two.times) - 1)] or one.times[0] >= two.times[0]:
        return False
    here, there = target_of(one.labels), target_of(two.labels)
    new, old = starts.get(there), starts.get(here)
    if new is None or two.values[0] < one.values[-1] or not one.values[-1]:
        return False
    start = _at(new, float(two.times[0]))
    if here == there:
        return bool(abs(start - _at(new, float(one.times[-1]))) <= SAME_START_SECONDS)
    if old is None:
        return "instance" not in one.labels and start < one.times[-1]
    return bool(abs(start - float(old.values[-1])) <= _SAME_PROCESS_SECONDS)


def _at(series: Series, time: float) -> float:
    """The last value up to a time; the first one before that."""
    return float(series.values[max(0, int(np.searchsorted(series.times, time, "right")) - 1)])


def _chained(one: Series, two: Series) -> Series:
    """One after the other; at a time that both have, the later one is the larger."""
    times = np.concatenate((one.times, two.times))
    values = np.concatenate((one.values, two.values))
    order = np.lexsort((-values, times))
    unique, first = np.unique(times[order], return_index=True)
    return Series(two.labels, unique, values[order][first])


def _near(
    group: Sequence[Series], starts: Mapping[Target, Series]
) -> Iterator[tuple[Series, Series]]:
    """Pairs that may be of one process: of one address, of one start, or of one host."""
    places: dict[object, list[Series]] = defaultdict(list)
    for series in group:
        instance = series.labels["instance"]
        places[instance].append(series)
        known = starts.get(target_of(series.labels))
        if known is None or not len(known.values):
            places["host", instance.rpartition(":")[0] or instance].append(series)
        else:
            # Neighboring hundredths share one of two boxes.
            last = float(known.values[-1]) / (2 * _SAME_PROCESS_SECONDS)
            for box in {np.floor(last), np.floor(last + 0.5) + 0.25}:
                places["start", box].append(series)
    seen: set[tuple[int, int]] = set()
    for place, together in places.items():
        for one, two in combinations(together, 2):
            elsewhere = isinstance(place, tuple)
            if elsewhere and one.labels["instance"] == two.labels["instance"]:
                continue
            if (id(one), id(two)) not in seen:
                seen.add((id(one), id(two)))
                yield one, two


def _same_counts(pairs: Sequence[tuple[Series, Series]]) -> bool:
    """Whether two targets count the same: none ever has less than the other had before.

    A sample has the time at which its scrape began. So of two that lie nearer to each other than a
    scrape takes, the later one may have been read first. Where that is seen, nearly all such two
    differ by no more than is counted while they are read; of replicas the difference grows.
    """
    growth, needed = 0.0, _GROWTH
    for one, two in pairs:
        if not _overlap(one, two):
            return False
        times = np.concatenate((one.times, two.times))
        values = np.concatenate((one.values, two.values))
        order = np.lexsort((values, times))
        steps, near = np.diff(values[order]), np.diff(times[order]) <= _SCRAPE_SECONDS
        drops = max(int((np.diff(each.values) < 0).sum()) for each in (one, two))
        if ((steps < 0) & ~near).sum() > drops:
            return False
        if ((steps < 0) & near).sum() > drops:
            slopes = np.concatenate((_slopes(one), _slopes(two)))[order]
            meanwhile = 3.0 * (1.0 + _SCRAPE_SECONDS * np.maximum(slopes[1:], slopes[:-1]))
            if np.mean(np.abs(steps[near]) > meanwhile[near]) > _BURSTS:
                return False
            # The difference of two Poisson numbers is then seven times what is allowed, as a rule.
            needed = max(needed, 25.0 * float(np.median(meanwhile[near])) ** 2)
        inside = (one.times >= two.times[0]) & (one.times <= two.times[-1])
        growth += float(np.maximum(np.diff(one.values[inside]), 0.0).sum())
    return growth >= needed


def _slopes(series: Series) -> NDArray[np.float64]:
    """How much a second the series grows around each of its samples, at most."""
    each = np.maximum(np.diff(series.values), 0.0) / np.maximum(np.diff(series.times), 1e-3)
    return np.asarray(np.maximum(np.append(each, 0.0), np.append(0.0, each)))


def _twice(one: Series, two: Series) -> Reason:
    first, second = dict(one.labels), dict(two.labels)
    different = sorted(k for k in {*first, *second} if first.get(k) != second.get(k))
    pairs = "; ".join(f"{k} {first.get(k)!r}, {second.get(k)!r}" for k in different)
    return Reason("scrapedTwice", {"instance": first["instance"], "differing": pairs})


def _overlap(one: Series, other: Series) -> bool:
    """Whether both were there at the same time, by more than the sample in which one ended."""
    first = max(one.times[0], other.times[0])
    last = min(one.times[-1], other.times[-1])
    inside = [np.count_nonzero((s.times >= first) & (s.times <= last)) for s in (one, other)]
    few = min(len(one.times), len(other.times)) == 1
    return bool(min(inside) > (0 if few else 1))
