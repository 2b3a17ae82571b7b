"""The same questions, asked of whoever else counted: what clients got beside what servers did.

Servers know the users, but nothing of requests that died with them. A proxy knows what clients got,
but no users: it may stop and it may block, and by itself it never proves that a treatment may ship.
"""

from dataclasses import dataclass

import numpy as np

from abctl.analysis.meaning import OWN_ALPHA, by_request, methods
from abctl.analysis.totals import SeenAnswers
from abctl.core.answers import View
from abctl.core.doubts import Refusals
from abctl.core.experiment import Experiment, Metric
from abctl.core.reasons import Reason
from abctl.evidence.increments import MissingError
from abctl.evidence.reports import Pair
from abctl.evidence.streams import CounterStreams, by_buckets, of_clients
from abctl.metrics.presets import ERRORS, LATENCY
from abctl.metrics.queries import MetricQueries
from abctl.stats.delta import Delta
from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.methods import proportion_sequence, ratio_sequence
from abctl.stats.summaries.bursts import as_independent
from abctl.stats.summaries.clusters import between_clusters
from abctl.stats.summaries.grouped import as_independent_values, design_effect
from abctl.stats.summary import Buckets, Counts, Stream

# Looked for first; smaller differences take longer.
_REFUSALS = Delta(0.05, relative=False)


@dataclass(frozen=True, eq=False)
class Beside:
    """What somebody else counted of a metric, and the method for it.

    `decides` is whether it may stop, and must ship; else it is only told.
    """

    view: View
    preset: str
    method: str
    stream: Pair
    decides: bool = True


@dataclass(frozen=True, eq=False)
class Besides:
    """Whoever else counted.

    Args:
        experiment: whose variants.
        streams: what decides.
        seen: answers by class.
    """

    experiment: Experiment
    streams: CounterStreams
    seen: SeenAnswers | None

    def of(self, metric: Metric, treatment: str) -> Beside | None:
        """Who else counted a metric; None where nobody did, or where the plan knew of nobody."""
        if not of_clients(self.experiment, metric):
            return None
        used = self.streams.queries(metric)
        if used is self.streams.telemetry.access_log:
            return self._inside(metric, treatment)
        if metric.of == ERRORS and not used.preset.proxy:
            return self._errors(metric, treatment)
        if metric.of == LATENCY and by_buckets(self.experiment, metric):
            return self._waited(metric, treatment)
        if metric.of == LATENCY and used is self.streams.telemetry.clients and self._users:
            return self._latency(metric, treatment)
        return None

    def unproven(self, metric: Metric, treatment: str) -> bool:
        """Whether only a proxy counted, which does not know the users that are assigned."""
        alone = self.streams.queries(metric).preset.proxy and self._users
        told = of_clients(self.experiment, metric) and not by_buckets(self.experiment, metric)
        return alone and told and self.of(metric, treatment) is None

    def refusals(self, treatment: str) -> Refusals | None:
        """What was refused against the control; None where nobody tells refusals apart."""
        telemetry, samples = self.streams.telemetry, self.streams.samples
        if samples is None or self.seen is None:
            return None
        plan = Plan(alpha=OWN_ALPHA, mde=_REFUSALS)
        # Where the access log has counted every variant, its view was taken.
        log = telemetry.access_log
        by = log if log is not None and self.seen.queries is log else telemetry
        told = by.answers(treatment).get("refused", ("",))
        if self._users and by.preset.buckets and told[0] in samples.found:
            stream = self._refused_by_bucket(by, treatment)
            result: Estimate | NotEstimable
            if isinstance(stream, Reason):
                result = NotEstimable("ratio_sequence", stream.remark)
            else:
                result = ratio_sequence.estimate(stream, plan)
            view: View = "clients" if by.preset.proxy else "servers"
            return Refusals(treatment, view, by.name, result)
        result = _shares(self.seen, "refused", ("good", "failed", "refused"), treatment, plan)
        return Refusals(treatment, self.seen.view, self.seen.queries.name, result)

    @property
    def _users(self) -> bool:
        return self.experiment.assignment.unit != "request"

    def _inside(self, metric: Metric, treatment: str) -> Beside | None:
        """What the servers counted, where the access log has what clients got, by unit."""
        telemetry = self.streams.telemetry
        if not telemetry.measures(metric):
            return None
        method = methods(self.experiment, metric)[1]
        inside = self.streams.by_servers(metric, treatment)
        if isinstance(inside, Reason):
            return None
        return Beside("servers", telemetry.name, method, inside, decides=False)

    def _errors(self, metric: Metric, treatment: str) -> Beside | None:
        if self.seen is None or self.seen.view != "clients":
            return None
        if metric.kind not in ("proportion", "rate"):
            return None
        users = self._alike(self.streams.of(metric).pairs[treatment])
        found = _independent(self.seen, "failed", ("good", "failed"), treatment, users)
        pair = Reason.of(found) if isinstance(found, Remark) else found
        return Beside("clients", self.seen.queries.name, "proportion_sequence", pair)

    @staticmethod
    def _alike(inside: Pair) -> float:
        """How much requests of one user are alike, as the servers count them by bucket."""
        if isinstance(inside, Reason) or not isinstance(inside.control, Buckets):
            return 1.0
        sides = []
        for side in (inside.control, inside.treatment):
            n, happened = side.denominator.sum(axis=0), side.numerator.sum(axis=0)
            sides.append(Counts(np.maximum(n, happened), happened))
        return between_clusters(sides[0], sides[1])

    def _latency(self, metric: Metric, treatment: str) -> Beside | None:
        telemetry = self.streams.telemetry
        if not telemetry.measures(metric):
            return None
        inside = self.streams.by(telemetry, metric, treatment)
        if isinstance(inside, Reason):
            return None
        method = methods(self.experiment, metric)[1]
        return Beside("servers", telemetry.name, method, inside)

    def _waited(self, metric: Metric, treatment: str) -> Beside | None:
        """What clients waited; requests are as alike as servers say that those of users are."""
        clients = self.streams.counted_by_clients(metric)
        if clients is None or metric.kind != "quantile" or metric.quantile is None:
            return None
        method = by_request(self.experiment, metric)[1]
        outside = self.streams.by(clients, metric, treatment)
        inside = self.streams.of(metric).pairs[treatment]
        pair = outside
        if not isinstance(outside, Reason):
            pair = inside
            if not isinstance(inside, Reason):
                effect = design_effect(inside, metric.quantile)
                if isinstance(effect, Remark):
                    pair = Reason.of(effect)
                else:
                    pair = as_independent_values(outside, effect)
        return Beside("clients", clients.name, method, pair)

    def _refused_by_bucket(self, by: MetricQueries, treatment: str) -> "Stream[Buckets] | Reason":
        samples = self.streams.samples
        assert samples is not None, "it was asked for"
        names = (self.experiment.control.name, treatment)
        [*refused] = [by.answers(name)["refused"][0] for name in names]
        [*everything] = [by.requests(name) for name in names]
        polls = samples.polls([*refused, *everything])
        try:
            both = [
                Buckets(*(samples.rows(s, polls).by_bucket(self._buckets) for s in pair))
                for pair in zip(refused, everything, strict=True)
            ]
        except MissingError as missing:
            return missing.why
        return Stream(both[0], both[1], polls.epoch[polls.counted])

    @property
    def _buckets(self) -> int:
        return self.experiment.assignment.buckets


