"""Says what follows from the evidence of an experiment: arithmetic, no input and no clock."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from abctl.analysis import totals
from abctl.analysis.compare import Comparing
from abctl.analysis.planned_end import planned_end, sizes
from abctl.core.analysis import Analysis, Coverage, EpochResult, VariantResult
from abctl.core.experiment import Experiment
from abctl.core.polls import GAP_INTERVALS
from abctl.core.reasons import Reason
from abctl.core.split import TOTAL_BP
from abctl.core.time import format_moment
from abctl.core.verdict import integrity_violations, verdict
from abctl.errors import SourceError
from abctl.evidence.evidence import SKEW_SECONDS, Evidence
from abctl.evidence.increments import MissingError, Samples
from abctl.evidence.streams import CounterStreams
from abctl.metrics.presets import ERRORS, LATENCY
from abctl.metrics.queries import MetricQueries
from abctl.stats import srm
from abctl.stats.estimate import NotEstimable


def judge(evidence: Evidence) -> Analysis:
    """Judge; the same evidence always gets the same answer.

    Raises:
        SourceError: there is nothing in it, or it contradicts itself.
    """
    evidence.require_whole()
    experiment, ledger, asked = evidence.experiment, evidence.ledger, evidence.telemetry
    now, samples = evidence.now, evidence.samples
    epochs, split = evidence.epochs, ledger.desired
    names = [variant.name for variant in experiment.variants]
    if samples is not None:
        _require_anything(samples, [asked.requests(name) for name in names])
        if not samples.over:
            samples = None
    started = ledger.entries[0].at if ledger.entries else None
    planned = None
    if experiment.design.test == "fixed" and samples is not None and started is not None:
        planned = planned_end(experiment, samples, asked, started)
    end = planned.end if planned else None
    if end is not None and samples is not None:
        samples = samples.until(end)
        epochs = tuple(replace(e, end=min(e.end, end)) for e in epochs if e.start < end)
        split = epochs[-1].split
    selected = evidence.selectors
    variants = tuple(totals.variant(experiment, samples, n, selected, asked) for n in names)
    from_ = ledger.counts_from(experiment.design.settle_seconds)
    streams = CounterStreams(experiment, samples, asked, _nothing_yet(from_, now))
    metrics = Comparing(experiment, streams).metrics()
    check = None if samples is None else _check_split(experiment, samples, epochs, names, asked)
    elapsed = 0.0 if started is None else max(0.0, now - started)
    shared = _shared(epochs)
    idle = [name for name in names[1:] if split and split.get(name) == 0]
    integrity = integrity_violations(
        check,
        names,
        {v.name: v.coverage for v in variants if samples and v.name in shared},
        ledger.changed_since(experiment),
    )
    return Analysis(
        experiment=experiment.name,
        at=now,
        source=evidence.place,
        preset=asked.name,
        unit=experiment.assignment.unit,
        test=experiment.design.test,
        alpha=experiment.design.alpha,
        started=started,
        elapsed_seconds=elapsed,
        min_duration_seconds=experiment.design.min_duration_seconds,
        max_duration_seconds=experiment.design.max_duration_seconds,
        epochs=epochs,
        variants=variants,
        metrics=metrics,
        srm=check,
        notes=(
            *_ended(end),
            *([Reason("planNotLocked", {})] if ledger.without_plan else ()),
            *_notes(experiment, epochs, variants, idle),
            *_before(samples, started, names, asked),
            *_late(samples, epochs, names, asked),
        ),
        verdict=verdict(
            experiment.design,
            metrics,
            elapsed_seconds=elapsed,
            integrity=(*_others(evidence), *_clocks(evidence), *integrity),
            sizes=planned.sizes if planned else tuple(sizes(experiment.design, metrics)),
            without_share=idle,
            ended=end is not None,
        ),
        remarks=asked.preset.remarks,
        current_split=ledger.desired,
        counts_from=from_,
    )


def _nothing_yet(counts_from: float | None, now: float) -> str:
    """Why nothing counts, where nothing does."""
    if counts_from is None:
        return "nothing counts yet: a change of the split is not finished"
    when = format_moment(counts_from, "seconds")
    if counts_from > now:
        return f"nothing counts yet: requests count from {when} on (design.settle)"
    return f"nothing counts yet: requests count since {when}, too few scrapes ago"


def _others(evidence: Evidence) -> Iterator[Reason]:
    """Why the ledger says nothing of these variants."""
    entries, names = evidence.ledger.entries, evidence.experiment.split.names
    if entries and (known := evidence.ledger.wanted.names) != names:
        yield Reason("otherVariants", {"ledger": list(known), "experiment": list(names)})


def _clocks(evidence: Evidence) -> Iterator[Reason]:
    """Why changes of the split are not where the ledger says, among the samples."""
    ahead, entries = evidence.ahead_seconds, evidence.ledger.entries
    if entries and not ahead:
        # Whoever wrote it had another clock than those who look now.
        ahead = min(0.0, evidence.now - entries[-1].at)
    if abs(ahead) > SKEW_SECONDS:
        yield Reason("clocksApart", {"ahead_seconds": ahead})


def _require_anything(samples: Samples, selectors: Sequence[str]) -> None:
    if not any(samples.found[selector] for selector in selectors):
        raise SourceError(
            f"{samples.place} has no sample of {selectors[0]}, nor of any other variant",
            "does it scrape the model servers, and do they call the variants by these names?",
        )


def _check_split(
    experiment: Experiment,
    samples: Samples,
    epochs: Sequence[EpochResult],
    names: Sequence[str],
    asked: MetricQueries,
) -> srm.SrmResult | NotEstimable:
    """Exposures of each variant against the ledger's split, epoch by epoch."""
    if reason := _mixed(experiment, asked):
        return NotEstimable("exposures", reason)
    chain = [asked.requests(name) for name in names]
    polls = samples.polls(chain)
    epoch = polls.epoch[polls.counted]
    shares = {e.number: [s / TOTAL_BP for s in e.split.shares_bp] for e in epochs}
    rows = [samples.rows(selector, polls) for selector in chain]
    shared = _shared(epochs)
    if unknown := [n for n, r in zip(names, rows, strict=True) if n in shared and not r.labels]:
        return NotEstimable("split", f"nobody knows the requests of {' and '.join(unknown)}")
    sequential = experiment.design.test == "sequential"
    if experiment.assignment.unit == "request":
        counts = np.array([r.total() for r in rows]).T
        by_poll = np.array([shares[number] for number in epoch])
        return (srm.sequential if sequential else srm.fixed)(counts, by_poll)
    try:
        buckets = [r.by_bucket(experiment.assignment.buckets) for r in rows]
    except MissingError as missing:
        return NotEstimable("clustered", str(missing))
    starts = np.flatnonzero(np.diff(epoch, prepend=-1))
    cells = np.stack([np.add.reduceat(b, starts, axis=0) for b in buckets], axis=1)
    by_epoch = np.array([shares[number] for number in epoch[starts]])
    return srm.clustered(cells, by_epoch, sequential=sequential)


