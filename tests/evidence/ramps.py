"""Experiments with a ramp, and analyses of which only is said what a ramp looks at."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from estimates import PLAIN

from abctl.core.analysis import (
    Analysis,
    Comparison,
    EpochResult,
    MetricResult,
    VariantResult,
    Verdict,
    VerdictKind,
)
from abctl.core.experiment import Assignment, Design, Experiment, Metric, Model, Variant
from abctl.core.ledger import Entry, Ledger, Word
from abctl.core.ramp import Ramp
from abctl.core.reasons import Reason
from abctl.core.split import TOTAL_BP, Split
from abctl.core.worst import Worst
from abctl.stats.delta import Delta

MARGIN = Delta(0.005, relative=False)
HOLD = 600.0
RAMP = Ramp((100, 500, 1000, 2500, 5000), hold_seconds=HOLD)


def split(*treatments_bp: int) -> Split:
    names = ("control", *("treatment", "other", "third")[: len(treatments_bp)])
    return Split(names, (TOTAL_BP - sum(treatments_bp), *treatments_bp))


def experiment(ramp: Ramp = RAMP, treatments: int = 1) -> Experiment:
    first = split(*[0] * treatments)
    return Experiment(
        "iris",
        "models",
        "envoy",
        Assignment("request", "", "iris"),
        tuple(Variant(name, Model("iris", name)) for name in first.names),
        first,
        metrics=(
            Metric("accuracy", "primary", "proportion", "accuracy", "increase", mde=MARGIN),
            Metric("errors", "guardrail", "proportion", "errors", "decrease", margin=MARGIN),
        ),
        source=None,
        design=Design(),
        ramp=ramp,
    )


def ledger(*splits: Split, every_seconds: float = 3600.0) -> Ledger:
    """A ledger of splits that were in effect one after the other."""
    found = Ledger("{}")
    for i, (before, after) in enumerate(zip((None, *splits), splits, strict=False)):
        found = found.with_entry(Entry(i * every_seconds, "ann", before, after, "", "applied"))
    return found


def said(known: Ledger, phase: Word, *parts: str, why: str = "") -> Ledger:
    at, now = known.entries[-1].at + 1.0, known.wanted
    return known.with_entry(Entry(at, "ann", now, now, why, phase, parts=parts))


def analysis(
    known: Ledger,
    ratios: Mapping[str, Sequence[float | None]],
    *,
    kind: VerdictKind = "continue",
    stopped: Mapping[str, Reason] | None = None,
    polls: int = 5,
    **more: Any,
) -> Analysis:
    """What is known: by treatment, the ratio of each metric's bound to what is allowed."""
    now = known.present or known.wanted
    metrics = tuple(
        MetricResult(
            name,
            role,  # type: ignore[arg-type]
            "proportion",
            name,
            "decrease",
            None,
            None,
            MARGIN,
            "proportion_sequence",
            {},
            (),
            polls,
            tuple(
                Comparison(treatment, PLAIN, (), worst=Worst(MARGIN, 0.025, _harm(each[i])))
                for treatment, each in ratios.items()
            ),
        )
        for i, (name, role) in enumerate((("accuracy", "primary"), ("errors", "guardrail")))
    )
    each = tuple(
        Verdict("stop", name, (stopped[name],))
        if stopped and name in stopped
        else Verdict("ship" if kind == "ship" else "continue", name, ())
        for name in ratios
    )
    if stopped:
        verdict = Verdict("stop", next(iter(stopped)), tuple(stopped.values()), each)
    elif kind == "invalid":
        verdict = Verdict("invalid", None, (Reason("planChanged", {"parts": ["metrics"]}),))
    else:
        verdict = Verdict(kind, next(iter(ratios)), (), each)
    begun = known.counts_from(0.0)
    found = Analysis(
        experiment="iris",
        at=begun or 0.0,
        source="there",
        preset="abctl",
        unit="request",
        test="horizon",
        alpha=0.05,
        started=0.0,
        elapsed_seconds=1e5,
        min_duration_seconds=0.0,
        max_duration_seconds=1e6,
        epochs=(EpochResult(0, 0.0, 1000.0, now, counted=True, polls=polls),),
        variants=tuple(
            VariantResult(n, 1000.0, None, {}, None, None, None, None, {}) for n in now.names
        ),
        metrics=metrics,
        srm=None,
        notes=(),
        verdict=verdict,
        current_split=now,
        counts_from=begun,
    )
    return replace(found, **more)


def _harm(ratio: float | None) -> float | None:
    return None if ratio is None else ratio * MARGIN.value
