"""Variants that are not there: nothing of them to be scraped, or no good answer lately.

One that is scaled to zero, or whose pods are gone, had nothing to be scraped for a time.
Prometheus stores `up` of every target that it knows, also of one that does not answer. So where it
has `up` of others and none of the variant's, there was no target: that is no gap between scrapes.
It is one, if the process from before goes on after it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from abctl.core.answers import Silence, View
from abctl.core.polls import interval_seconds
from abctl.core.selector import one_of
from abctl.evidence.counters.group import Mask
from abctl.evidence.counters.increase import Array, Scrapes
from abctl.evidence.counters.targets import Target, target_of
from abctl.evidence.increments import Samples, allowance_seconds, times_and_interval
from abctl.metrics.queries import MetricQueries
from abctl.sources import Outline, Series, Source

_MOST_CELLS, _MOST_GAPS = 400, 100
# A cell is a little shorter than a gap, so that edges of cells are near to each other.
_OF_ALLOWANCE = 0.9
# So many cells before and after tell what the variant's targets are called.
_AROUND = 2
# Labels that pods of one variant do not share, and names of all metrics.
_OF_POD = frozenset(
    (
        *("__name__", "instance", "pod", "pod_name", "kubernetes_pod_name", "node", "host"),
        *("pod_ip", "pod_template_hash", "container_id", "uid", "matures_in"),
    )
)
LOOK_BACK_SECONDS = 300.0
# A server may be between two scrapes, and one may fail.
_MISSED_INTERVALS = 3.0


def absent_times(samples: Samples, source: Source) -> dict[str, Array]:
    """Moments at which the targets of selectors were not there, close enough to show no gap.

    Raises:
        SourceError: the source cannot be read.
    """
    of_targets: dict[frozenset[Target], Array] = {}
    found = {}
    for selector in samples.found:
        targets = frozenset(samples.scrapes(selector))
        if targets not in of_targets:
            of_targets[targets] = _absent(samples, source, samples.scrapes(selector))
        if len(of_targets[targets]):
            found[selector] = of_targets[targets]
    return found


def _absent(samples: Samples, source: Source, scrapes: Mapping[Target, Scrapes]) -> Array:
    pieces = [np.array([])]
    longest = sorted(_gaps(samples, scrapes), key=lambda gap: gap[0] - gap[1])[:_MOST_GAPS]
    for begin, end, allowance in longest:
        if not any(_lives_on(s, samples.starts.get(t), begin, end) for t, s in scrapes.items()):
            pieces.append(_nobody(samples, source, set(scrapes), (begin, end), allowance))
    return np.unique(np.concatenate(pieces))


def _gaps(
    samples: Samples, scrapes: Mapping[Target, Scrapes]
) -> Iterator[tuple[float, float, float]]:
    """Begin, end, and how long it may be without being one."""
    if not scrapes:
        return
    times, interval = times_and_interval(scrapes.values())
    allowance = allowance_seconds(interval)
    first, last = samples.windows[0].start, samples.now
    inside = times[(times > first) & (times < last)]
    for begin, end in pairwise(np.concatenate(([first], inside, [last])).tolist()):
        if end - begin > allowance:
            yield begin, end, allowance


def _lives_on(scrapes: Scrapes, starts: Series | None, begin: float, end: float) -> bool:
    """Whether a process was scraped before and after a gap, or may have been the same."""
    before = scrapes.times[0] <= begin
    after = int(np.searchsorted(scrapes.times, end))
    if not before or after == len(scrapes.times):
        return False
    if starts is None:
        return True
    at = int(np.searchsorted(starts.times, end))
    return at == len(starts.times) or bool(starts.values[at] <= begin)


def _nobody(
    samples: Samples, source: Source, mine: set[Target], gap: tuple[float, float], allowance: float
) -> Array:
    """Moments within a gap at which none of the targets was there, though others were."""
    edges = _edges(gap, allowance)
    jobs = sorted({dict(target).get("job", "") for target in mine} - {""})
    up = source.outline(f"up{{{one_of('job', jobs)}}}" if jobs else "up", edges, float(edges[0]))
    there, others = _split(samples, up, mine)
    if not there.any():  # nobody knows whether it was up
        return np.array([])
    inside = slice(_AROUND, -_AROUND)
    edges, gone, others = edges[inside], ~there[inside], others[inside]
    if not others[gone].all():
        # Was anything scraped at all?
        every = source.outline("up", edges, float(edges[0]))
        others = np.asarray(~np.isnan(every.last).all(axis=0))
    gone &= others
    return np.concatenate((edges[:-1][gone], edges[1:][gone]))


def _edges(gap: tuple[float, float], allowance: float) -> Array:
    """Edges of cells in a gap, and of some around it."""
    begin, end = gap
    count = min(max(2, int(np.ceil((end - begin) / (_OF_ALLOWANCE * allowance)))), _MOST_CELLS)
    # Of one length, for one question; the scrapes at both ends are in no cell between them.
    length = int((end - begin) * 1000 - 2) // count
    found = round(begin * 1000) + 1 + length * np.arange(-_AROUND, count + _AROUND + 1)
    return np.asarray(found / 1000)


def _split(samples: Samples, up: Outline, mine: set[Target]) -> tuple[Mask, Mask]:
    """In which cells a target of the variant was there, and in which another one."""
    known = {target for selector in samples.found for target in samples.scrapes(selector)}
    own = [i for i, labels in enumerate(up.labels) if target_of(labels) in mine]
    common = _common([up.labels[i] for i in own])

    def is_mine(labels: Mapping[str, str]) -> bool:
        target = target_of(labels)
        if target in known:
            return target in mine
        # Another pod of the variant, which never answered.
        return all(labels.get(name) == value for name, value in common.items())

    which = np.array([is_mine(labels) for labels in up.labels], dtype=bool)
    there = ~np.isnan(up.last)
    if not own:
        nothing = np.zeros(up.last.shape[1], dtype=bool)
        return nothing, nothing
    return there[which].any(axis=0), there[~which].any(axis=0)


def _common(every: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The labels that all of them have, but for those of a single pod."""
    if not every:
        return {}
    shared = set.intersection(*(set(labels.items()) for labels in every))
    return {name: value for name, value in shared if name not in _OF_POD}


