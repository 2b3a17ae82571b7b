"""The SQL that places units and adds them up, in the subset that all engines have (pure).

A unit's `course` is its variant under each split of the ledger, by its hash. Sums come back by
epoch, day of first exposure, course and variant, so that whoever judges can leave out what a shift
moved; where a metric is a ratio, by bucket of units besides.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import combinations_with_replacement

from abctl.core.experiment import Metric
from abctl.tables.warehouse_sql import Asked, columns

UNITS = "abctl_units"
_VALUES = ("y", "d", "x", "e")


@dataclass(frozen=True)
class Period:
    """A period (unix seconds) of one split, which is the letter at `place` of each course.

    >>> Period(0, 0.0, 86_400.0, place=0).end
    86400.0
    """

    number: int
    start: float
    end: float
    place: int


@dataclass(frozen=True)
class Grid:
    """How units are placed.

    >>> grid = Grid((), date(2026, 10, 24), UTC, hashed=False)
    >>> grid.begins(2) - grid.begins(0), grid.day_of(grid.begins(2) + 60.0)
    (172800.0, 2)

    Attributes:
        periods: epochs that count; a unit is of that in which it was first exposed.
        first: day 0.
        zone: of days.
        hashed: whether units have a course.
    """

    periods: tuple[Period, ...]
    first: date
    zone: tzinfo
    hashed: bool

    def begins(self, day: int) -> float:
        """When a day begins (unix seconds); days of changed clocks have 23 or 25 hours."""
        at = datetime.combine(self.first + timedelta(days=day), time(), self.zone)
        return at.timestamp()

    def day_of(self, moment: float) -> int:
        """The day of a moment."""
        return (datetime.fromtimestamp(moment, UTC).astimezone(self.zone).date() - self.first).days


@dataclass(frozen=True)
class Words:
    """How an engine says where a unit belongs.

    Attributes:
        moment: unix seconds, as it compares them with times of rows.
        day: of the column `first_at` the date.
        course, bucket: of the column `unit_id`.
    """

    moment: Callable[[float], str]
    day: str
    course: str
    bucket: str


def letter(variant: int) -> str:
    """What stands for a variant in a course.

    >>> letter(0), letter(1)
    ('a', 'b')
    """
    return chr(ord("a") + variant)


def values(asked: Asked, which: int) -> tuple[str, ...]:
    """The numbers that a metric has of each unit: `y`, over `d`, before it `x` over `e`."""
    known = columns(asked)
    return tuple(each for each in _VALUES if f"{each}_{which}" in known)


def products(names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The pairs whose products are added up, in order.

    >>> products(("y", "x"))
    (('y', 'y'), ('y', 'x'), ('x', 'x'))
    """
    return tuple(combinations_with_replacement(names, 2))


def by_bucket(asked: Asked) -> bool:
    """Whether sums are by bucket of units: a ratio has its variance between them."""
    return any("d" in values(asked, i) for i in range(len(asked.metrics)))


def placed(asked: Asked, grid: Grid, words: Words, source: str) -> str:
    """What gives each unit its place.

    Args:
        asked: what is in a row.
        grid: how units are placed.
        words: of the engine.
        source: the table, or what stands for it, that has the rows.
    """
    seen = [f"CASE WHEN first_{k} IS NOT NULL THEN 1 ELSE 0 END" for k in range(len(asked.names))]
    arm = " ".join(f"WHEN first_{k} IS NOT NULL THEN {k}" for k in range(len(asked.names)))
    of_rows = ", ".join(name for name in columns(asked) if name != "unit_id")
    bucket = words.bucket if by_bucket(asked) else "0"
    return (
        f"SELECT *, {_epoch(asked, grid, words)} AS in_epoch, {words.day} AS on_day, "
        f"CASE WHEN {' + '.join(seen)} > 1 THEN -1 {arm} END AS arm_seen, "
        f"{_wrong(asked, grid, words)} AS was_wrong FROM (SELECT {of_rows}, "
        f"{words.course} AS of_course, {bucket} AS in_bucket FROM {source}) AS hashed"
    )


