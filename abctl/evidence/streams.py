"""Streams of summaries, metric by metric: the only thing that crosses into statistics.

Counters make them here; whatever else counts (tables of events) makes the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from abctl.core.experiment import Experiment, Metric
from abctl.core.polls import Polls
from abctl.core.reasons import Reason
from abctl.core.time import format_moment
from abctl.evidence.increments import (
    MissingError,
    NothingCountedError,
    Parts,
    Samples,
    summarize,
)
from abctl.metrics.presets import ERRORS, LATENCY
from abctl.metrics.queries import MetricQueries, reading_of
from abctl.stats.summary import Stream

# The control and a treatment; or why there is nothing to compare.
Pair = Stream[Any] | str


@dataclass(frozen=True, eq=False)
class MetricStreams:
    """What was counted of one metric.

    Attributes:
        selectors: what found it, by variant and part.
        polls: how many of them count.
        pairs: the control with each treatment, by treatment.
    """

    selectors: Mapping[str, Parts]
    polls: int
    pairs: Mapping[str, Pair]


class Streams(Protocol):
    """Whoever counted."""

    def of(self, metric: Metric) -> MetricStreams:
        """What was counted of a metric."""
        ...

    def by_request(self, metric: Metric, treatment: str) -> tuple[Metric, Pair] | None:
        """The metric as tests read it that take each request for itself; None without such."""
        ...

    def remarks(self, metric: Metric) -> Iterator[Reason]:
        """What a reader should know of how it is measured."""
        ...


def _counted_of(metric: Metric) -> str:
    """What the counters of a metric count, in words."""
    known = metric.of in (ERRORS, LATENCY, "requests")
    return "requests" if known else f"feedback of {metric.of}"


def by_buckets(experiment: Experiment, metric: Metric) -> bool:
    """Whether variance is taken between buckets of units; latency is by request only."""
    grouped = metric.kind in ("proportion", "mean") and metric.of != "latency"
    return grouped and experiment.assignment.unit != "request"


@dataclass(frozen=True, eq=False)
class CounterStreams:
    """Streams of what counters did.

    Args:
        experiment: whose variants.
        samples: what was read; None where nothing counts yet.
        telemetry: what the source was asked for.
        nothing_yet: why there are no samples that count.
    """

    experiment: Experiment
    samples: Samples | None
    telemetry: MetricQueries
    nothing_yet: str = "nothing counts yet"

    def of(self, metric: Metric) -> MetricStreams:
        """See `Streams`."""
        control, *treatments = names = [v.name for v in self.experiment.variants]
        selectors = {name: self.telemetry.parts(metric, name) for name in names}
        polls = self._polls(metric, names)
        buckets = self.experiment.assignment.buckets
        of_units = buckets if by_buckets(self.experiment, metric) else None
        return MetricStreams(
            selectors,
            0 if polls is None else int(polls.counted.sum()),
            {name: self._pair(metric, (control, name), polls, of_units) for name in treatments},
        )

    def by_request(self, metric: Metric, treatment: str) -> tuple[Metric, Pair] | None:
        """See `Streams`; a quantile of latency has its mean beside it."""
        found = reading_of(metric, self.telemetry)
        if found is None or self.samples is None:
            return None
        names = self.experiment.variants[0].name, treatment
        return found, self._pair(found, names, self._polls(found, names), None)

    def remarks(self, metric: Metric) -> Iterator[Reason]:
        """See `Streams`."""
        return self.telemetry.remarks(metric)

    def _polls(self, metric: Metric, names: Sequence[str]) -> Polls | None:
        """The finest grid that these variants share."""
        if self.samples is None:
            return None
        every = [self.telemetry.parts(metric, name).values() for name in names]
        return self.samples.polls(selector for each in every for selector in each)

    def _pair(
        self, metric: Metric, names: Sequence[str], polls: Polls | None, buckets: int | None
    ) -> Pair:
        samples = self.samples
        if samples is None or polls is None:
            return self.nothing_yet
        parts = [self.telemetry.parts(metric, name) for name in names]
        # A numerator that only one variant has (no error yet in the other) is a zero there.
        seen = {part for each in parts for part, s in each.items() if samples.found[s]}
        try:
            both = list[Any]()
            for each in parts:
                summary = summarize(
                    metric.kind,
                    samples,
                    each,
                    polls,
                    buckets=buckets,
                    unit_seconds=self.telemetry.unit_seconds(metric),
                    elsewhere=seen | self.telemetry.late(metric),
                )
                both.append(summary)
        except NothingCountedError:
            since = format_moment(samples.windows[0].start, "seconds")
            what = _counted_of(metric)
            return f"{names[len(both)]} has no {what} since {since}; only those count"
        except MissingError as missing:
            return str(missing)
        return Stream(both[0], both[1], polls.epoch[polls.counted])
