"""What each variant did, over all that counts, not what follows from it: answers, and totals.

Answers are told by class: what clients got where a proxy counted, else what servers gave. Without
buckets nothing about users is proven by them: they tell, warn and block.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from abctl.core.analysis import VariantResult
from abctl.core.answers import Answers, Silence, View
from abctl.core.experiment import Experiment, Kind
from abctl.core.polls import Polls, cut
from abctl.core.split import Split
from abctl.evidence import absence
from abctl.evidence.fit import other_population
from abctl.evidence.increments import MissingError, Samples
from abctl.evidence.summaries import Parts, summarize
from abctl.metrics.presets import ERRORS, LATENCY
from abctl.metrics.queries import MEAN, MetricQueries
from abctl.stats.summary import Array, Buckets, Counts, Events, Histogram, Moments, Summary

_CLASSES = ("good", "refused", "failed")
# What was scraped; and, in nginx's counters, which server has answered.
_OF_SERVER = ("instance", "backend")


@dataclass(frozen=True, eq=False)
class SeenAnswers:
    """What one view knows of all variants.

    Args:
        view: whose.
        queries: what the source was asked for.
        samples: what was read.
        names: of the variants, the control first.
    """

    view: View
    queries: MetricQueries
    samples: Samples
    names: tuple[str, ...]

    @cached_property
    def polls(self) -> Polls:
        """The finest grid on which all targets were scraped."""
        known = self.samples.found
        every = [
            selector
            for name in self.names
            for selectors in self.queries.answers(name).values()
            for selector in selectors
            if selector in known
        ]
        return self.samples.polls(every)

    @property
    def complete(self) -> bool:
        """Whether good answers of every variant are counted."""
        found = self.samples.found
        return all(
            any(found.get(selector) for selector in self.queries.answers(name).get("good", ()))
            for name in self.names
        )

    @property
    def times(self) -> bool:
        """Whether it has the latency of every variant."""
        histograms = (
            self.queries.totals(name).get(LATENCY, {}).get("histogram") for name in self.names
        )
        return all(each is not None and self.samples.found.get(each) for each in histograms)

    def by_poll(self, name: str, kind: str) -> Array:
        """Answers of one class, shape (polls,): of a class that never came there are none."""
        found = np.zeros(int(np.count_nonzero(self.polls.counted)))
        for selector in self.queries.answers(name).get(kind, ()):
            if self.samples.found.get(selector):
                found = found + self.samples.rows(selector, self.polls).total()
        return found

    def by_server(self, name: str, kinds: Iterable[str]) -> dict[tuple[str, ...], float]:
        """Answers of some classes, by what was scraped, or by the server that the series names."""
        found: dict[tuple[str, ...], float] = defaultdict(float)
        for selector in (s for kind in kinds for s in self.queries.answers(name).get(kind, ())):
            if self.samples.found.get(selector):
                rows = self.samples.rows(selector, self.polls)
                for labels, row in zip(rows.labels, rows.by_poll, strict=True):
                    found[tuple(labels.get(each, "") for each in _OF_SERVER)] += float(row.sum())
        return dict(found)

    def of(self, name: str) -> Answers:
        """All of a variant's."""
        good, refused, failed = (float(self.by_poll(name, kind).sum()) for kind in _CLASSES)
        told = "unanswered" in self.queries.preset.answers
        unanswered = float(self.by_poll(name, "unanswered").sum()) if told else None
        return Answers(self.view, self.queries.name, good, refused, failed, unanswered)

    def silences(self, shares: Mapping[str, float]) -> Sequence[Silence]:
        """Variants with a share that have not answered since some poll, while others did."""
        names = [name for name in self.names if shares.get(name)]
        good, failed = (
            {name: self.by_poll(name, kind) for name in names} for kind in ("good", "failed")
        )
        ends = self.polls.edges[1:][self.polls.counted]
        if not ends.size:
            return ()
        return absence.counted(self.view, good, failed, ends, self.samples.now)


def seen_answers(
    samples: Samples | None, asked: MetricQueries, names: Sequence[str]
) -> SeenAnswers | None:
    """The view of the clients where a proxy counted all variants, else that of the servers.

    None where neither tells answers apart.
    """
    if samples is None:
        return None
    for view, queries in asked.views:
        found = SeenAnswers(view, queries, samples, tuple(names))
        if found.complete:
            return found
    return None


def by_servers(
    samples: Samples | None, asked: MetricQueries, names: Sequence[str]
) -> SeenAnswers | None:
    """The view of the servers, where a proxy counts as well; None where nobody asked for it."""
    if samples is None or asked.clients is None:
        return None
    found = SeenAnswers("servers", asked, samples, tuple(names))
    return found if found.complete else None


def silences(
    lately_seen: Sequence[Silence], seen: SeenAnswers | None, split: Split | None
) -> tuple[Silence, ...]:
    """Variants that do not answer: by the last minutes, else by all that was counted.

    Args:
        lately_seen: by the last minutes.
        seen: all that was counted.
        split: in effect now.
    """
    found = {each.variant: each for each in (seen.silences(split.ratios) if seen and split else ())}
    found |= {each.variant: each for each in lately_seen if split and split.get(each.variant)}
    return tuple(found.values())


