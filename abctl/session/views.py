"""Who counts each metric now: the proxy's access log, its counters, the servers, or others."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from abctl.core.experiment import Experiment, Metric
from abctl.core.outcome import MEASURED
from abctl.core.polls import Window
from abctl.evidence.read import read
from abctl.evidence.streams import CounterStreams, of_clients, parts_of
from abctl.metrics.queries import MetricQueries
from abctl.sources import Source

# After as long Prometheus takes a series to be gone.
_LATELY_SECONDS = 300.0

Who = Literal["access log", "proxy", "servers", "collector", "own selectors", "tables"]


@dataclass(frozen=True)
class View:
    """Whose counters they are; `counts` is whether they had every variant lately.

    >>> View("proxy", "envoy", counts=True).text
    'proxy (envoy)'
    """

    who: Who
    preset: str | None = None
    counts: bool = True

    @property
    def text(self) -> str:
        """The same in words."""
        found = f"{self.who} ({self.preset})" if self.preset else self.who
        return found if self.counts else f"{found}: nothing lately"


@dataclass(frozen=True)
class Views:
    """Who decides about a metric, and who else counts it.

    Attributes:
        metric: its name.
        by: whose numbers decide.
        beside: who stands beside it, or would if it counted.
    """

    metric: str
    by: View
    beside: tuple[View, ...] = ()


def views(
    experiment: Experiment, asked: MetricQueries, source: Source, now: float
) -> tuple[Views, ...]:
    """Who counts each metric, by what there was in the last five minutes.

    Args:
        experiment: whose metrics, as they were locked.
        asked: what to ask for.
        source: where the counters are.
        now: its clock.

    Raises:
        SourceError: it cannot be read.
    """
    every = experiment.by_counters.metrics
    wanted = (
        selector
        for metric in every
        for queries in _counting(experiment, asked, metric)
        for variant in experiment.variants
        for selector in parts_of(experiment, queries, metric, variant.name).values()
    )
    samples = read(source, [Window(0, now - _LATELY_SECONDS, now)], set(wanted), now)
    streams = CounterStreams(experiment, samples, asked)
    return tuple(
        Views(metric.name, View("tables"))
        if metric.of_table
        else _of(experiment, asked, streams, metric)
        for metric in experiment.metrics
    )


def _counting(
    experiment: Experiment, asked: MetricQueries, metric: Metric
) -> Iterator[MetricQueries]:
    """Who might count a metric: proxies first, where it means what clients got."""
    if of_clients(experiment, metric):
        yield from (each for each in asked.proxies if each is not asked and each.measures(metric))
    if asked.measures(metric):
        yield asked


def _of(
    experiment: Experiment, asked: MetricQueries, streams: CounterStreams, metric: Metric
) -> Views:
    decides = streams.queries(metric)
    found = {
        queries.name: View(
            _who(experiment, queries, metric),
            None if metric.selectors else queries.name,
            counts=streams.has_counted(queries, metric),
        )
        for queries in _counting(experiment, asked, metric)
    }
    by = found.pop(
        decides.name, View(_who(experiment, decides, metric), decides.name, counts=False)
    )
    return Views(metric.name, by, tuple(found.values()))


def _who(experiment: Experiment, queries: MetricQueries, metric: Metric) -> Who:
    if metric.selectors:
        return "own selectors"
    if queries.preset.proxy:
        return "access log" if queries is queries.access_log else "proxy"
    outcome = metric.of not in MEASURED and experiment.outcomes
    return "collector" if outcome else "servers"
