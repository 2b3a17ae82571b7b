"""Streams of summaries, metric by metric: the only thing that crosses into statistics.

Counters make them here; whatever else counts (tables of events) makes the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from abctl.core.experiment import Experiment, Metric
from abctl.core.polls import Polls
from abctl.core.reasons import Reason
from abctl.core.selector import as_promql
from abctl.core.time import format_moment
from abctl.errors import SourceError
from abctl.evidence.fit import unfit
from abctl.evidence.increments import MissingError, Samples
from abctl.evidence.reports import Pair, ages, reported
from abctl.evidence.summaries import DENOMINATORS, NothingCountedError, Parts, as_ratio, summarize
from abctl.metrics import presets
from abctl.metrics.presets import ERRORS, LATENCY
from abctl.metrics.queries import MetricQueries, reading_of
from abctl.spec.measurement import access_log, grpc_unseen, preset_name
from abctl.stats.summaries.grouped import GroupedHistogram
from abctl.stats.summary import Array, Stream

_NOTHING_YET = Reason("splitChanging")
# Kinds that may be taken by units; to plans that do not say it rates were of requests.
_OF_UNITS, _OF_UNITS_AT_FIRST = ("proportion", "mean", "rate"), ("proportion", "mean")


@dataclass(frozen=True, eq=False)
class MetricStreams:
    """What was counted of one metric.

    Attributes:
        selectors: what found it, by variant and part.
        polls: how many of them count.
        pairs: the control with each treatment, by treatment.
        times: when each of the polls that count began and ended, shape (polls, 2), if known.
    """

    selectors: Mapping[str, Parts]
    polls: int
    pairs: Mapping[str, Pair]
    times: Array | None = None


class Streams(Protocol):
    """Whoever counted; what only counters have, others lack."""

    def of(self, metric: Metric) -> MetricStreams:
        """What was counted of a metric."""
        ...

    def by_request(self, metric: Metric, treatment: str) -> tuple[Metric, Pair] | None:  # noqa: ARG002
        """The metric as tests read it that take each request for itself; None without such."""
        return None

    def reported(self, metric: Metric, treatment: str) -> Pair | None:  # noqa: ARG002
        """Reports of an outcome on the answers of each; None where answers are not counted."""
        return None

    def ages(
        self,
        metric: Metric,  # noqa: ARG002
        treatment: str,  # noqa: ARG002
    ) -> Iterator[tuple[bool, Stream[GroupedHistogram]]]:
        """How old predictions were when they were reported on: of hits, and of misses."""
        yield from ()

    def remarks(self, metric: Metric) -> Iterator[Reason]:
        """What a reader should know of how it is measured."""
        ...


def _counted_of(metric: Metric) -> str:
    """What the counters of a metric count, in words."""
    known = metric.counted in (ERRORS, LATENCY, "requests")
    return "requests" if known else f"feedback of {metric.of}"


def by_buckets(experiment: Experiment, metric: Metric) -> bool:
    """Whether variance is taken between buckets of units; of latency where it is counted by them.

    What is taken per user has one number of each user, and users are independent of one another.
    What is taken per request has its numerator from the collector and its denominator from the
    servers, which are scraped at other moments: only ratios of sums allow for that.
    """
    if metric.kind == "ratio" or (metric.of_table and metric.per == "outcome"):
        return True  # both sums vary, and together
    if metric.per != "outcome":
        return metric.per == "request"
    if per := experiment.meaning.get(metric.name, {}).get("per"):
        return per != "request"
    if experiment.assignment.unit == "request":
        return False
    if metric.counted == LATENCY:
        return metric.name not in experiment.meaning and _timed_by_unit(experiment, metric)
    kinds = _OF_UNITS_AT_FIRST if metric.name in experiment.meaning else _OF_UNITS
    return metric.kind in kinds


def _timed_by_unit(experiment: Experiment, metric: Metric) -> bool:
    if metric.selectors:
        return False
    try:
        return metric.kind in presets.preset(preset_name(experiment)).by_unit
    except SourceError:  # told where it is needed
        return False


def parts_of(experiment: Experiment, queries: MetricQueries, metric: Metric, variant: str) -> Parts:
    """The selectors that decide: by bucket of units where their variance counts."""
    if metric.counted == LATENCY and by_buckets(experiment, metric):
        found = queries.by_unit(metric, variant)
        if found is not None:
            return found
    return queries.parts(metric, variant)


def of_clients(experiment: Experiment, metric: Metric) -> bool:
    """Whether a metric means what clients got; a plan that was locked before means the servers."""
    if metric.selectors or metric.of_table or metric.of not in (ERRORS, LATENCY):
        return False
    locked = experiment.meaning.get(metric.name)
    return locked is None or locked.get("view") == "clients"


def log_of(experiment: Experiment, metric: Metric) -> str | None:
    """The preset of the proxy's access log, as far as the plan of a metric knows of it.

    It may decide what is of clients (see `of_clients`): what they got is known by unit there.
    """
    locked = experiment.meaning.get(metric.name)
    if locked is not None and "clients" not in locked:
        return None
    try:
        return access_log(experiment)
    except SourceError:  # told where it is needed
        return None


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
    nothing_yet: Reason = _NOTHING_YET

    def queries(self, metric: Metric) -> MetricQueries:
        """Whose counters a metric is taken from.

        It is the proxy's access log, as far as it has counted every variant. Else errors of users
        need the buckets of the servers; otherwise it is the proxy.
        """
        if (log := self._log(metric)) is not None:
            return log
        if by_buckets(self.experiment, metric):
            return self.telemetry
        return self.counted_by_clients(metric) or self.telemetry

    def _log(self, metric: Metric) -> MetricQueries | None:
        log = self.telemetry.access_log
        if log is None or not log_of(self.experiment, metric) or not log.measures(metric):
            return None
        theirs = of_clients(self.experiment, metric) and self.has_counted(log, metric)
        return log if theirs else None

    def has_counted(self, queries: MetricQueries, metric: Metric) -> bool:
        """Whether somebody has counted a metric of every variant."""
        samples = self.samples
        needed = (
            selector
            for variant in self.experiment.variants
            for part, selector in parts_of(self.experiment, queries, metric, variant.name).items()
            if part in DENOMINATORS
        )
        return samples is not None and all(samples.found.get(each) for each in needed)

    def counted_by_clients(self, metric: Metric) -> MetricQueries | None:
        """What a proxy in front counted of a metric; None where it has not, of every variant."""
        clients = self.telemetry.clients
        if clients is None or not of_clients(self.experiment, metric):
            return None
        if not clients.measures(metric):
            return None
        return clients if self.has_counted(clients, metric) else None

    def by(self, queries: MetricQueries, metric: Metric, treatment: str) -> Pair:
        """A metric by request, by one of those who counted it."""
        names = self.experiment.variants[0].name, treatment
        return self._pair(metric, names, self._polls(metric, names, queries), None, queries)

    def by_servers(self, metric: Metric, treatment: str) -> Pair:
        """What the servers counted of a metric, by unit where that decides."""
        queries = self.telemetry
        names = self.experiment.variants[0].name, treatment
        of_units = None
        if by_buckets(self.experiment, metric):
            of_units = self.experiment.assignment.buckets
        return self._pair(metric, names, self._polls(metric, names, queries), of_units, queries)

    def of(self, metric: Metric) -> MetricStreams:
        """See `Streams`."""
        queries = self.queries(metric)
        control, *treatments = names = [v.name for v in self.experiment.variants]
        buckets = self.experiment.assignment.buckets
        of_units = buckets if by_buckets(self.experiment, metric) else None
        selectors = {name: self._parts(queries, metric, name, of_units) for name in names}
        polls = self._polls(metric, names, queries)
        return MetricStreams(
            {name: {p: as_promql(s) for p, s in of.items()} for name, of in selectors.items()},
            0 if polls is None else int(polls.counted.sum()),
            {
                name: self._pair(metric, (control, name), polls, of_units, queries)
                for name in treatments
            },
            None if polls is None else polls.times,
        )

    def by_request(self, metric: Metric, treatment: str) -> tuple[Metric, Pair] | None:
        """See `Streams`; a quantile of latency has its mean beside it."""
        queries = self.queries(metric)
        found = reading_of(metric, queries)
        if found is None or self.samples is None or metric.per == "request":
            return None
        return found, self.by(queries, found, treatment)

    def reported(self, metric: Metric, treatment: str) -> Pair | None:
        """See `Streams`."""
        return reported(self.experiment, self.telemetry, self._samples(metric), metric, treatment)

    def ages(
        self, metric: Metric, treatment: str
    ) -> Iterator[tuple[bool, Stream[GroupedHistogram]]]:
        """See `Streams`."""
        return ages(self.experiment, self.telemetry, self._samples(metric), metric, treatment)

    def remarks(self, metric: Metric) -> Iterator[Reason]:
        """See `Streams`."""
        queries = self.queries(metric)
        if of_clients(self.experiment, metric) and not queries.preset.proxy:
            yield Reason("byServers", {"preset": queries.name})
        yield from queries.remarks(metric)
        yield from grpc_unseen(self.experiment, self.telemetry, metric)
        yield from self._of_outcome(metric)
        if metric.maturity_seconds and self.samples is not None:
            through = format_moment(self.samples.now - metric.maturity_seconds, "seconds")
            facts = {"maturity_seconds": metric.maturity_seconds, "judged_through": through}
            yield Reason("matures", {"per": metric.per, **facts})

    def _of_outcome(self, metric: Metric) -> Iterator[Reason]:
        """What its outcome's declaration says of the numbers."""
        if metric.age_seconds is not None and metric.role == "secondary":
            yield Reason("earlyLook", {"age_seconds": metric.age_seconds})
        for outcome in self.experiment.outcomes:
            named = outcome.name in (metric.of, metric.over) and not metric.selectors
            if named and outcome.cap is not None:
                facts = {"outcome": outcome.name, "cap": outcome.cap, "per": metric.per}
                yield Reason("capped", facts)

    def _samples(self, metric: Metric) -> Samples | None:
        """What was read, up to when the metric is mature: what is younger is not judged."""
        late = metric.maturity_seconds
        if not late or self.samples is None:
            return self.samples
        if late not in self._mature:
            self._mature[late] = self.samples.mature(late)
        return self._mature[late]

    @cached_property
    def _mature(self) -> dict[float, Samples | None]:
        return {}

    def _polls(self, metric: Metric, names: Sequence[str], queries: MetricQueries) -> Polls | None:
        """The finest grid that these variants share."""
        if (samples := self._samples(metric)) is None:
            return None
        every = [queries.parts(metric, name).values() for name in names]
        return samples.polls(selector for each in every for selector in each)

    def _parts(
        self, queries: MetricQueries, metric: Metric, name: str, buckets: int | None
    ) -> Parts:
        if buckets is None:
            return queries.parts(metric, name)
        return parts_of(self.experiment, queries, metric, name)

    def _pair(
        self,
        metric: Metric,
        names: Sequence[str],
        polls: Polls | None,
        buckets: int | None,
        queries: MetricQueries,
    ) -> Pair:
        samples = self._samples(metric)
        if self.samples is not None and samples is None:
            return Reason("notMature", {"maturity_seconds": metric.maturity_seconds})
        if samples is None or polls is None:
            return self.nothing_yet
        parts = [self._parts(queries, metric, name, buckets) for name in names]
        if (
            why := unfit(samples, queries, metric, dict(zip(names, parts, strict=True)))
        ) is not None:
            return why
        # A numerator that only one variant has (no error yet in the other) is a zero there.
        seen = {part for each in parts for part, s in each.items() if samples.found[s]}
        try:
            both = list[Any]()
            ratio = (metric.kind, metric.per) == ("proportion", "request")
            for each in parts:
                summary = summarize(
                    "rate" if ratio else metric.kind,
                    samples,
                    as_ratio(each) if ratio else each,
                    polls,
                    buckets=buckets,
                    unit_seconds=queries.unit_seconds(metric),
                    elsewhere=seen | queries.late(metric),
                )
                both.append(summary)
        except NothingCountedError:
            since = format_moment(samples.windows[0].start, "seconds")
            what = _counted_of(metric)
            facts = {"variant": names[len(both)], "counted": what, "counts_from": since}
            return Reason("nothingCounted", facts)
        except MissingError as missing:
            return missing.why
        return Stream(both[0], both[1], polls.epoch[polls.counted])
