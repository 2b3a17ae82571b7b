"""Days that are closed, as they were when they closed: the next look reads only what is new.

A day that was judged stays as it was, else the looks before it were of other numbers than are said.
Rows that come later, or go, are counted by day, and told. Whoever deletes the file has all days
read anew. Without a ledger each look is the only one, and nothing is kept.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from abctl import files, forms
from abctl.core.experiment import Experiment
from abctl.core.split import Split
from abctl.errors import UsageError
from abctl.forms import units as form
from abctl.forms.evidence import array_of, line_of
from abctl.forms.experiment import Split as SplitForm
from abctl.stats.summary import Array
from abctl.tables import summed
from abctl.tables.segments import By
from abctl.tables.unit_sql import Grid, Period
from abctl.tables.units import Cell, Changed, Daily, SegmentCells, UnitEvidence
from abctl.tables.warehouse_sql import Asked

_VERSION = 1
# Engines add up in any order.
_SAME = 1e-9
EXPOSURES = "exposures"


def folder() -> Path | None:
    """`$XDG_STATE_HOME/abctl/tables`; None for a user who has no folder."""
    given, own = os.environ.get("XDG_STATE_HOME"), files.home()
    found = Path(given) if given else own and own / ".local/state"
    return found and found / "abctl/tables"


@dataclass(frozen=True, eq=False)
class Kept:
    """Closed days.

    Attributes:
        days: so many, from the first on.
        periods, splits: of the ledger, as it was then.
        caps: of metrics, by their place.
        cells: of these days.
        over: so many days were over for good, from the first on, whatever their windows.
        daily: their rows, as they were then.
        by: columns of segments with the values that are told apart; they stay.
        segments: of these days.
    """

    days: int
    periods: tuple[Period, ...]
    splits: tuple[Split, ...]
    caps: Mapping[int, float | None]
    cells: tuple[Cell, ...]
    over: int
    daily: tuple[Daily, ...]
    by: tuple[By, ...] = ()
    segments: tuple[SegmentCells, ...] = ()

    def fits(self, grid: Grid, splits: Sequence[Split], asked: Asked) -> bool:
        """Whether the ledger says of these days, and of their windows, what it said then."""
        return (
            self.days > 0
            and self.periods == _until(grid.periods, _reach(grid, self.days, asked))
            and tuple(splits[: len(self.splits)]) == self.splits
        )


@dataclass(frozen=True)
class Keeper:
    """A file of closed days.

    Attributes:
        path: of the file.
        key: of all that they depend on; days of another question are none of this.
    """

    path: Path
    key: str

    @classmethod
    def of(cls, folder: Path, experiment: Experiment, asked: Asked) -> "Keeper":
        """Where those of an experiment are."""
        tables, rules = asked.tables, experiment.assignment
        where = [tables.engine, tables.connection, tables.connection_env, tables.folder]
        said = [
            [experiment.namespace, experiment.name, where, tables.definition, asked.names],
            [asdict(metric) for metric in asked.metrics],
            [rules.unit, rules.salt, rules.buckets, experiment.platform],
            [asked.since, experiment.design.settle_seconds],
            [by.column for by in asked.segments],
        ]
        text = json.dumps(said, sort_keys=True, default=str)
        key = hashlib.sha256(text.encode()).hexdigest()
        return cls(folder / f"{experiment.name}-{key[:16]}.json", key)

    def load(self, asked: Asked, buckets: int) -> Kept | None:
        """What was kept; None for nothing that can be read."""
        try:
            raw = msgspec.json.decode(self.path.read_bytes(), type=msgspec.Raw)
            found = msgspec.json.decode(raw, type=form.Kept, dec_hook=_array)
            if (found.version, found.key) != (_VERSION, self.key):
                return None
            return Kept(
                found.days,
                tuple(forms.domain_of(each, Period) for each in found.periods),
                tuple(forms.domain_of(each, Split) for each in found.splits),
                dict(found.caps),
                summed.cells_in(found.cells, asked, buckets),
                found.over,
                tuple(forms.domain_of(each, Daily) for each in found.daily),
                tuple(By(column, values) for column, values in found.by),
                summed.segments_in(found.segments, asked, buckets),
            )
        except (OSError, ValueError, forms.DamagedError):
            return None

    def save(self, kept: Kept, asked: Asked) -> None:
        """Keep days, whole or not at all; where that fails, all is read again."""
        found = form.Kept(
            version=_VERSION,
            key=self.key,
            days=kept.days,
            periods=tuple(forms.like(each, form.Period) for each in kept.periods),
            splits=tuple(forms.like(each, SplitForm) for each in kept.splits),
            caps=tuple(kept.caps.items()),
            cells=summed.form_of(kept.cells, asked),
            over=kept.over,
            daily=tuple(forms.like(each, form.Daily) for each in kept.daily),
            by=tuple((by.column, by.values) for by in kept.by),
            segments=summed.segment_forms(kept.segments, asked),
        )
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with files.replacing(self.path) as target:
                target.write(msgspec.json.encode(found, enc_hook=_written))
        except (OSError, UsageError):
            return


def kept_of(evidence: UnitEvidence, daily: Iterable[Daily], before: Kept | None) -> Kept:
    """What the next look need not read, and by what it sees whether that has changed.

    Args:
        evidence: of this look.
        daily: its rows by day.
        before: what was kept until now; of it, what was said of days that were over stays.
    """
    grid = evidence.grid
    known, begin = (before.daily, before.over) if before else ((), None)
    new = (d for d in daily if begin is None or d.day >= begin)
    days = evidence.days_closed
    if any(cap is None for cap in evidence.caps.values()):
        days = 0  # sums without a cap are others
    return Kept(
        days,
        _until(grid.periods, _reach(grid, days, evidence.asked)),
        evidence.splits,
        evidence.caps,
        tuple(cell for cell in evidence.cells if cell.day < days),
        max(evidence.days_over, begin or 0),
        (*known, *(d for d in new if d.day < evidence.days_over)),
        evidence.asked.segments,
        tuple(
            replace(each, cells=tuple(cell for cell in each.cells if cell.day < days))
            for each in evidence.segments
        ),
    )


def changes(kept: Sequence[Daily], found: Iterable[Daily], grid: Grid) -> tuple[Changed, ...]:
    """Which days that were over for good have other rows than they had."""
    now, told = {(d.of, d.day): d for d in found}, dict[str, list[tuple[int, int]]]()
    for was in kept:
        is_ = now.get((was.of, was.day), Daily(was.of, was.day, 0))
        if differs(was, is_):
            told.setdefault(was.of, []).append((was.day, is_.rows - was.rows))
    return tuple(
        Changed(
            of,
            len(each),
            (grid.first + timedelta(days=min(each)[0])).isoformat(),
            sum(rows for _, rows in each),
        )
        for of, each in told.items()
    )


def differs(was: Daily, is_: Daily) -> bool:
    """Whether rows are others than they were, as far as their number and their sums say it."""
    moved = abs(is_.added - was.added) + abs(is_.absolute - was.absolute)
    return is_.rows != was.rows or moved > _SAME * max(was.absolute, is_.absolute)


def _reach(grid: Grid, days: int, asked: Asked) -> float:
    """Up to when the ledger decides who counts of some days."""
    return grid.begins(days) + max(asked.windows)


def _until(periods: Iterable[Period], end: float) -> tuple[Period, ...]:
    return tuple(replace(p, end=min(p.end, end)) for p in periods if p.start < end)


def _array(_: type, found: Any) -> Array:
    return array_of(msgspec.json.encode(found))


def _written(value: Any) -> Any:
    return msgspec.Raw(line_of(value)) if hasattr(value, "dtype") and value.ndim else float(value)
