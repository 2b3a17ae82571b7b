"""The evidence of an experiment: everything that a judgement takes, and nothing else.

It can be saved to a file and judged elsewhere, without the cluster and without the source. How far
the clock of the source is from that of the ledger belongs to it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from abctl.core.analysis import EpochResult
from abctl.core.answers import Silence
from abctl.core.experiment import Experiment, Metric
from abctl.core.ledger import Ledger
from abctl.core.polls import Window
from abctl.errors import SourceError
from abctl.evidence import collected
from abctl.evidence.increments import Samples
from abctl.evidence.streams import by_buckets, of_clients
from abctl.forms import Unknown
from abctl.metrics.presets import LATENCY
from abctl.metrics.queries import MEAN, MetricQueries, reading_of
from abctl.sources import Source
from abctl.stats.summary import Array

# Further apart than this, the times of the ledger are not those of the scrapes.
SKEW_SECONDS = 5.0
_LONGEST_INTERVAL_SECONDS = 366 * 24 * 3600.0
_GATHER_ANEW = "gather the evidence anew: abctl analyze EXPERIMENT --save FILE"
# By metric, variant and part.
Selectors = Mapping[str, Mapping[str, Mapping[str, str]]]


def now_and_ahead_seconds(source: Source, clock: Callable[[], float]) -> tuple[float, float]:
    """The clock of the source (unix seconds), and how much it is ahead of another one.

    Only what cannot be a matter of how long the answer took counts.

    Raises:
        SourceError: the source cannot be read.
    """
    before = clock()
    now = source.now()
    after = clock()
    return now, max(0.0, now - after) + min(0.0, now - before)


@dataclass(frozen=True, eq=False)
class Unread:
    """What a newer abctl has saved besides, which is written again as it was.

    Attributes:
        fields: by their places.
        arrays: all of the file, whose numbers these fields may name.
    """

    fields: Unknown = field(default_factory=dict)
    arrays: Sequence[Array] = ()


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a judgement takes.

    Attributes:
        experiment: what is asked; without its source, which may be nobody else's business.
        ledger: what happened to its split, and the plan that was locked.
        telemetry: what to ask for.
        place: of the source, without secrets.
        now: the clock of the source (unix seconds): up to when it was read.
        samples: what was read; None where nothing counts yet.
        ahead_seconds: how much the clock of the source is ahead of the one that the ledger is
            written by, as far as it is no matter of how long answers took.
        silences: variants that gave no good answer lately.
        recent: the last hours, read finely: nothing in the first two, None where nobody did.
        unread: what was saved besides; no judgement takes it.
    """

    experiment: Experiment
    ledger: Ledger
    telemetry: MetricQueries
    place: str
    now: float
    samples: Samples | None
    ahead_seconds: float = 0.0
    silences: tuple[Silence, ...] = ()
    recent: tuple[Samples, ...] | None = None
    unread: Unread = field(default_factory=Unread)

    @cached_property
    def epochs(self) -> tuple[EpochResult, ...]:
        """Epochs of the ledger.

        One that ended at an unknown time does not count, nor one that is of other variants.
        """
        settle = self.experiment.design.settle_seconds
        found = self.ledger.epochs(self.now, settle)
        names = self.experiment.split.names
        return tuple(
            EpochResult(i, e.start, e.end, e.split, e.certain and e.split.names == names)
            for i, e in enumerate(found)
        )

    @property
    def windows(self) -> tuple[Window, ...]:
        """The time that counts."""
        return tuple(Window(e.number, e.start, e.end) for e in self.epochs if e.counted)

    @property
    def selectors(self) -> Selectors:
        """What finds the parts of each metric of each variant."""
        return {
            metric.name: {
                variant.name: self.telemetry.parts(metric, variant.name)
                for variant in self.experiment.variants
            }
            for metric in self.experiment.by_counters.metrics
        }

    def queries(self) -> Iterator[str]:
        """Every selector that a judgement takes; some come more than once."""
        yield from self._needed()
        yield from self._told()

    def _needed(self) -> Iterator[str]:
        """Of these, what every abctl that saved evidence asked for."""
        for each in self.selectors.values():
            for parts in each.values():
                yield from parts.values()
        for variant in self.experiment.variants:
            for name, parts in self.telemetry.totals(variant.name).items():
                yield from parts.values() if name != MEAN else ()
            for metric in self.experiment.by_counters.metrics:
                if reading := reading_of(metric, self.telemetry):
                    yield from self.telemetry.parts(reading, variant.name).values()

    def _told(self) -> Iterator[str]:
        """The others, which came later: nothing is wrong where they are missing."""
        yield from collected.selectors(self.experiment, self.telemetry)
        for variant in self.experiment.variants:
            yield from self.telemetry.totals(variant.name).get(MEAN, {}).values()
            yield from self._of_clients(variant.name)
            for metric in self.experiment.by_counters.metrics:
                yield from self._of_reports(metric, variant.name)
                yield from self._by_unit(metric, variant.name)

    def _of_clients(self, variant: str) -> Iterator[str]:
        """What a proxy in front counted of a variant, and its answers by class."""
        for selectors in self.telemetry.answers(variant).values():
            yield from selectors
        if foreign := self.telemetry.foreign(LATENCY, variant):
            yield foreign
        for clients in self.telemetry.proxies:
            if clients.preset.buckets:
                yield clients.requests(variant)
            if dropped := clients.dropped:
                yield dropped
            for selectors in clients.answers(variant).values():
                yield from selectors
            for name, parts in clients.totals(variant).items():
                yield from parts.values() if name in (LATENCY, MEAN) else ()
            for metric in self.experiment.by_counters.metrics:
                if of_clients(self.experiment, metric) and clients.measures(metric):
                    yield from clients.parts(metric, variant).values()
                    yield from self._logged(clients, metric, variant)

    def _logged(self, clients: MetricQueries, metric: Metric, variant: str) -> Iterator[str]:
        """What the access log has of a metric besides: by unit, and as tests by request read it."""
        if not clients.preset.buckets:
            return
        if by_buckets(self.experiment, metric):
            yield from (clients.by_unit(metric, variant) or {}).values()
        if reading := reading_of(metric, clients):
            yield from clients.parts(reading, variant).values()

    def _of_reports(self, metric: Metric, variant: str) -> Iterator[str]:
        """How often and how fast answers are reported on."""
        yield from (self.telemetry.reports(metric, variant) or {}).values()
        for hit in (True, False):
            yield from (self.telemetry.ages(metric, variant, hit=hit) or {}).values()

    def _by_unit(self, metric: Metric, variant: str) -> Iterator[str]:
        """Latency by bucket, where units are assigned and the plan does not say otherwise."""
        if by_buckets(self.experiment, metric):
            yield from (self.telemetry.by_unit(metric, variant) or {}).values()

    def require_whole(self) -> None:
        """Make sure that the samples are those that the experiment and its ledger ask for.

        Raises:
            SourceError: something is missing or for another time.
        """
        names = [variant.name for variant in self.experiment.variants]
        if names != list(self.telemetry.names):
            raise SourceError(
                f"{self.place} was asked for {', '.join(self.telemetry.names)}, the experiment has "
                f"{', '.join(names)}",
                "judge saved evidence with the experiment that it is of: abctl analyze --from FILE",
            )
        if (self.samples is None) != (not self.windows):
            raise SourceError(
                f"{self.place}: samples and ledger do not belong together", _GATHER_ANEW
            )
        if self.samples is None:
            return
        if not 0.0 <= self.samples.interval_seconds <= _LONGEST_INTERVAL_SECONDS:
            raise SourceError(
                f"{self.place} is damaged: scrapes every {self.samples.interval_seconds:g} s",
                _GATHER_ANEW,
            )
        if (self.samples.windows, self.samples.now) != (self.windows, self.now):
            raise SourceError(
                f"{self.place}: the samples are for another time than the ledger's", _GATHER_ANEW
            )
        decides = {
            s for of in self.selectors.values() for parts in of.values() for s in parts.values()
        }
        needed = set(self._needed()) - (set(self._told()) - decides)
        if missing := needed - self.samples.found.keys():
            raise SourceError(
                f"{self.place} was not asked for {min(missing)}",
                "metrics cannot be added to evidence that was saved; gather it anew",
            )
