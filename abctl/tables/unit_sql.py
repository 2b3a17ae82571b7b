"""The SQL that adds up rows of units, in DuckDB, wherever they are from (pure).

A unit's `course` is its variant under each split of the ledger, by its hash. Sums come back by
epoch, day of first exposure and course, so that whoever judges can leave out what a shift moved.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

from abctl.core.experiment import Metric
from abctl.tables.warehouse_sql import Asked, columns

UNITS = "abctl_units"
COURSE, BUCKET = "abctl_course", "abctl_bucket"
DAY_SECONDS = 86_400.0
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

    Attributes:
        periods: epochs that count; a unit is of that in which it was first exposed.
        anchor: when day 0 begins (unix seconds).
        hashed: whether units have a course.
    """

    periods: tuple[Period, ...]
    anchor: float
    hashed: bool


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


def create(asked: Asked, grid: Grid, source: str) -> str:
    """The statement that makes the table of units from their rows.

    Args:
        asked: what is in a row.
        grid: how units are placed.
        source: what gives the rows, whose times are unix seconds.
    """
    course = f"{COURSE}(unit_id)" if grid.hashed else "''"
    of_rows = ", ".join(name for name in columns(asked) if name != "unit_id")
    seen = " + ".join(f"(first_{k} IS NOT NULL)::INTEGER" for k in range(len(asked.names)))
    arm = " ".join(f"WHEN first_{k} IS NOT NULL THEN {k}" for k in range(len(asked.names)))
    return (
        f"CREATE TEMP TABLE {UNITS} AS WITH read AS ({source}), hashed AS (SELECT {of_rows}, "
        f"{course} AS course, {BUCKET}(unit_id) AS bucket FROM read) "
        f"SELECT *, {_epoch(grid)} AS epoch, "
        f"CAST(floor((first_at - {grid.anchor!r}) / {DAY_SECONDS!r}) AS INTEGER) AS day, "
        f"CASE WHEN {seen} > 1 THEN -1 {arm} END AS arm_seen, "
        f"{_wrong(asked, grid)} AS wrong FROM hashed"
    )


def days() -> str:
    """How many units each day of each epoch has; those that are of no epoch have none."""
    return f"SELECT epoch, day, COUNT(*) AS units FROM {UNITS} GROUP BY 1, 2 ORDER BY 1, 2"


def quantile(which: int, metric: Metric, last_day: int) -> str:
    """What the share of a metric's cap have at most, of units up to a day."""
    assert metric.cap is not None, "whoever asks knows of a cap"
    return (
        f"SELECT quantile_disc(y_{which}, {metric.cap.at!r}) FROM {UNITS} "
        f"WHERE epoch IS NOT NULL AND day <= {last_day} AND {_sound(which, metric)}"
    )


def sums(asked: Asked, caps: Mapping[int, float]) -> str:
    """By epoch, day, course and variant: units, and of each metric its sums and their products."""
    totals = ["COUNT(*)", "SUM(seen_rows)", "SUM(wrong)"]
    for i, metric in enumerate(asked.metrics):
        sound = _sound(i, metric)
        names = values(asked, i)
        totals += [f"SUM(({sound})::INTEGER)"]
        taken = {name: _capped(f"{name}_{i}", caps.get(i)) for name in names}
        totals += [f"SUM({each}) FILTER ({sound})" for each in taken.values()]
        totals += [f"SUM({taken[a]} * {taken[b]}) FILTER ({sound})" for a, b in products(names)]
    listed = ", ".join(f"{each} AS t_{n}" for n, each in enumerate(totals))
    return (
        f"SELECT epoch, day, course, arm_seen, {listed} FROM {UNITS} GROUP BY 1, 2, 3, 4 "
        "ORDER BY 1, 2, 3, 4"
    )


def buckets(asked: Asked, which: int) -> str:
    """The sums of a ratio by bucket of units besides."""
    metric = asked.metrics[which]
    listed = ", ".join(f"SUM({name}_{which}) AS {name}_all" for name in values(asked, which))
    return (
        f"SELECT epoch, day, course, arm_seen, bucket, COUNT(*) AS units, {listed} FROM {UNITS} "
        f"WHERE epoch IS NOT NULL AND {_sound(which, metric)} "
        "GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5"
    )


def _capped(value: str, cap: float | None) -> str:
    return value if cap is None else f"greatest(least({value}, {cap!r}), {-cap!r})"


def _sound(which: int, metric: Metric) -> str:
    """That all of a unit's events that a metric takes have numbers."""
    wanted = ["bad"] if metric.kind != "rate" else []
    wanted += ["bad_x"] if wanted and metric.before_seconds else []
    wanted += [f"{each}_d" for each in wanted if metric.over not in (None, metric.of)]
    return " AND ".join(f"{each}_{which} = 0" for each in wanted) or "TRUE"


def _epoch(grid: Grid) -> str:
    inside = (
        f"WHEN first_at >= {p.start!r} AND first_at < {p.end!r} THEN {p.number}"
        for p in grid.periods
    )
    return f"CASE {' '.join(inside)} END" if grid.periods else "CAST(NULL AS INTEGER)"


def _wrong(asked: Asked, grid: Grid) -> str:
    """Whether a unit was ever seen with a variant that was not its own."""
    if not grid.hashed or not grid.periods:
        return "0"
    found = list[str]()
    for k in range(len(asked.names)):
        for column in (f"first_{k}", f"last_{k}"):
            other = (
                f"{column} >= {p.start!r} AND {column} < {p.end!r} "
                f"AND course[{p.place + 1}] <> '{letter(k)}'"
                for p in grid.periods
            )
            found += [f"({each})" for each in other]
    return f"COALESCE(({' OR '.join(found)})::INTEGER, 0)"
