"""Harm that began late, from the last hours alone (see `abctl.stats.sequential.restarts`)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from abctl.core.analysis import Claim, Result
from abctl.core.experiment import Experiment, Metric
from abctl.core.time import format_moment
from abctl.evidence.increments import Samples
from abctl.evidence.recent import HOUR_SECONDS, hours_over
from abctl.evidence.reports import Pair
from abctl.evidence.streams import CounterStreams, MetricStreams
from abctl.metrics.queries import MetricQueries
from abctl.stats.estimate import Estimate, NotEstimable, Remark
from abctl.stats.sequential.restarts import share_of
from abctl.stats.summary import Stream

LATE = "hourly"
Judged = Callable[[Claim, Pair, float], Result]


@dataclass(frozen=True, eq=False)
class Late:
    """What the last hours show.

    Args:
        experiment: as it was locked.
        samples: of the last hours; None in the first two.
        asked: what the source was asked for.
        started: when evidence began to count, in unix seconds.
    """

    experiment: Experiment
    samples: Samples | None
    asked: MetricQueries
    started: float
    _counted: dict[str, MetricStreams] = field(default_factory=dict)

    def looks_for(self, metric: Metric) -> bool:
        """Whether late harm of a metric has a share of alpha: as locked, and where many look."""
        locked = self.experiment.meaning.get(metric.name)
        return self.experiment.design.test != "fixed" and (
            locked is None or locked.get("late") == LATE
        )

    def claims(
        self, metric: Metric, treatment: str, claims: Iterable[Claim], judged: Judged
    ) -> Iterator[Claim]:
        """The claims; harm of everything, or where only the last hours prove it, of these.

        Args:
            metric: what is compared.
            treatment: with the control.
            claims: of everything, harm with its share of alpha.
            judged: answers a claim of a stream, with a share of alpha.
        """
        found = []
        for claim in claims:
            surest = None
            if claim.says == "harm" and not claim.proven:
                surest = self._surest(metric, treatment, claim, judged)
            found.append(replace(claim, result=surest, proven=True) if surest else claim)
        return _withdrawn(found)

    def _surest(
        self, metric: Metric, treatment: str, claim: Claim, judged: Judged
    ) -> Estimate | None:
        """The surest proof of harm among the last beginnings; None where none proves it."""
        found = []
        for since, share, stream in self._beginnings(metric, treatment):
            result = judged(claim, stream, share)
            if isinstance(result, Estimate) and result.rejects:
                found.append(_noted(result, since))
        return min(found, key=lambda each: each.log_p, default=None)

    def _beginnings(
        self, metric: Metric, treatment: str
    ) -> Iterator[tuple[float, float, Stream[Any]]]:
        """When each began, its share of alpha, and what was counted since."""
        if self.samples is None:
            return
        if metric.name not in self._counted:
            streams = CounterStreams(self.experiment, self.samples, self.asked)
            self._counted[metric.name] = streams.of(metric)
        counted = self._counted[metric.name]
        stream = counted.pairs[treatment]
        if not isinstance(stream, Stream) or counted.times is None:
            return
        first = hours_over(self.samples.windows, self.samples.now)
        before = round((self.samples.windows[0].start - self.started) / HOUR_SECONDS)
        for hour in range(first + 1):
            since = self.started + (before + hour) * HOUR_SECONDS
            polls = np.asarray(counted.times[:, 0] >= since - 0.001)
            if polls.any():
                later = Stream(
                    stream.control.at(polls), stream.treatment.at(polls), stream.epoch[polls]
                )
                yield since, share_of(before + hour), later


def _noted(found: Estimate, since: float) -> Estimate:
    remark = Remark("harmSince", {"since": format_moment(since, "seconds")})
    return replace(found, notes=(*found.notes, remark))


def _withdrawn(claims: Sequence[Claim]) -> Iterator[Claim]:
    """The claims; without that of a treatment within its margin, where late harm is proven."""
    since = [
        note.facts["since"]
        for claim in claims
        if claim.says == "harm" and isinstance(claim.result, Estimate)
        for note in claim.result.notes
        if note.code == "harmSince"
    ]
    for claim in claims:
        if since and claim.says == "non-inferior":
            why = Remark("harmedLately", {"since": since[0]})
            found = NotEstimable(claim.result.method, why, claim.result.n)
            yield replace(claim, result=found, proven=False)
        else:
            yield claim
