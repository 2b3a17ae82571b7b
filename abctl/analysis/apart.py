"""What is true of one variant alone, or of one server of it: told beside the verdict."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import eq, ne

from abctl.analysis.totals import SeenAnswers, value_of
from abctl.core.analysis import MetricResult, VariantResult
from abctl.core.experiment import Metric
from abctl.core.polls import Polls, cut
from abctl.core.reasons import Reason
from abctl.evidence.increments import MissingError, Rows, Samples
from abctl.evidence.summaries import of_kind
from abctl.metrics.presets import ERRORS, LATENCY
from abctl.metrics.queries import MetricQueries
from abctl.stats.delta import Delta
from abctl.stats.summary import SummaryError

# Scrapes are not cut at the same moments, and retries end elsewhere.
_APART_RATIO, _APART_COUNT = 0.02, 50.0
# So many standard deviations are no chance.
_CHANCE = 4.0


def restarts_alone(variants: Sequence[VariantResult]) -> Iterator[Reason]:
    """A variant whose servers started anew, where those of no other did."""
    counts = {v.name: v.coverage.restarts + v.coverage.falls for v in variants if v.coverage}
    again = [name for name, count in counts.items() if count]
    if len(again) == 1 and len(counts) > 1:
        yield Reason("restartsAlone", {"variant": again[0], "restarts_count": counts[again[0]]})


def disagreeing(
    seen: SeenAnswers | None, servers: SeenAnswers | None, variants: Sequence[VariantResult]
) -> Iterator[Reason]:
    """Variants of which clients got another number of good answers than their servers gave.

    Args:
        seen: answers by class; whether it is the clients' view, it says.
        servers: the same by the servers.
        variants: totals.
    """
    if seen is None or servers is None or seen.view != "clients":
        return
    for variant in variants:
        got, gave = seen.of(variant.name).good, servers.of(variant.name).good
        if not seen.queries.preset.drawn:
            gave += variant.outside or 0.0
        if abs(got - gave) > max(_APART_COUNT, _APART_RATIO * max(got, gave)):
            facts = {"variant": variant.name, "clients_count": got, "servers_count": gave}
            yield Reason("countsDisagree", facts)


def servers_alone(
    metrics: Sequence[MetricResult],
    asked: Mapping[str, Metric],
    samples: Samples | None,
    queries: MetricQueries,
) -> Iterator[Reason]:
    """Servers that fail alone, each once: by their own counters, else as a proxy's tell them apart.

    Args:
        metrics: results.
        asked: the metrics of the experiment, by name.
        samples: what was read.
        queries: what was asked for.
    """
    found = [
        *_of_proxies(metrics, asked, samples, queries.clients),
        *_of_servers(metrics, asked, samples, queries),
    ]
    yield from {(r.facts["metric"], r.facts["treatment"]): r for r in found}.values()


def _of_servers(
    metrics: Sequence[MetricResult],
    asked: Mapping[str, Metric],
    samples: Samples | None,
    queries: MetricQueries,
) -> Iterator[Reason]:
    """The server that alone makes a guardrail fail, where a treatment has several."""
    if samples is None or not samples.over:
        return
    polls = cut(samples.over, samples.over[-1].end - samples.over[0].start)
    for metric in metrics:
        mine = asked[metric.name]
        harmed = [c.treatment for c in metric.comparisons if c.proven("harm")]
        if metric.margin is None or not harmed or not _comparable(mine, queries):
            continue
        control, *treatments = (
            _Servers.of(samples, polls, queries, mine, name)
            for name in (next(iter(queries.names)), *harmed)
        )
        base = control.value() if control else None
        for name, found in zip(harmed, treatments, strict=True):
            alone = found.alone(base, metric.margin) if found and base is not None else None
            if alone is not None:
                yield _one_instance(metric, name, alone)


def _of_proxies(
    metrics: Sequence[MetricResult],
    asked: Mapping[str, Metric],
    samples: Samples | None,
    clients: MetricQueries | None,
) -> Iterator[Reason]:
    """The server that alone fails its clients, where a proxy of its own counts them.

    It proves nothing of the variant, so it is named whatever else is proven.
    """
    if samples is None or not samples.over or clients is None:
        return
    polls = cut(samples.over, samples.over[-1].end - samples.over[0].start)
    for metric in metrics:
        mine, margin = asked[metric.name], metric.margin or Delta(0.0, relative=False)
        beside = [c for c in metric.comparisons if c.other and c.other.view == "clients"]
        if mine.of != ERRORS or not beside or not _comparable(mine, clients):
            continue
        control = _Servers.of(samples, polls, clients, mine, next(iter(clients.names)))
        base = control.value() if control else None
        for name in (comparison.treatment for comparison in beside):
            found = _Servers.of(samples, polls, clients, mine, name)
            if base is None or found is None:
                continue
            alone = found.alone(base, margin)
            if alone and found.beyond_chance(alone[0], base + margin.absolute(base)):
                yield _one_instance(metric, name, alone)


def _one_instance(metric: MetricResult, treatment: str, found: tuple[str, float, float]) -> Reason:
    instance, value, others = found
    facts = {"instance": instance, "instance_value": value, "others_value": others}
    about = {"metric": metric.name, "treatment": treatment, "unit": metric.unit}
    return Reason("oneInstance", {**about, **facts})


def _comparable(metric: Metric, queries: MetricQueries) -> bool:
    """Whether servers count it, and less of it is better."""
    counted = metric.counted in (ERRORS, LATENCY) and metric.direction == "decrease"
    return counted and not metric.selectors and queries.measures(metric)


@dataclass(frozen=True, eq=False)
class _Servers:
    """What the servers of one variant counted of a metric."""

    metric: Metric
    rows: Mapping[str, Rows]
    unit_seconds: float

    @classmethod
    def of(
        cls, samples: Samples, polls: Polls, queries: MetricQueries, metric: Metric, name: str
    ) -> "_Servers | None":
        parts = queries.parts(metric, name)
        if any(s not in samples.found or samples.trouble(s) for s in parts.values()):
            return None
        rows = {part: samples.rows(selector, polls) for part, selector in parts.items()}
        return cls(metric, rows, queries.unit_seconds(metric))

    def alone(self, base: float, margin: Delta) -> tuple[str, float, float] | None:
        """The only server beyond the margin, its value, and that of all others within it."""
        limit = base + margin.absolute(base)
        names = sorted({s.get("instance", "") for r in self.rows.values() for s in r.labels})
        values = {name: self.value(partial(eq, name)) for name in names}
        bad = [name for name, value in values.items() if value is not None and value > limit]
        if len(names) == 1 or len(bad) != 1:
            return None
        value, rest = values[bad[0]], self.value(partial(ne, bad[0]))
        inside = value is not None and rest is not None and rest <= limit
        return (bad[0], value, rest) if inside else None  # type: ignore[return-value]

    def beyond_chance(self, instance: str, limit: float) -> bool:
        """Whether more of one server's requests fail than a share explains."""
        mine = {
            part: float(_some(rows, partial(eq, instance)).by_poll.sum())
            for part, rows in self.rows.items()
        }
        events = mine.get("successes", mine.get("events", 0.0))
        expected = limit * mine.get("n", mine.get("exposure", 0.0))
        return bool(events - expected > _CHANCE * max(expected, 1.0) ** 0.5)

    def value(self, kept: Callable[[str], bool] = lambda _: True) -> float | None:
        """The share, the mean or the quantile of some servers, in the metric's unit."""
        some = {part: _some(rows, kept) for part, rows in self.rows.items()}
        try:
            summary = of_kind(self.metric.kind, some, None, self.unit_seconds)
        except (MissingError, SummaryError):
            return None
        return value_of(summary, self.metric.quantile)


def _some(rows: Rows, kept: Callable[[str], bool]) -> Rows:
    """The rows of some servers."""
    mine = [kept(labels.get("instance", "")) for labels in rows.labels]
    labels = [each for each, is_mine in zip(rows.labels, mine, strict=True) if is_mine]
    return replace(rows, labels=labels, by_poll=rows.by_poll[mine])
