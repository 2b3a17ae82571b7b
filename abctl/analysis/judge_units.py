"""Judges what tables of exposures and events have; no input and no clock.

What they say of the split, of whom it sent where, and of rows that are left out stands beside it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from abctl.analysis.compare import Comparing
from abctl.analysis.planned_end import sizes
from abctl.analysis.segments import Part, few, judged, mismatches
from abctl.analysis.units import UnitStreams
from abctl.core.analysis import Analysis, EpochResult, VariantResult
from abctl.core.experiment import Experiment
from abctl.core.ledger import Ledger
from abctl.core.reasons import Reason
from abctl.core.segments import Segment
from abctl.core.split import TOTAL_BP
from abctl.core.time import format_moment
from abctl.core.verdict import units_mismatch, verdict
from abctl.stats import srm
from abctl.stats.estimate import NotEstimable
from abctl.stats.srm import SrmResult
from abctl.tables.segments import EMPTY, RARE, SEVERAL
from abctl.tables.units import SegmentCells, UnitEvidence

PRESET = "events"
_DAY_SECONDS = 86_400.0
WRONG_RATIO = 0.005
"""Units that may have seen a variant that was not theirs."""


@dataclass(frozen=True, eq=False)
class OfUnits:
    """What tables say of an experiment.

    Args:
        experiment: what is asked, with all of its metrics.
        evidence: what was counted.
        ledger: what happened to the split; None where nobody kept one.
    """

    experiment: Experiment
    evidence: UnitEvidence
    ledger: Ledger | None = None

    @cached_property
    def streams(self) -> UnitStreams:
        """What was counted of each metric."""
        return UnitStreams(self.experiment.by_tables, self.evidence, self.ledger, self.end)

    @property
    def started(self) -> float | None:
        """When the experiment started (unix seconds): without a ledger, at the first exposure."""
        if self.ledger is not None:
            return self.ledger.began
        known = (self.evidence.exposures.get(name) for name in self.evidence.asked.names)
        return min(each.earliest for each in known if each and each.earliest is not None)

    @property
    def end(self) -> float | None:
        """Up to when days are judged with one look; None for all."""
        if self.experiment.design.test != "fixed" or self.ledger is None or self.started is None:
            return None
        return self.started + self.experiment.design.max_duration_seconds

    @property
    def ended(self) -> bool:
        """Whether the one look is due: without a ledger, whenever somebody looks."""
        if self.end is None:
            return self.experiment.design.test == "fixed"
        last = self.evidence.grid.day_of(self.end) - 1
        every = range(len(self.evidence.asked.metrics))
        return all(self.evidence.closed(i, last) for i in every)

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """What there is to say of each segment."""
        parts = [
            self._part(each) for each in self.evidence.segments if each.code >= EMPTY and each.cells
        ]
        return judged(parts, often=self.experiment.design.test != "fixed")

    def _part(self, segment: SegmentCells) -> Part:
        alone = replace(self, evidence=replace(self.evidence, cells=segment.cells, segments=()))
        comparing = Comparing(self.experiment.by_tables, alone.streams)
        units = tuple(sum(each) for each in zip(*(row for row, _ in alone.arrived), strict=True))
        return Part(segment.column, segment.value, units, alone.split, comparing)

    @cached_property
    def split(self) -> SrmResult | NotEstimable:
        """Whether units follow the split."""
        if not self.arrived:
            names = self.evidence.asked.names
            return srm.fixed([[0.0] * len(names)], [[1 / len(names)] * len(names)])
        check = srm.fixed if self.experiment.design.test == "fixed" else srm.sequential
        counts, shares = zip(*self.arrived, strict=True)
        return check(np.array(counts), np.array(shares))

    @cached_property
    def arrived(self) -> list[tuple[list[float], list[float]]]:
        """Of each day and epoch the units of each variant first exposed then, and its shares."""
        found = list[tuple[list[float], list[float]]]()
        names, days = self.evidence.asked.names, dict[tuple[int, int], list[float]]()
        places = {period.number: period.place for period in self.evidence.grid.periods}
        for cell in self.evidence.cells:
            if cell.epoch is None:
                continue
            row = days.setdefault((cell.epoch, cell.day), [0.0] * len(names))
            k = self.streams.variant_of(cell, {places[cell.epoch]})
            if isinstance(k, int):
                row[k] += cell.units
        for (epoch, _), row in sorted(days.items()):
            split = self.evidence.splits[places[epoch]]
            found.append((row, [share / TOTAL_BP for share in split.shares_bp]))
        return found

    def integrity(self) -> Iterator[Reason]:
        """Why the tables cannot be trusted."""
        locked = {said["tables"] for said in self.experiment.meaning.values() if "tables" in said}
        if locked - {self.evidence.asked.tables.definition}:
            yield Reason("planChanged", {"parts": ["source.table"]})
        if isinstance(self.split, SrmResult) and self.split.mismatch:
            yield units_mismatch(self.split, self.evidence.asked.names)
        yield from mismatches(self.segments, self.evidence.asked.names)
        for code, count in self._strayed():
            total = self._units
            if count > WRONG_RATIO * total:
                facts = {"units_count": float(count), "total_count": float(total)}
                yield Reason(code, facts | {"limit_ratio": WRONG_RATIO})

    def notes(self) -> Iterator[Reason]:
        """What a reader should know besides."""
        if self.ledger is None:
            yield Reason("noLedger")
            yield Reason("splitOfFile", {"split": self.experiment.split.ratios})
            if self.experiment.design.test == "fixed":
                yield Reason("oneLookAtTable")
        for code, count in self._strayed():
            if 0 < count <= WRONG_RATIO * self._units:
                facts = {"units_count": float(count), "total_count": float(self._units)}
                yield Reason(f"{code}Few", facts)
        yield from self._behind()
        if outside := sum(cell.units for cell in self.evidence.cells if cell.epoch is None):
            yield Reason("unitsAroundChanges", {"units_count": outside})
        for each in self.evidence.changed:
            counts = {"rows_count": each.rows, "days_count": each.days}
            yield Reason("closedDaysChanged", {"table": each.of, **counts, "first": each.first})
        yield from self._not_judged()
        yield from few(self.segments)
        yield from self._of_segments()
        yield from self._of_exposures()
        yield from self._of_events()

    def variants(self) -> tuple[VariantResult, ...]:
        """The exposures of each variant, and its values over all days that count."""
        found = list[VariantResult]()
        for k, name in enumerate(self.evidence.asked.names):
            rows = self.evidence.exposures.get(name)
            values = {
                metric.name: self.streams.value(i, k)
                for i, metric in enumerate(self.evidence.asked.metrics)
            }
            count = float(rows.rows - rows.early - rows.future) if rows else 0.0
            found.append(VariantResult(name, count, None, values, None, None, None, None, {}))
        return tuple(found)

    def beside(self, counted: Iterable[VariantResult]) -> Iterator[VariantResult]:
        """What counters say of each variant, with its values of tables."""
        for one, other in zip(counted, self.variants(), strict=True):
            yield replace(one, values={**one.values, **other.values})

    @cached_property
    def _units(self) -> int:
        return sum(cell.units for cell in self.evidence.cells)

    def _strayed(self) -> Iterator[tuple[str, int]]:
        """Units that saw what they should not have seen."""
        if self.evidence.grid.hashed:
            yield "unitsWrong", sum(cell.wrong for cell in self.evidence.cells)
        else:
            several = (cell.units for cell in self.evidence.cells if cell.seen is None)
            yield "unitsSeveral", sum(several)

    def _behind(self) -> Iterator[Reason]:
        asked = self.evidence.asked
        behind = asked.until - self.evidence.through
        if self.ledger is not None and behind > asked.tables.late_seconds + _DAY_SECONDS:
            latest = format_moment(self.evidence.through, "seconds")
            yield Reason("tablesBehind", {"latest": latest, "behind_seconds": behind})

    def _not_judged(self) -> Iterator[Reason]:
        told = set[tuple[str, int, float]]()
        for i, metric in enumerate(self.evidence.asked.metrics):
            window = metric.window_seconds or 0.0
            for why, count in self.streams.left_out(i).items():
                code = {"open": "unitsOpen", "moved": "unitsMoved"}.get(why)
                if not count or code is None or (code, count, window) in told:
                    continue
                told.add((code, count, window))
                yield Reason(code, {"units_count": count, "window_seconds": window})

    def _of_segments(self) -> Iterator[Reason]:
        codes = {RARE: "segmentsRare", SEVERAL: "segmentsSeveral"}
        for each in self.evidence.segments:
            units = sum(cell.units for cell in each.cells)
            if units and (code := codes.get(each.code)):
                of = (s for s in self.evidence.segments if s.column == each.column and s.code >= 0)
                most = {"most_count": len(list(of))} if each.code == RARE else {}
                yield Reason(code, {"column": each.column, "units_count": units, **most})

    def _of_exposures(self) -> Iterator[Reason]:
        names = self.evidence.asked.names
        others = {
            name: each.rows
            for name, each in self.evidence.exposures.items()
            if name is not None and name not in names
        }
        if others:
            facts = {"variants": sorted(others), "rows_count": sum(others.values())}
            yield Reason("exposuresOfOthers", facts)
        nameless = self.evidence.exposures.get(None)
        counts = {"variant": nameless.rows if nameless else 0}
        for why in ("unitless", "timeless", "early", "future"):
            known = (self.evidence.exposures.get(name) for name in names)
            counts[why] = sum(getattr(each, why) for each in known if each)
        yield from _left_out("exposures", counts)

    def _of_events(self) -> Iterator[Reason]:
        asked = self.evidence.asked
        numbers = {m.of for m in asked.metrics if m.kind not in ("rate", "retention")}
        numbers |= {m.over for m in asked.metrics if m.over}
        for name in asked.events:
            if (each := self.evidence.events.get(name)) is None:
                continue
            whose = ("unitless", "timeless", "future")
            yield from _left_out(name, {why: getattr(each, why) for why in whose})
            if name in numbers and (each.numberless or each.infinite):
                facts = {"null_count": each.numberless, "infinite_count": each.infinite}
                yield Reason(
                    "eventsWithoutNumber", {"event": name, "rows_count": each.rows, **facts}
                )
            if each.repeated:
                yield Reason("eventsRepeated", {"event": name, "rows_count": each.repeated})


def judge_units(of_units: OfUnits, now: float) -> Analysis:
    """What follows from tables alone.

    Args:
        of_units: what they say.
        now: unix seconds, up to when rows count.
    """
    experiment, ledger, evidence = of_units.experiment, of_units.ledger, of_units.evidence
    design = experiment.design
    metrics = Comparing(experiment, of_units.streams).metrics()
    started = of_units.started
    elapsed = 0.0 if started is None else max(0.0, now - started)
    changed = () if ledger is None else ledger.changed_since(experiment)
    integrity = (
        *([Reason("planChanged", {"parts": list(changed)})] if changed else ()),
        *of_units.integrity(),
    )
    present = experiment.split if ledger is None else ledger.present
    idle = [n for n in experiment.split.names[1:] if present and present.get(n) == 0]
    return Analysis(
        experiment=experiment.name,
        at=now,
        source=evidence.place,
        preset=PRESET,
        unit=experiment.assignment.unit,
        test=design.test,
        alpha=design.alpha,
        started=started,
        elapsed_seconds=elapsed,
        min_duration_seconds=design.min_duration_seconds,
        max_duration_seconds=design.max_duration_seconds,
        epochs=epochs_of(experiment, ledger, evidence),
        variants=of_units.variants(),
        metrics=metrics,
        srm=of_units.split,
        notes=tuple(of_units.notes()),
        verdict=verdict(
            design,
            metrics,
            elapsed_seconds=elapsed,
            integrity=integrity,
            sizes=tuple(sizes(design, metrics)),
            without_share=idle,
            ended=of_units.ended,
        ),
        current_split=present,
        counts_from=started,
        segments=of_units.segments,
    )


def epochs_of(
    experiment: Experiment, ledger: Ledger | None, evidence: UnitEvidence
) -> tuple[EpochResult, ...]:
    """Periods of one split."""
    periods = {period.number: period for period in evidence.grid.periods}
    if ledger is None:
        return tuple(
            EpochResult(p.number, p.start, p.end, experiment.split, counted=True)
            for p in periods.values()
        )
    found = ledger.epochs(evidence.asked.until, experiment.design.settle_seconds)
    return tuple(
        EpochResult(i, e.start, e.end, e.split, counted=i in periods) for i, e in enumerate(found)
    )


def _left_out(table: str, counts: dict[str, int]) -> Iterator[Reason]:
    codes = {
        "variant": "rowsWithoutVariantName",
        "unitless": "rowsOfNobody",
        "timeless": "rowsWithoutTime",
        "early": "rowsBeforeStart",
        "future": "rowsOfFuture",
    }
    for why, count in counts.items():
        if count:
            yield Reason(codes[why], {"table": table, "rows_count": count})