def variant(
    experiment: Experiment,
    samples: Samples | None,
    name: str,
    by: Mapping[str, MetricQueries],
    asked: MetricQueries,
    *,
    seen: SeenAnswers | None = None,
) -> VariantResult:
    """Everything that is told of a variant.

    Latency is that of the requests that clients sent, where `seen` is their view and has it.

    Args:
        experiment: whose.
        samples: what was read.
        name: of the variant.
        by: whose counters each metric is taken from.
        asked: what the source was asked for.
        seen: answers by class.
    """
    if samples is None:
        nothing = {metric.name: None for metric in experiment.metrics}
        return VariantResult(name, None, None, nothing, None, None, None, None, asked.totals(name))
    whole = cut(samples.over, samples.over[-1].end - samples.over[0].start)
    found, names = asked.totals(name), [each.name for each in experiment.variants]
    timed = asked if seen is None or not seen.times else seen.queries
    unit, late = timed.preset.latency_unit_seconds, asked.late_errors
    p50, p95, mean = _latencies(samples, timed.totals(name), whole, unit)
    if other_population(samples, timed, name):
        p50 = p95 = mean = None
    return VariantResult(
        name=name,
        requests=_counted(samples, found["requests"]["n"], whole),
        outside=_counted(samples, found["outside"]["n"], whole) if "outside" in found else None,
        values={
            metric.name: _value(
                metric.kind,
                samples,
                by[metric.name].parts(metric, name),
                whole,
                quantile=metric.quantile,
                unit_seconds=by[metric.name].unit_seconds(metric),
                elsewhere=by[metric.name].late(metric)
                | _parts_seen(samples, [by[metric.name].parts(metric, each) for each in names]),
            )
            for metric in experiment.metrics
        },
        error_ratio=_value(
            "proportion",
            samples,
            found[ERRORS],
            whole,
            elsewhere=late | _parts_seen(samples, [asked.totals(each)[ERRORS] for each in names]),
        ),
        latency_p50_seconds=p50,
        latency_p95_seconds=p95,
        coverage=samples.coverage(found["requests"]["n"]),
        selectors=found,
        latency_mean_seconds=mean,
        answers=None if seen is None else seen.of(name),
    )


def _parts_seen(samples: Samples, of_variants: Sequence[Parts]) -> frozenset[str]:
    """Parts that some variant has: a numerator among them is zero where there is none of it."""
    return frozenset(
        part for parts in of_variants for part, s in parts.items() if samples.found.get(s)
    )


def _counted(samples: Samples, selector: str, whole: Polls) -> float | None:
    """All of them; None where only totals of unknown age were seen, or nothing that counts."""
    if samples.trouble(selector):
        return None
    rows = samples.rows(selector, whole)
    total = float(rows.total().sum())
    return total if rows.labels and (total or not rows.unseen) else None


def _value(
    kind: Kind,
    samples: Samples,
    parts: Parts,
    whole: Polls,
    *,
    quantile: float | None = None,
    unit_seconds: float = 1.0,
    elsewhere: Collection[str] = (),
) -> float | None:
    if not parts:
        return None
    try:
        summary = summarize(
            kind, samples, parts, whole, unit_seconds=unit_seconds, elsewhere=elsewhere
        )
    except MissingError:
        return None
    return value_of(summary, quantile)


def value_of(summary: Summary, quantile: float | None) -> float | None:
    """The share, the mean, the rate or the quantile of all polls together; None without values."""
    match summary.pooled():
        case Counts(n=n, successes=top) | Moments(n=n, sum=top) | Events(exposure=n, events=top):
            return float(top[0] / n[0]) if n[0] > 0 else None
        case Buckets(numerator=top, denominator=n):
            return float(top.sum() / n.sum()) if n.sum() > 0 else None
        case Histogram() as histogram:
            return _quantile(histogram, quantile or 0.5)
    return None


def _latencies(
    samples: Samples, totals: Mapping[str, Parts], whole: Polls, unit_seconds: float
) -> tuple[float | None, float | None, float | None]:
    """Median, 95th percentile and mean; None where nobody counts them."""
    if not (parts := totals[LATENCY]):
        return None, None, None
    try:
        found = summarize("quantile", samples, parts, whole, unit_seconds=unit_seconds).pooled()
    except MissingError:
        return None, None, None
    assert isinstance(found, Histogram)
    seconds = _sum(samples, totals.get(MEAN, {}), whole)
    mean = None if seconds is None else seconds * unit_seconds / float(found.counts.sum())
    return _quantile(found, 0.5), _quantile(found, 0.95), mean


def _sum(samples: Samples, parts: Parts, whole: Polls) -> float | None:
    """What was counted in all; None where the source does not have it, or was not asked for it."""
    for selector in parts.values():
        if selector not in samples.found or samples.trouble(selector):
            continue
        if (rows := samples.rows(selector, whole)).labels:
            return float(rows.total().sum())
    return None


def _quantile(histogram: Histogram, share: float) -> float | None:
    """Interpolated within its cell; None where it lies above the last finite edge."""
    counts = histogram.counts[0]
    rank, upto = share * counts.sum(), np.cumsum(counts)
    if not counts.any() or rank > upto[-2]:
        return None
    cell = int(np.searchsorted(upto, rank, side="left"))
    low, high = list(pairwise((0.0, *histogram.edges)))[cell]
    return low + (high - low) * float((rank - (upto[cell] - counts[cell])) / counts[cell])
