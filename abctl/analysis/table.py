"""Judges what was counted in a table of events: one look, without a ledger; no input and no clock.

Each metric comes as independent units, so the methods are those of requests: means and ratios by
Welch, shares of units as shares, quantiles with as many rows as tell as much.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from abctl.analysis.compare import Comparing
from abctl.analysis.one_look import analysis_of, equal_split, experiment_of, too_small
from abctl.analysis.segments import Part, few, judged, mismatches
from abctl.core.analysis import Analysis, VariantResult
from abctl.core.experiment import Experiment, Metric
from abctl.core.reasons import Reason
from abctl.core.split import TOTAL_BP, Split
from abctl.core.verdict import units_mismatch, verdict
from abctl.evidence.reports import Pair
from abctl.evidence.streams import MetricStreams, Streams
from abctl.stats import srm
from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.fixed.reference import equal_shares
from abctl.stats.methods import welch
from abctl.stats.summary import Stream, SummaryError
from abctl.tables.counted import Arm, CountedSegment, CountedTable
from abctl.tables.segments import MOST_VALUES

MIXED_RATIO = 0.005
"""Units of a variant that may have seen another one as well."""
_ALPHA = 0.001


@dataclass(frozen=True, eq=False)
class TableStreams(Streams):
    """Streams of one poll, of what was counted in a table; see `Streams`."""

    counted: CountedTable

    def of(self, metric: Metric) -> MetricStreams:
        """See `Streams`."""
        which = self._which(metric)
        control, *treatments = self.counted.arms
        pairs = {arm.name: self._pair(which, control, arm) for arm in treatments}
        return MetricStreams({arm.name: {} for arm in self.counted.arms}, 1, pairs)

    def remarks(self, metric: Metric) -> Iterator[Reason]:
        """See `Streams`."""
        which = self._which(metric)
        asked = self.counted.question.metrics[which]
        if (cap := self.counted.caps.get(which)) is not None:
            yield Reason("capped", {"outcome": asked.column or "rows", "cap": cap, "per": "user"})
        if asked.aggregate != "quantile":
            return
        for arm in self.counted.arms:
            sums = arm.values[which]
            if (effect := sums.design_effect()) > 1.0:
                counts = {"effective_count": sums.n / effect, "rows_count": sums.n}
                yield Reason("unitsAlike", {"variant": arm.name, **counts})

    def _which(self, metric: Metric) -> int:
        names = [each.metric.name for each in self.counted.question.metrics]
        return names.index(metric.name)

    def _pair(self, which: int, control: Arm, treatment: Arm) -> Pair:
        asked = self.counted.question.metrics[which]
        over = control.values[which].units and treatment.values[which].units
        if asked.aggregate == "retention" and not over:
            return Reason("windowsOpen", {"window_seconds": asked.window})
        if (unlike := _missing_unlike(which, control, treatment)) is not None:
            return unlike
        if min(control.units, treatment.units) >= welch.MIN_N:
            for arm in (control, treatment):
                if (few := self.counted.few(arm, which)) is not None:
                    return Reason.of(few)
        try:
            both = [self.counted.summary(arm, which) for arm in (control, treatment)]
            return Stream(both[0], both[1], np.zeros(1, dtype=np.int64))
        except SummaryError as error:
            return Reason("tooLarge", {"detail": str(error)})


def _missing_unlike(which: int, control: Arm, treatment: Arm) -> Reason | None:
    """That one variant has more rows without a number, beyond chance."""
    a, b = control.missing_sums[which], treatment.missing_sums[which]
    if not a.units or not b.units or a.ratio == b.ratio or a.few() or b.few():
        return None
    stream = Stream(a.as_ratio(), b.as_ratio(), np.zeros(1, dtype=np.int64))
    found = welch.estimate(stream, Plan(alpha=_ALPHA))
    certain = isinstance(found, NotEstimable) and found.why.code == "noVariance"
    if not certain and not (isinstance(found, Estimate) and found.rejects):
        return None
    p = found.p if isinstance(found, Estimate) else 0.0
    ratios = {"control_ratio": a.ratio, "treatment_ratio": b.ratio}
    return Reason("missingDiffers", {"treatment": treatment.name, **ratios, "p": p})


def judge_table(counted: CountedTable, split: Split | None, now: float) -> Analysis:
    """What follows from a table.

    Args:
        counted: what was counted in it.
        split: as it was ordered; None: nobody says, so that equal shares are taken.
        now: unix seconds, when it was read.
    """
    question, names = counted.question, counted.names
    ordered = split or equal_split(names)
    # Exact thirds, where basis points are not.
    shares = [s / TOTAL_BP for s in ordered.shares_bp] if split else [1 / len(names)] * len(names)
    units = [[arm.units for arm in counted.arms]]
    check = srm.fixed(units, [shares])
    experiment = experiment_of(
        counted.place,
        question.alpha,
        ordered,
        (_as_summarized(counted, i, each.metric) for i, each in enumerate(question.metrics)),
    )
    metrics = Comparing(experiment, TableStreams(counted)).metrics()
    segments = judged(_part(counted, each, experiment, shares) for each in counted.segments)
    mismatch = isinstance(check, srm.SrmResult) and check.mismatch
    said = verdict(
        experiment.design,
        metrics,
        elapsed_seconds=0.0,
        integrity=(
            *([units_mismatch(check, names)] if mismatch else ()),  # type: ignore[arg-type]
            *_mixed(counted.arms),
            *mismatches(segments, names),
        ),
        ended=True,
    )
    found = analysis_of(
        experiment,
        metrics,
        said,
        now,
        unit="user" if question.unit else "request",
        variants=(_variant(counted, arm) for arm in counted.arms),
        srm=check,
        notes=(
            *_notes(counted, None if split else ordered),
            *too_small(experiment.design, metrics),
            *few(segments),
            *_unsegmented(counted),
        ),
    )
    return replace(found, segments=segments)


def _part(
    counted: CountedTable, segment: CountedSegment, whole: Experiment, shares: Sequence[float]
) -> Part:
    """A segment, as a table of its own."""
    alone = replace(counted, arms=segment.arms, segments=())
    asked = enumerate(counted.question.metrics)
    metrics = tuple(_as_summarized(alone, i, each.metric) for i, each in asked)
    units = tuple(arm.units for arm in segment.arms)
    comparing = Comparing(replace(whole, metrics=metrics), TableStreams(alone))
    return Part(segment.column, segment.value, units, srm.fixed([units], [shares]), comparing)


def _unsegmented(counted: CountedTable) -> Iterator[Reason]:
    for column, (rare, several) in counted.unsegmented.items():
        if rare:
            facts = {"column": column, "units_count": rare, "most_count": MOST_VALUES}
            yield Reason("segmentsRare", facts)
        if several:
            yield Reason("segmentsSeveral", {"column": column, "units_count": several})


def _as_summarized(counted: CountedTable, which: int, metric: Metric) -> Metric:
    """A share of rows, where units have several, is a ratio: a mean of its linearization."""
    ratio = metric.kind == "proportion" and not counted.is_share(which)
    return replace(metric, kind="mean") if ratio else metric


def _variant(counted: CountedTable, arm: Arm) -> VariantResult:
    values = {
        each.metric.name: counted.value(arm, i) for i, each in enumerate(counted.question.metrics)
    }
    return VariantResult(arm.name, arm.rows, None, values, None, None, None, None, {})


def _mixed(arms: Sequence[Arm]) -> Iterator[Reason]:
    """Units that saw several variants: too many, or more of one variant's than of another's."""
    for arm in arms:
        total = arm.units + arm.mixed
        if total and arm.mixed / total > MIXED_RATIO:
            facts = {"variant": arm.name, "units_count": arm.mixed, "total_count": total}
            yield Reason("unitsMixed", {**facts, "limit_ratio": MIXED_RATIO})
    control = arms[0]
    for arm in arms[1:]:
        cells = np.array([[each.mixed, each.units] for each in (control, arm)])
        p, _ = equal_shares(cells)
        if p <= _ALPHA:
            ratios = cells[:, 0] / cells.sum(axis=1)
            facts = {"control_ratio": float(ratios[0]), "treatment_ratio": float(ratios[1])}
            yield Reason("unitsMixedDiffer", {"treatment": arm.name, **facts, "p": p})


def _notes(counted: CountedTable, assumed: Split | None) -> Iterator[Reason]:
    question = counted.question
    yield Reason("noLedger")
    yield Reason("oneLookAtTable")
    if assumed is not None:
        yield Reason("splitAssumed", {"split": assumed.ratios})
    if question.unit is None:
        yield Reason("rowsAreUnits")
    for asked in question.metrics:
        if asked.assumed and asked.metric.role != "secondary":
            way = "higher" if asked.metric.direction == "increase" else "lower"
            yield Reason("directionAssumed", {"metric": asked.metric.name, "direction": way})
    for i, asked in enumerate(question.metrics):
        if asked.aggregate == "retention" and (count := counted.open(i)):
            facts = {"units_count": int(count), "window_seconds": asked.window}
            yield Reason("unitsOpen", facts)
    if counted.timeless:
        table = f"metrics by {question.at}"
        yield Reason("rowsWithoutTime", {"table": table, "rows_count": counted.timeless})
    yield from _missing_values(counted)
    yield from _left_out(counted)
    if counted.repeated:
        yield Reason("rowsRepeated", {"rows_count": counted.repeated})


def _missing_values(counted: CountedTable) -> Iterator[Reason]:
    question = counted.question
    for arm in counted.arms:
        for asked, missing in zip(question.metrics, arm.missing, strict=True):
            if missing.any and (asked.aggregate != "count" or asked.column is not None):
                yield missing.reason(asked.metric.name, arm.name)


def _left_out(counted: CountedTable) -> Iterator[Reason]:
    """Rows that are of nobody, or of nobody who is compared."""
    question = counted.question
    if mixed := max(arm.mixed for arm in counted.arms):
        total = sum(arm.units for arm in counted.arms) + mixed
        yield Reason("unitsMixedFew", {"units_count": mixed, "total_count": total})
    if counted.without_unit:
        facts = {"rows_count": counted.without_unit, "column": str(question.unit)}
        yield Reason("rowsWithoutUnit", facts)
    if counted.without_variant:
        facts = {"rows_count": counted.without_variant, "column": question.variant}
        yield Reason("rowsWithoutVariant", facts)
    if counted.unknown:
        facts = {"variants": list(counted.unknown), "rows_count": sum(counted.unknown.values())}
        yield Reason("variantsUnknown", facts)
