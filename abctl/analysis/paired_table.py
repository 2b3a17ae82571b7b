"""Judges pairs of answers that were counted in a table: one look; no input and no clock.

Each unit, such as a request, has an answer of both variants, as where a shadow gets a copy of the
traffic. So there is no split to check, and nobody was assigned.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from abctl.analysis.compare import Comparing
from abctl.analysis.one_look import analysis_of, equal_split, experiment_of, too_small
from abctl.core.analysis import Analysis, VariantResult
from abctl.core.experiment import Metric
from abctl.core.reasons import Reason
from abctl.core.verdict import verdict
from abctl.evidence.reports import Pair
from abctl.evidence.streams import MetricStreams, Streams
from abctl.stats.estimate import NotEstimable, Remark
from abctl.stats.summary import SummaryError
from abctl.tables.paired import PairedTable


@dataclass(frozen=True, eq=False)
class PairedStreams(Streams):
    """Streams of one poll, of pairs that were counted in a table; see `Streams`."""

    counted: PairedTable

    def of(self, metric: Metric) -> MetricStreams:
        """See `Streams`."""
        which, shift = self._which(metric), self.counted.shifts[self._which(metric)]
        pairs = dict[str, Pair]()
        for arm in self.counted.arms:
            try:
                pairs[arm.treatment] = arm.metrics[which].stream(shift)
            except SummaryError as error:
                pairs[arm.treatment] = Reason("tooLarge", {"detail": str(error)})
        return MetricStreams({name: {} for name in self.counted.names}, 1, pairs)

    def remarks(self, metric: Metric) -> Iterator[Reason]:  # noqa: ARG002 - all is in the notes
        """See `Streams`."""
        yield from ()

    def _which(self, metric: Metric) -> int:
        names = [each.metric.name for each in self.counted.question.metrics]
        return names.index(metric.name)


def judge_pairs(counted: PairedTable, now: float) -> Analysis:
    """What follows from the pairs of a table.

    Args:
        counted: what was counted in it.
        now: unix seconds, when it was read.
    """
    question, names = counted.question, counted.names
    asked = [_as_counted(counted, i, each.metric) for i, each in enumerate(question.metrics)]
    meaning = {metric.name: _meaning(metric) for metric in asked}
    experiment = experiment_of(counted.place, question.alpha, equal_split(names), asked, meaning)
    metrics = Comparing(experiment, PairedStreams(counted)).metrics()
    said = verdict(experiment.design, metrics, elapsed_seconds=0.0, integrity=(), ended=True)
    return analysis_of(
        experiment,
        metrics,
        said,
        now,
        unit="request",
        variants=(_variant(counted, name) for name in names),
        srm=NotEstimable("pairs", Remark("pairsOfBoth")),
        notes=(*_notes(counted), *too_small(experiment.design, metrics)),
    )


def _as_counted(counted: PairedTable, which: int, metric: Metric) -> Metric:
    """Numbers that are all 0 or 1 are right and wrong answers."""
    binary = all(arm.metrics[which].binary for arm in counted.arms)
    return replace(metric, kind="proportion" if binary else "mean")


def _meaning(metric: Metric) -> Mapping[str, str]:
    method = "paired_mean"
    if metric.kind == "proportion":
        method = "paired_proportion" if metric.margin else "mcnemar"
    return {"test": method, "once": method, "per": "request"}


def _variant(counted: PairedTable, name: str) -> VariantResult:
    values = {
        each.metric.name: _value(counted, i, name)
        for i, each in enumerate(counted.question.metrics)
    }
    return VariantResult(name, counted.rows[name], None, values, None, None, None, None, {})


def _value(counted: PairedTable, which: int, name: str) -> float | None:
    """The mean over its pairs; None where it is known of some of them alone."""
    of_control = name == counted.control
    arm = next(arm for arm in counted.arms if of_control or arm.treatment == name)
    sums = arm.metrics[which]
    if not sums.known or not sums.labelled:
        return None
    return sums.sums[0 if of_control else 1] / sums.known + counted.shifts[which]


def _notes(counted: PairedTable) -> Iterator[Reason]:
    question = counted.question
    yield Reason("pairsSayNot")
    yield Reason("oneLookAtTable")
    for arm in counted.arms:
        left_out = arm.without_treatment + arm.without_control + arm.repeated
        if left_out:
            facts = {
                "treatment": arm.treatment,
                "pairs_count": arm.pairs,
                "without_treatment_count": arm.without_treatment,
                "without_control_count": arm.without_control,
                "repeated_count": arm.repeated,
            }
            yield Reason("unitsUnpaired", facts)
    for asked in question.metrics:
        if asked.assumed and asked.metric.role != "secondary":
            way = "higher" if asked.metric.direction == "increase" else "lower"
            yield Reason("directionAssumed", {"metric": asked.metric.name, "direction": way})
    yield from _missing_labels(counted)
    yield from _missing_values(counted)
    if counted.without_unit:
        facts = {"rows_count": counted.without_unit, "column": str(question.unit)}
        yield Reason("rowsWithoutUnit", facts)
    if counted.without_variant:
        facts = {"rows_count": counted.without_variant, "column": question.variant}
        yield Reason("rowsWithoutVariant", facts)


def _missing_labels(counted: PairedTable) -> Iterator[Reason]:
    """That pairs which agree have no label, or that some have none that differ."""
    unlabelled = [
        (arm.treatment, sums) for arm in counted.arms for sums in arm.metrics if not sums.labelled
    ]
    if unlabelled:
        yield Reason("agreementsUnlabelled")
    for treatment, sums in unlabelled:
        labels, without = sums.differ
        if without:
            counts = {"labelled_count": labels, "differ_count": labels + without}
            yield Reason("labelsOfSome", {"treatment": treatment, **counts})


def _missing_values(counted: PairedTable) -> Iterator[Reason]:
    for i, asked in enumerate(counted.question.metrics):
        if not all(arm.metrics[i].labelled for arm in counted.arms):
            continue  # that agreements have no label is said with the estimate
        for name in counted.names:
            missing = counted.missing[name][i]
            if missing.any:
                yield missing.reason(asked.metric.name, name)
