"""Whether both variants' answers are reported on alike: as often, and as fast.

Outcomes per report say nothing of answers that nobody reported on. Where one variant has more of
them, or hears of them later, the reports of it are others.

Reports are counted by a collector and answers by servers, which are scraped at other moments. So a
period of constant split has up to a scrape more of one than of the other at either end: in all
buckets alike, so that the variance between buckets does not show it. As much is taken off the
difference, at every look. No poll is shorter than two scrapes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from abctl.core.experiment import Experiment, Metric
from abctl.core.reasons import Reason
from abctl.evidence.streams import MetricStreams, Streams
from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.methods import ratio_sequence
from abctl.stats.methods.ratio import UNREADY
from abctl.stats.sequential.sequence import sequential
from abctl.stats.summaries.buckets import bucket_paths, comparable, equal_events, needed
from abctl.stats.summaries.grouped import GroupedHistogram
from abctl.stats.summary import (
    Array,
    Buckets,
    Stream,
    SummaryError,
    over_epochs,
    running,
    weight_of,
)

ALPHA = 0.001
"""Level of each of the two tests, at any look."""
SUSPECT_ALPHA = 0.01
"""Level at which a difference in how many are reported keeps a treatment from being shipped."""
_FEW_RATIO = 0.5
_METHOD = "ratio_sequence"


@dataclass(frozen=True, eq=False)
class Reporting:
    """How the answers of the variants are reported on; each pair is compared once.

    Args:
        streams: what was counted.
    """

    streams: Streams
    _compared: dict[tuple[str, str], Estimate | None] = field(default_factory=dict)

    def trusted(self, metric: Metric) -> MetricStreams:
        """What was counted of a metric, without pairs whose answers are not reported on alike."""
        counted = self.streams.of(metric)
        pairs = {
            name: self._unlike(metric, name) or pair if isinstance(pair, Stream) else pair
            for name, pair in counted.pairs.items()
        }
        return replace(counted, pairs=pairs)

    def suspect(self, experiment: Experiment) -> Iterator[Reason]:
        """Treatments whose answers may not be reported on alike, by metrics that decide.

        Until that is proven, reports of other answers can look like an effect.
        """
        for metric in (each for each in experiment.metrics if each.role != "secondary"):
            for variant in experiment.variants[1:]:
                found = self._reports(metric, variant.name)
                # Where that is proven, the metric is not judged.
                if found is not None and ALPHA < found.p <= SUSPECT_ALPHA:
                    facts = {**_facts(found, variant.name), "metric": metric.name}
                    yield Reason("reportsMayDiffer", facts)

    def _unlike(self, metric: Metric, treatment: str) -> Reason | None:
        found = self._reports(metric, treatment)
        if found is not None and found.p <= ALPHA:
            return Reason("reportsDiffer", _facts(found, treatment))
        return _unlike_in_time(self.streams, metric, treatment)

    def _reports(self, metric: Metric, treatment: str) -> Estimate | None:
        """Shares of answers that are reported on; None where they cannot be compared."""
        pair = metric.name, treatment
        if pair not in self._compared:
            reported = self.streams.reported(metric, treatment)
            found = None
            if isinstance(reported, Stream):
                found = reported_alike(reported, Plan(alpha=ALPHA))
            self._compared[pair] = found if isinstance(found, Estimate) else None
        return self._compared[pair]


def few_reports(streams: Streams, experiment: Experiment) -> Iterator[Reason]:
    """Outcomes of which most answers have no report: maybe what did not happen is not sent."""
    for metric in experiment.metrics:
        found = streams.reported(metric, experiment.variants[1].name)
        # A young prediction may have no report yet.
        if not isinstance(found, Stream) or metric.age_seconds is not None:
            continue
        reports, answers = (
            float(np.sum(getattr(found.control, side)) + np.sum(getattr(found.treatment, side)))
            for side in ("numerator", "denominator")
        )
        if reports < _FEW_RATIO * answers:
            facts = {"reports_count": reports, "answers_count": answers}
            yield Reason("fewReports", {"metric": metric.name, **facts})


def reported_alike(stream: Stream[Buckets], plan: Plan) -> Estimate | NotEstimable:
    """The difference between the shares of answers that are reported on, less what polls explain.

    Args:
        stream: reports over answers, by bucket.
        plan: what is tested; two-sided.
    """
    stream, n, reason = comparable(stream)
    if reason is not None:
        return NotEstimable(_METHOD, reason, n)
    paths = bucket_paths(stream, support=True)
    # Where one variant lacks no report, its variance is that of the other.
    a, b = stream.control, stream.treatment
    together = Buckets(a.numerator + b.numerator, a.denominator + b.denominator)
    enough = equal_events(together) >= needed(together.numerator.shape[1])
    paths = replace(paths, ready=enough)
    if not paths.ready[-1]:
        return NotEstimable(_METHOD, UNREADY, n)
    whole = paths.last(n, stream.epochs)
    difference = paths.b - paths.a
    explained = np.maximum(paths.a, paths.b) * _cut_apart(stream)
    left = np.sign(difference) * np.maximum(np.abs(difference) - explained, 0.0)
    paths = replace(paths, b=paths.a + left)
    found = sequential(
        _METHOD,
        paths,
        paths.last(n, stream.epochs),
        plan,
        assumptions=ratio_sequence.ASSUMPTIONS,
        notes=(),
    )
    return replace(found, treatment=whole.b) if isinstance(found, Estimate) else found


def _facts(found: Estimate, treatment: str) -> dict[str, str | float | None]:
    ratios = {"control_ratio": found.control, "treatment_ratio": found.treatment}
    return {"treatment": treatment, "p": found.p, **ratios}


def _unlike_in_time(streams: Streams, metric: Metric, treatment: str) -> Reason | None:
    """That reports of one variant come faster than those of the other.

    Hits are compared with hits: where failures are known late, a better variant hears earlier of
    more of its answers. All comparisons share the level.
    """
    ages = dict(streams.ages(metric, treatment))
    asked = [
        (hit, edge, seconds)
        for hit, stream in ages.items()
        for edge, seconds in enumerate(stream.control.edges)
    ]
    for hit, edge, seconds in asked:
        found = _different(_upto(ages[hit], edge), ALPHA / len(asked))
        if found is not None:
            facts = {
                "treatment": treatment,
                "within_seconds": seconds,
                "hit": hit,
                "control_ratio": found.control,
                "treatment_ratio": found.treatment,
                "p": min(1.0, found.p * len(asked)),
            }
            return Reason("reportsPaceDiffers", facts)
    return None


def _upto(stream: Stream[GroupedHistogram], edge: int) -> Stream[Buckets]:
    """Reports that came up to an edge, of all reports, by group of users."""
    control, treatment = (
        Buckets(each.counts[:, :, : edge + 1].sum(axis=2), each.counts.sum(axis=2))
        for each in (stream.control, stream.treatment)
    )
    return Stream(control, treatment, stream.epoch)


def _different(stream: Stream[Buckets], alpha: float) -> Estimate | None:
    """The estimate of two ratios that differ at any look; None where they may be alike."""
    try:
        found = ratio_sequence.estimate(stream, Plan(alpha=alpha))
    except SummaryError:
        return None
    return found if isinstance(found, Estimate) and found.rejects else None


def _cut_apart(stream: Stream[Buckets]) -> Array:
    """The share of the answers that half of the first and of the last poll of each epoch have."""
    answers = [side.denominator.sum(axis=1) for side in (stream.control, stream.treatment)]
    totals = [running(each, stream.epoch) for each in answers]
    first = np.diff(stream.epoch, prepend=stream.epoch[:1] - 1) != 0
    shares = []
    for each, total in zip(answers, totals, strict=True):
        ends = running(np.where(first, each, 0.0), stream.epoch) + each
        shares.append(ends / (2.0 * np.maximum(total, 1.0)))
    weight = weight_of(*totals)
    whole = over_epochs(weight, stream.epoch)
    return np.asarray(
        over_epochs(weight * np.maximum(*shares), stream.epoch) / np.where(whole > 0.0, whole, 1.0)
    )