def silences(
    source: Source, asked: MetricQueries, shares: Mapping[str, float], now: float
) -> tuple[Silence, ...]:
    """Variants with a share that gave no good answer lately, while others did.

    The proxy's counters are asked first. Where nobody scrapes them, those of the servers are, and a
    server that counts nothing is told by what was due to it.

    Args:
        source: where the counters are.
        asked: what to ask it for.
        shares: of the traffic, by variant.
        now: the clock of the source.

    Raises:
        SourceError: the source cannot be read.
    """
    names = [name for name, share in shares.items() if share and name in asked.names]
    for view, queries in asked.views:
        found = {name: _Seen.of(source, queries, name, now) for name in names}
        if any(seen.good.any() for seen in found.values()):
            return tuple(_silent(view, found, shares, now))
    return ()


@dataclass(frozen=True, eq=False)
class _Seen:
    """Increments of a variant's counters, and the scrapes that saw them."""

    good_at: Array
    good: Array
    failed_at: Array
    failed: Array
    interval_seconds: float

    @classmethod
    def of(cls, source: Source, queries: MetricQueries, name: str, now: float) -> "_Seen":
        answers = queries.answers(name)
        start = now - LOOK_BACK_SECONDS
        good, failed = (
            [s for selector in answers.get(kind, ()) for s in source.series(selector, start, now)]
            for kind in ("good", "failed")
        )
        interval = max((interval_seconds(s.times) for s in (*good, *failed)), default=0.0)
        grown, bad = (_increments(each, start, interval) for each in (good, failed))
        return cls(*grown, *bad, interval)

    def good_until(self, start: float) -> float:
        """When it was last seen to have given a good answer; the start if it was not."""
        return float(self.good_at[self.good > 0].max(initial=start))

    def after(self, moment: float) -> tuple[float, float]:
        """Good answers and failures that were seen later than that."""
        good, failed = self.good[self.good_at > moment], self.failed[self.failed_at > moment]
        return float(good.sum()), float(failed.sum())


def _increments(found: Iterable[Series], start: float, interval: float) -> tuple[Array, Array]:
    """When counters were seen to have grown, and by how much; a fall is a start at zero."""
    times, grown = [np.zeros(0)], [np.zeros(0)]
    for series in found:
        steps = np.diff(series.values)
        times.append(series.times[1:])
        grown.append(np.where(steps < 0, series.values[1:], steps))
        # A counter that appeared meanwhile began at zero.
        if interval and len(series.times) and series.times[0] > start + 2 * interval:
            times.append(series.times[:1])
            grown.append(series.values[:1])
    return np.concatenate(times), np.concatenate(grown)


def _silent(
    view: View, found: Mapping[str, _Seen], shares: Mapping[str, float], now: float
) -> Iterator[Silence]:
    for name, seen in found.items():
        last = seen.good_until(now - LOOK_BACK_SECONDS)
        _, failed = seen.after(last)
        others = [other for each, other in found.items() if each != name]
        interval = max(each.interval_seconds for each in found.values())
        # Servers are scraped one by one: what others gave since then may be older than it looks.
        since = last + interval if view == "servers" else last
        good, bad = (sum(other.after(since)[i] for other in others) for i in (0, 1))
        due = 0.0
        if view == "servers" and now - last > _MISSED_INTERVALS * interval:
            rest = sum(share for each, share in shares.items() if each in found and each != name)
            due = good * shares[name] / rest if rest else 0.0
        silence = Silence(name, view, now - last, failed, good, bad, due)
        if silence.told:
            yield silence


def counted(
    view: View, good: Mapping[str, Array], failed: Mapping[str, Array], ends: Array, now: float
) -> Sequence[Silence]:
    """The same of counts by poll, for variants that get so little that minutes say nothing.

    `good` and `failed` are answers of each variant with a share by poll, `ends` those of polls.
    """
    found = []
    for name, mine in good.items():
        silent = slice(int(np.flatnonzero(mine).max(initial=-1)) + 1, None)
        others = [other for other in good if other != name]
        since = float(ends[silent.start - 1]) if silent.start else float(ends[0])
        silence = Silence(
            name,
            view,
            now - since,
            float(failed[name][silent].sum()),
            float(sum(good[other][silent].sum() for other in others)),
            float(sum(failed[other][silent].sum() for other in others)),
        )
        if silence.told:
            found.append(silence)
    return found