def days() -> str:
    """How many units each day of each epoch has; those that are of no epoch have none."""
    return (
        f"SELECT in_epoch, on_day, COUNT(*) AS units_of FROM {UNITS} GROUP BY in_epoch, on_day "
        "ORDER BY in_epoch, on_day"
    )


def quantile(which: int, metric: Metric, last: date) -> str:
    """What the share of a metric's cap have at most, of units up to a day (DuckDB)."""
    assert metric.cap is not None, "whoever asks knows of a cap"
    return (
        f"SELECT quantile_disc(y_{which}, {metric.cap.at!r}) FROM {UNITS} WHERE in_epoch "
        f"IS NOT NULL AND on_day <= DATE '{last.isoformat()}' AND {_sound(which, metric)}"
    )


def sums(asked: Asked, caps: Mapping[int, float], segment: int | None = None) -> str:
    """Units, and of each metric its sums and their products.

    Args:
        asked: what is in a row.
        caps: of metrics, by their places.
        segment: the place of a column of segments, which come first; None for none.
    """
    totals = ["COUNT(*)", "SUM(seen_rows)", "SUM(was_wrong)"]
    for i, metric in enumerate(asked.metrics):
        sound = _sound(i, metric)
        taken = {name: _capped(f"{name}_{i}", caps.get(i)) for name in values(asked, i)}
        pairs = (f"{taken[a]} * {taken[b]}" for a, b in products(tuple(taken)))
        totals += [
            f"SUM(CASE WHEN {sound} THEN {each} ELSE 0.0 END)"
            for each in ("1.0", *taken.values(), *pairs)
        ]
    listed = ", ".join(f"{each} AS t_{n}" for n, each in enumerate(totals))
    by = "in_epoch, on_day, of_course, arm_seen, in_bucket"
    by = by if segment is None else f"segment_{segment}, {by}"
    return f"SELECT {by}, {listed} FROM {UNITS} GROUP BY {by} ORDER BY {by}"


def _capped(column: str, cap: float | None) -> str:
    value = f"CAST({column} AS DOUBLE)"
    if cap is None:
        return value
    over, under = f"{value} > {cap!r} THEN {cap!r}", f"{value} < {-cap!r} THEN {-cap!r}"
    return f"(CASE WHEN {over} WHEN {under} ELSE {value} END)"


def _sound(which: int, metric: Metric) -> str:
    """That all of a unit's events that a metric takes have numbers."""
    wanted = [] if metric.kind in ("rate", "retention") else ["bad"]
    wanted += ["bad_x"] if wanted and metric.before_seconds else []
    wanted += [f"{each}_d" for each in wanted if metric.over not in (None, metric.of)]
    return " AND ".join(f"{each}_{which} = 0" for each in wanted) or "1 = 1"


def _epoch(asked: Asked, grid: Grid, words: Words) -> str:
    if asked.since is None and len(grid.periods) == 1:
        return str(grid.periods[0].number)  # all that there is
    inside = (
        f"WHEN first_at >= {words.moment(p.start)} AND first_at < {words.moment(p.end)} "
        f"THEN {p.number}"
        for p in grid.periods
    )
    return f"CASE {' '.join(inside)} END" if grid.periods else "CAST(NULL AS INTEGER)"


def _wrong(asked: Asked, grid: Grid, words: Words) -> str:
    """Whether a unit was ever seen with a variant that was not its own."""
    if not grid.hashed or not grid.periods:
        return "0"
    found = list[str]()
    for k in range(len(asked.names)):
        for column in (f"first_{k}", f"last_{k}"):
            found += (
                f"({column} >= {words.moment(p.start)} AND {column} < {words.moment(p.end)} "
                f"AND SUBSTR(of_course, {p.place + 1}, 1) <> '{letter(k)}')"
                for p in grid.periods
            )
    return f"CASE WHEN {' OR '.join(found)} THEN 1 ELSE 0 END"
