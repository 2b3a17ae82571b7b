"""Says what follows from the evidence of an experiment: arithmetic, no input and no clock."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from abctl.analysis import apart, on_record, totals
from abctl.analysis.beside import Besides
from abctl.analysis.compare import Comparing
from abctl.analysis.counters_and_units import CountersAndUnits
from abctl.analysis.judge_units import OfUnits
from abctl.analysis.late import Late
from abctl.analysis.meaning import as_counted
from abctl.analysis.planned_end import planned_end, sizes
from abctl.analysis.reported import few_reports
from abctl.analysis.split import check_split, shared
from abctl.analysis.totals import SeenAnswers, by_servers, seen_answers, silences
from abctl.core.analysis import Analysis, Coverage, EpochResult, VariantResult, Verdict
from abctl.core.doubts import Doubts, accepted
from abctl.core.experiment import Experiment
from abctl.core.ledger import Ledger
from abctl.core.polls import GAP_INTERVALS
from abctl.core.reasons import Reason
from abctl.core.time import format_moment
from abctl.core.verdict import integrity_violations, verdict
from abctl.errors import SourceError
from abctl.evidence import collected, logged
from abctl.evidence.births import births
from abctl.evidence.evidence import SKEW_SECONDS, Evidence
from abctl.evidence.increments import Samples
from abctl.evidence.streams import CounterStreams
from abctl.metrics.presets import ERRORS, LATENCY
from abctl.metrics.queries import MetricQueries


def judge(evidence: Evidence, units: OfUnits | None = None, looks: int = 0) -> Analysis:
    """Judge; the same evidence always gets the same answer.

    Args:
        evidence: of counters, and the ledger.
        units: what tables say besides, of the metrics that they have.
        looks: of so many at most the path of each effect is told; 0: of none.

    Raises:
        SourceError: there is nothing in it, or it contradicts itself.
    """
    evidence.require_whole()
    ledger, asked = evidence.ledger, evidence.telemetry
    locked = ledger.meaning_of(evidence.experiment)
    experiment = replace(evidence.experiment, meaning=locked)
    now, samples = evidence.now, evidence.samples
    epochs, split = evidence.epochs, ledger.present
    names = [variant.name for variant in experiment.variants]
    if samples is not None:
        _require_anything(samples, [asked.requests(name) for name in names])
        if not samples.over:
            samples = None
    started = None if ledger.began is None else max(ledger.began, ledger.amended_at)
    planned = None
    if experiment.design.test == "fixed" and samples is not None and started is not None:
        planned = planned_end(experiment, samples, asked, started)
    end = planned.end if planned else None
    if end is not None and samples is not None:
        samples = samples.until(end)
        epochs = tuple(replace(e, end=min(e.end, end)) for e in epochs if e.start < end)
        split = epochs[-1].split
    if samples is not None:
        over = samples.grid.of_epochs
        epochs = tuple(replace(each, polls=over.get(each.number, 0)) for each in epochs)
    whole = as_counted(experiment, samples, asked)
    experiment = whole.by_counters
    seen = seen_answers(samples, asked, names)
    from_ = ledger.counts_from(experiment.design.settle_seconds)
    streams = CounterStreams(experiment, samples, asked, _nothing_yet(from_, now))
    by = {metric.name: streams.queries(metric) for metric in experiment.metrics}
    variants = tuple(totals.variant(experiment, samples, n, by, asked, seen=seen) for n in names)
    besides = Besides(experiment, streams, seen)
    late = None
    if samples is not None and evidence.recent is not None:
        fine = next(iter(evidence.recent), None)
        late = Late(experiment, fine, asked, samples.windows[0].start)
    told = streams if units is None else CountersAndUnits(streams, units.streams)
    comparing = Comparing(whole, told, besides, late, looks)
    metrics = comparing.metrics()
    counted = [metric for metric in metrics if metric.name in by]
    refusals = tuple(filter(None, map(besides.refusals, names[1:])))
    check = None if samples is None else check_split(experiment, samples, epochs, names, asked)
    elapsed = 0.0 if started is None else max(0.0, now - started)
    with_share = shared(epochs)
    idle = [name for name in names[1:] if split and split.get(name) == 0]
    silent = silences(evidence.silences, seen, ledger.desired)
    reports = tuple(comparing.reporting.suspect(experiment))
    doubts = replace(_born(streams, ledger), silent=silent, refusals=refusals, reports=reports)
    integrity = integrity_violations(
        check,
        names,
        {v.name: v.coverage for v in variants if samples and v.name in with_share},
        ledger.changed_since(whole),
    )
    said = verdict(
        experiment.design,
        metrics,
        elapsed_seconds=elapsed,
        integrity=(
            *_others(evidence),
            *_clocks(evidence),
            *_uncountable(samples, epochs, names, asked),
            *integrity,
            *(units.integrity() if units else ()),
        ),
        doubts=doubts,
        sizes=planned.sizes if planned else tuple(sizes(experiment.design, metrics)),
        without_share=idle,
        ended=end is not None,
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
        variants=variants if units is None else tuple(units.beside(variants)),
        metrics=metrics,
        srm=check,
        notes=(
            *on_record.ended(end),
            *on_record.unfinished(ledger),
            *on_record.amended(ledger),
            *on_record.accepted(ledger),
            *on_record.set_back(ledger),
            *([Reason("planNotLocked", {})] if ledger.without_plan else ()),
            *_besides(doubts, said),
            *apart.restarts_alone(variants),
            *apart.disagreeing(seen, by_servers(samples, asked, names), variants),
            *apart.servers_alone(counted, {m.name: m for m in experiment.metrics}, samples, asked),
            *_notes(experiment, epochs, variants, idle),
            *few_reports(streams, experiment),
            *_collector(experiment, samples, asked),
            *logged.doubts(samples, asked),
            *_absent(samples, names, asked),
            *_before(samples, started, names, asked),
            *_late(samples, epochs, names, asked),
            *(units.notes() if units else ()),
        ),
        verdict=said,
        remarks=_remarks(asked, seen),
        current_split=ledger.present,
        counts_from=from_,
        refusals=refusals,
        segments=units.segments if units else (),
    )


def _born(streams: CounterStreams, ledger: Ledger) -> Doubts:
    """Values of unknown age, by whether they were there when somebody accepted them."""
    known = accepted(ledger)
    at = known["bornUnknown"].at if "bornUnknown" in known else -math.inf
    return Doubts(
        births=tuple(births(streams, after=at)),
        accepted_births=tuple(births(streams, until=at)),
        accepted=tuple(known),
    )


def _remarks(asked: MetricQueries, seen: SeenAnswers | None) -> Mapping[str, str]:
    """How what is told of each variant was measured."""
    if seen is None or seen.view == "servers":
        return asked.preset.remarks
    theirs = seen.queries.preset.remarks
    kept = {ERRORS} | ({LATENCY} if seen.times else set())
    return {**asked.preset.remarks, **{k: v for k, v in theirs.items() if k in kept}}


def _nothing_yet(counts_from: float | None, now: float) -> Reason:
    """Why nothing counts, where nothing does."""
    if counts_from is None:
        return Reason("splitChanging")
    when = {"counts_from": format_moment(counts_from, "seconds")}
    return Reason("countsFrom" if counts_from > now else "tooFewScrapes", when)


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


def _uncountable(
    samples: Samples | None,
    epochs: Sequence[EpochResult],
    names: Sequence[str],
    asked: MetricQueries,
) -> Iterator[Reason]:
    """Variants with a share whose requests cannot be counted."""
    with_share = shared(epochs)
    for name in names if samples else ():
        assert samples is not None
        if name in with_share and (why := samples.trouble(asked.requests(name))):
            facts = {"variant": name, "cause": why.code, "detail": why.text}
            yield Reason("requestsUncountable", facts)


def _require_anything(samples: Samples, selectors: Sequence[str]) -> None:
    if not any(samples.found[each] or samples.trouble(each) for each in selectors):
        raise SourceError(
            f"{samples.place} has no sample of {selectors[0]}, nor of any other variant",
            "does it scrape the model servers, and do they call the variants by these names?",
        )


def _besides(doubts: Doubts, said: Verdict) -> Iterator[Reason]:
    """What keeps a treatment from being shipped, where the verdict does not say it."""
    named = (each.treatment for each in doubts.refusals)
    treatments = dict.fromkeys((*named, *(r.facts["treatment"] for r in doubts.reports), ""))
    found = dict.fromkeys(reason for name in treatments for reason in doubts.told(name))
    yield from (reason for reason in found if reason not in said.reasons)


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


def _collector(
    experiment: Experiment, samples: Samples | None, asked: MetricQueries
) -> Iterator[Reason]:
    """What is wrong with a collector; evidence of before does not say it."""
    found = {} if samples is None else samples.found
    asked_for = collected.selectors(experiment, asked)
    yield from collected.doubts({s: found[s] for s in asked_for if s in found})


def _absent(
    samples: Samples | None, names: Sequence[str], asked: MetricQueries
) -> Iterator[Reason]:
    """Variants that had nothing to be scraped for a while, or were called otherwise."""
    for name in names if samples else ():
        assert samples is not None
        selector = asked.requests(name)
        if seconds := samples.absent_seconds(selector):
            yield Reason("scaledToZero", {"variant": name, "absent_seconds": round(seconds, 3)})
        if labels := samples.renamed(selector):
            yield Reason("labelsChanged", {"variant": name, "labels": list(labels)})


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
    for name in (name for name in names if name in shared(epochs)):
        due = min(e.start for e in epochs if e.counted and e.split.get(name))
        selector = asked.requests(name)
        scraped = [float(s.times[0]) for s in samples.found.get(selector, ())]
        if scraped and selector in samples.absent:
            scraped.append(float(samples.absent[selector][0]))
        if scraped and (missing := min(scraped) - due) > GAP_INTERVALS * samples.interval_seconds:
            yield Reason("startUnknown", {"variant": name, "missing_seconds": missing})