def _counts(
    seen: SeenAnswers, kind: str, among: tuple[str, ...], treatment: str
) -> "Stream[Counts]":
    sides = []
    for name in (seen.names[0], treatment):
        # Classes are counted by series of their own, whose scrapes may be cut apart.
        total = np.sum([seen.by_poll(name, each) for each in among], axis=0)
        sides.append(Counts(total, seen.by_poll(name, kind)))
    return Stream(sides[0], sides[1], seen.polls.epoch[seen.polls.counted])


def _independent(
    seen: SeenAnswers, kind: str, among: tuple[str, ...], treatment: str, users: float = 1.0
) -> "Stream[Counts] | Remark":
    """Counts as if requests were independent, whose users, servers and moments make them alike."""
    names = seen.names[0], treatment
    every = [(seen.by_server(name, among), seen.by_server(name, (kind,))) for name in names]
    servers = sorted({server for side in every for of in side for server in of})
    sides = []
    for side in every:
        n, happened = (np.array([of.get(each, 0.0) for each in servers]) for of in side)
        # Classes are counted by series of their own, whose scrapes may be cut apart.
        sides.append(Counts(np.maximum(n, happened), happened))
    effect = between_clusters(sides[0], sides[1]) if servers else 1.0
    return as_independent(_counts(seen, kind, among, treatment), users + effect - 1.0)


def _shares(
    seen: SeenAnswers, kind: str, among: tuple[str, ...], treatment: str, plan: Plan
) -> Estimate | NotEstimable:
    stream = _independent(seen, kind, among, treatment)
    if isinstance(stream, Remark):
        return NotEstimable("proportion_sequence", stream)
    return proportion_sequence.estimate(stream, plan)
