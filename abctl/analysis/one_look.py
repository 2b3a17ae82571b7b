"""What any judgement of a table at one look, without a ledger, has in common."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from abctl.analysis.planned_end import sizes
from abctl.core.analysis import Analysis, EpochResult, MetricResult, VariantResult, Verdict
from abctl.core.experiment import Assignment, Design, Experiment, Metric, Model, Unit, Variant
from abctl.core.reasons import Reason
from abctl.core.split import TOTAL_BP, Split
from abctl.stats.estimate import NotEstimable
from abctl.stats.srm import SrmResult

PRESET = "table"


def equal_split(names: Sequence[str]) -> Split:
    """Equal shares, as nearly as basis points allow."""
    share, left = divmod(TOTAL_BP, len(names))
    return Split(tuple(names), tuple(share + (i < left) for i in range(len(names))))


def experiment_of(
    place: str,
    alpha: float,
    split: Split,
    metrics: Iterable[Metric],
    meaning: Mapping[str, Mapping[str, str]] | None = None,
) -> Experiment:
    """A table as an experiment that is looked at once.

    Args:
        place: of the table.
        alpha: the level of the experiment.
        split: of its variants, the control first.
        metrics: what is judged.
        meaning: by metric, which test it has; left out, the one of its kind.
    """
    design = Design(test="fixed", alpha=alpha, min_duration_seconds=0.0, max_duration_seconds=0.0)
    return Experiment(
        name=place,
        namespace="",
        platform="",
        # What is handed over is independent: the sums are of units.
        assignment=Assignment("request", "", ""),
        variants=tuple(Variant(name, Model(name, name)) for name in split.names),
        split=split,
        metrics=tuple(metrics),
        source=None,
        design=design,
        meaning=meaning or {},
    )


def analysis_of(
    experiment: Experiment,
    metrics: tuple[MetricResult, ...],
    said: Verdict,
    now: float,
    *,
    unit: Unit,
    variants: Iterable[VariantResult],
    srm: SrmResult | NotEstimable,
    notes: Iterable[Reason],
) -> Analysis:
    """What was found, as of one epoch.

    Args:
        experiment: see `experiment_of`.
        metrics: what was compared.
        said: the verdict.
        now: unix seconds, when the table was read.
        unit: `user` or `request`.
        variants: what each of them has.
        srm: whether units follow the split.
        notes: what is told of the table.
    """
    design, place, split = experiment.design, experiment.name, experiment.split
    return Analysis(
        experiment=place,
        at=now,
        source=place,
        preset=PRESET,
        unit=unit,
        test="fixed",
        alpha=design.alpha,
        started=None,
        elapsed_seconds=0.0,
        min_duration_seconds=0.0,
        max_duration_seconds=0.0,
        epochs=(EpochResult(0, now, now, split, counted=True),),
        variants=tuple(variants),
        metrics=metrics,
        srm=srm,
        notes=tuple(notes),
        verdict=said,
        current_split=split,
        counts_from=now,
    )


def too_small(design: Design, metrics: Sequence[MetricResult]) -> Iterator[Reason]:
    """Which primaries have fewer units than find their mde."""
    for size in sizes(design, metrics):
        if size.reached < size.needed:
            yield Reason(
                "sizeNotReached",
                {
                    "metric": size.metric,
                    "treatment": size.treatment,
                    "reached_count": size.reached,
                    "needed_count": size.needed,
                    "expected_seconds": None,
                },
            )
