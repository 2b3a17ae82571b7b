"""What was counted in tables of exposures and events: sums of units, placed by ledger and hash."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from abctl.core.experiment import Experiment
from abctl.core.ledger import Ledger
from abctl.core.split import Split
from abctl.stats.summary import Array
from abctl.tables.unit_sql import Grid, Period
from abctl.tables.warehouse_sql import Asked


@dataclass(frozen=True)
class Checked:
    """What rows are left out, or doubtful.

    Attributes:
        rows: how many there are.
        unitless, timeless: that name no unit, or no time.
        early, future: of before the start, and of after now.
        numberless, infinite: that have no number, or none that can be squared.
        earliest, latest: of their times up to now (unix seconds); None where there is none.
        repeated: that equal another one.
    """

    rows: int
    unitless: int
    timeless: int
    early: int = 0
    future: int = 0
    numberless: int = 0
    infinite: int = 0
    earliest: float | None = None
    latest: float | None = None
    repeated: int = 0


@dataclass(frozen=True)
class Daily:
    """The rows of a day, as far as anything is taken of them.

    Attributes:
        of: `exposures`, or the name of an event.
        day: counted from the first day of exposures.
        unitless, numberless, infinite, latest, repeated: see `Checked`.
        added, absolute: sums of their numbers, and of those without their signs.
    """

    of: str
    day: int
    rows: int
    unitless: int = 0
    numberless: int = 0
    infinite: int = 0
    latest: float | None = None
    added: float = 0.0
    absolute: float = 0.0
    repeated: int = 0


@dataclass(frozen=True)
class Changed:
    """Rows of days that were over for good, which are no longer those that there were.

    Attributes:
        first: of these days (ISO).
        rows: how many more there are; may be 0, where their numbers have changed.
    """

    of: str
    days: int
    first: str
    rows: int


@dataclass(frozen=True, eq=False)
class Cell:
    """Units of one epoch and day of first exposure, and of one course.

    Attributes:
        epoch: None where they are of no epoch that counts.
        seen: the variant (by its place) that they saw; None if several.
        wrong: how many saw a variant that was not theirs by hash and ledger.
        sums: of each metric: units that have it, sums of its values, and of their products.
        by_bucket: of each ratio, by its place among the metrics: units and sums, for each bucket.
    """

    epoch: int | None
    day: int
    course: str
    seen: int | None
    units: int
    rows: int
    wrong: int
    sums: tuple[Array, ...]
    by_bucket: Mapping[int, Array] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class SegmentCells:
    """Units whose first exposure has one value of a column.

    Attributes:
        value: None where it has none that is told apart.
        code: the place of the value; or `EMPTY`, `RARE`, `SEVERAL`.
    """

    column: str
    value: str | None
    code: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, eq=False)
class UnitEvidence:
    """What was counted in tables of exposures and events.

    Attributes:
        place: of the tables.
        asked: what was asked of them.
        grid: how units are placed.
        splits: those of the ledger, in the order of a course.
        exposures: what is doubtful of exposures, by variant; None for rows that name none.
        events: the same of events, by name; None for those that nobody asks for.
        caps: numbers at which metrics are capped, by their place; None where not known yet.
        through: up to when rows are there, as far as they say it (unix seconds).
        changed: of days that were over for good at an earlier look.
        segments: the same units by segments.
    """

    place: str
    asked: Asked
    grid: Grid
    splits: tuple[Split, ...]
    exposures: Mapping[str | None, Checked]
    events: Mapping[str | None, Checked]
    caps: Mapping[int, float | None]
    cells: tuple[Cell, ...]
    through: float
    changed: tuple[Changed, ...] = ()
    segments: tuple[SegmentCells, ...] = ()

    def closed(self, which: int, day: int) -> bool:
        """Whether the windows of a day's units are over, and all rows of them are there."""
        window = self.asked.metrics[which].window_seconds or 0.0
        return self.over(self.grid.begins(day + 1) + window)

    def over(self, moment: float) -> bool:
        """Whether all rows up to a moment (unix seconds) are there."""
        late = self.asked.tables.late_seconds
        return moment <= self.through and moment + late <= self.asked.until

    @property
    def days_over(self) -> int:
        """How many days are over for good, from the first on."""
        asked = self.asked
        return self.grid.day_of(min(self.through, asked.until - asked.tables.late_seconds))

    @property
    def days_closed(self) -> int:
        """How many days are closed for every metric, from the first on."""
        last, metrics = self.grid.day_of(self.asked.until), range(len(self.asked.metrics))
        days = (d for d in range(last + 1) if not all(self.closed(i, d) for i in metrics))
        return next(days, 0)


def placing(
    experiment: Experiment, ledger: Ledger | None, now: float, earliest: float, *, hashed: bool
) -> tuple[Grid, tuple[Split, ...]]:
    """The epochs that count, and the splits that there were."""
    assert experiment.source is not None
    tables = experiment.source.tables
    assert tables is not None, "whoever asks knows of tables"
    hashed = hashed and experiment.assignment.unit != "request" and ledger is not None
    names = experiment.split.names
    if ledger is None:
        # A whole second: engines and Python round the last digits of a time apart.
        start = float(math.floor(earliest))
        periods: tuple[Period, ...] = (Period(0, start, now, 0),)
        splits: tuple[Split, ...] = (experiment.split,)
    else:
        start = earliest if ledger.began is None else ledger.began
        held = ledger.epochs(now, 0.0)
        splits = tuple(dict.fromkeys(e.split for e in held if e.split.names == names))
        epochs = enumerate(ledger.epochs(now, experiment.design.settle_seconds))
        periods = tuple(
            Period(i, e.start, e.end, splits.index(e.split))
            for i, e in epochs
            if e.certain and e.split.names == names
        )
    first = datetime.fromtimestamp(start, UTC).astimezone(tables.zone).date()
    return Grid(periods, first, tables.zone, hashed), splits