def _shared(epochs: Sequence[EpochResult]) -> set[str]:
    """The variants that had a share while it counted."""
    return {n for e in epochs if e.counted for n in e.split.names if e.split[n]}


def _mixed(experiment: Experiment, asked: MetricQueries) -> str:
    """Why requests are not exposures: others came the same way. Empty where they are."""
    rules = experiment.assignment
    feedback = any(m.of not in (ERRORS, LATENCY, "requests") for m in experiment.metrics)
    if asked.preset.drawn or not (rules.override or rules.cohorts or feedback):
        return ""
    return f"preset {asked.name} counts forced requests, cohorts and feedback like those drawn"


def _ended(end: float | None) -> Iterator[Reason]:
    if end is not None:
        yield Reason("oneLookTaken", {"at": format_moment(end, "seconds")})


def _notes(
    experiment: Experiment,
    epochs: Sequence[EpochResult],
    variants: Sequence[VariantResult],
    idle: Sequence[str],
) -> Iterator[Reason]:
    if experiment.shadow:
        yield Reason("shadowNotJudged", {"variant": experiment.shadow.name})
    if len(idle) < len(experiment.variants) - 1:
        yield from (Reason("noShare", {"variant": name}) for name in idle)
    for epoch in epochs:
        facts = {"epoch": epoch.number, "split": epoch.split.ratios}
        if epoch.split.names != experiment.split.names:
            yield Reason("epochOfOtherVariants", facts)
        elif not epoch.counted:
            yield Reason("epochUncertain", facts)
    for variant in variants:
        if variant.outside:
            key = experiment.assignment.key or "unit"
            facts = {"variant": variant.name, "requests_count": variant.outside, "key": key}
            yield Reason("outsideExperiment", facts)
        if variant.coverage is not None:
            yield from _watched(variant.name, variant.coverage)


def _watched(name: str, watched: Coverage) -> Iterator[Reason]:
    """What is known not to be counted."""
    variant: dict[str, Any] = {"variant": name}
    if watched.restarts:
        yield Reason("restarts", variant | {"restarts_count": watched.restarts})
    if watched.gone:
        gone = {"gone_count": watched.gone, "targets_count": watched.targets}
        yield Reason("targetsGone", variant | gone)
    if watched.falls:
        yield Reason("countersFell", variant | {"falls_count": watched.falls})
    if watched.left_out:
        yield Reason("aroundChanges", variant | {"requests_count": watched.left_out})
    if watched.unseen:
        yield Reason("beforeFirstScrape", variant | {"requests_count": watched.unseen})


def _before(
    samples: Samples | None, started: float | None, names: Sequence[str], asked: MetricQueries
) -> Iterator[Reason]:
    """What came after the start, and before the first period that counts."""
    if samples is None or started is None:
        return
    for name in names:
        count = samples.before(asked.requests(name), started)
        facts = {"variant": name, "counts_from": format_moment(samples.windows[0].start, "seconds")}
        if count is None:
            yield Reason("beforeFirstPeriodUnknown", facts)
        elif count:
            yield Reason("beforeFirstPeriod", facts | {"requests_count": count})


def _late(
    samples: Samples | None,
    epochs: Sequence[EpochResult],
    names: Sequence[str],
    asked: MetricQueries,
) -> Iterator[Reason]:
    """Variants whose first scrape came long after they had a share."""
    if samples is None:
        return
    for name in (name for name in names if name in _shared(epochs)):
        due = min(e.start for e in epochs if e.counted and e.split.get(name))
        scraped = [float(s.times[0]) for s in samples.found.get(asked.requests(name), ())]
        if scraped and (missing := min(scraped) - due) > GAP_INTERVALS * samples.interval_seconds:
            yield Reason("startUnknown", {"variant": name, "missing_seconds": missing})
