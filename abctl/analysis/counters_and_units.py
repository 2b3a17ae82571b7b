"""Streams of counters and of tables as one: each metric is of either."""

from collections.abc import Iterator
from dataclasses import dataclass

from abctl.analysis.units import UnitStreams
from abctl.core.experiment import Metric
from abctl.core.reasons import Reason
from abctl.evidence.reports import Pair
from abctl.evidence.streams import MetricStreams, Streams
from abctl.stats.summaries.grouped import GroupedHistogram
from abctl.stats.summary import Stream


@dataclass(frozen=True, eq=False)
class CountersAndUnits:
    """Streams of both: each metric is of counters or of tables; see `Streams`."""

    counters: Streams
    units: UnitStreams

    def of(self, metric: Metric) -> MetricStreams:
        """See `Streams`."""
        return self._whose(metric).of(metric)

    def by_request(self, metric: Metric, treatment: str) -> tuple[Metric, Pair] | None:
        """See `Streams`."""
        return self._whose(metric).by_request(metric, treatment)

    def reported(self, metric: Metric, treatment: str) -> Pair | None:
        """See `Streams`."""
        return self._whose(metric).reported(metric, treatment)

    def ages(
        self, metric: Metric, treatment: str
    ) -> Iterator[tuple[bool, Stream[GroupedHistogram]]]:
        """See `Streams`."""
        return self._whose(metric).ages(metric, treatment)

    def remarks(self, metric: Metric) -> Iterator[Reason]:
        """See `Streams`."""
        return self._whose(metric).remarks(metric)

    def _whose(self, metric: Metric) -> Streams:
        return self.units if metric.of_table else self.counters
