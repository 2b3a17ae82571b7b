"""What an engine can place and add up by itself, so that only sums leave it (pure).

It cannot where a unit's variant is by a hash that it has not, nor where a cap is a quantile of
units: then rows of units leave it, and DuckDB adds them up.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from abctl.core.assignment import Draw, bucket, by_salted_hash, point, variant_at
from abctl.core.experiment import Assignment
from abctl.core.split import TOTAL_BP, Split
from abctl.tables import unit_sql, warehouse_sql
from abctl.tables.relations import written
from abctl.tables.unit_sql import Grid, Words, letter
from abctl.tables.warehouse_sql import Asked
from abctl.tables.written import text

COURSE, BUCKET = "abctl_course", "abctl_bucket"
# What the data plane and abctl place units by, xxh64 with seed 0.
_XXH64: Mapping[str, str] = {"clickhouse": "xxHash64"}
_READ = "unit_rows"


def words(
    asked: Asked, rules: Assignment, grid: Grid, splits: Sequence[Split], draw: Draw | None
) -> Words | None:
    """How an engine places units; None where it cannot.

    Args:
        asked: of whom, and what.
        rules: of who gets which variant.
        grid: how units are placed.
        splits: of the ledger, in the order of a course.
        draw: how the platform places a unit; None where each request is drawn anew.
    """
    if any(m.cap is not None and m.cap.of_values for m in asked.metrics):
        return None  # no quantile is the same everywhere
    xxh64, of_course = _XXH64.get(asked.tables.engine), "''"
    if grid.hashed:
        if xxh64 is None or draw is not by_salted_hash:
            return None
        of_course = _case(f"{xxh64}({text(f'{rules.salt}:')} || unit_id) % {TOTAL_BP}", splits)
    of_bucket = f"{text(f'bucket:{rules.salt}:')} || unit_id"
    # Two digits of MD5, which all engines have, are 256 buckets; they are folded to fewer.
    hashed = f"SUBSTR(MD5({of_bucket}), 1, 2)"
    if xxh64 is not None:
        hashed = f"{xxh64}({of_bucket}) % {rules.buckets}"
    return Words(
        moment=partial(warehouse_sql.moment, asked),
        day="CAST(first_at AS DATE)",
        course=of_course,
        bucket=hashed,
    )


def statement(asked: Asked, grid: Grid, said: Words, segment: int | None = None) -> str:
    """What is asked of the engine: units and sums, by epoch, day, course, variant and bucket.

    Args:
        asked: of whom, and what.
        grid: how units are placed.
        said: by whom.
        segment: the place of a column of segments, by which they are besides; None: by none.
    """
    parts, rows = warehouse_sql.unit_parts(asked)
    places = unit_sql.placed(asked, grid, said, _READ)
    caps = {i: m.cap.at for i, m in enumerate(asked.metrics) if m.cap is not None}
    listed = ", ".join((*parts, f"{_READ} AS ({rows})", f"{unit_sql.UNITS} AS ({places})"))
    return written(asked.tables, f"WITH {listed} {unit_sql.sums(asked, caps, segment)}")


def in_duckdb(asked: Asked, grid: Grid, source: str) -> str:
    """The statement that makes the table of units where DuckDB has their rows.

    Args:
        asked: what is in a row.
        grid: how units are placed.
        source: what gives the rows, whose times are unix seconds.
    """
    said = Words(
        moment=repr,
        day="CAST(to_timestamp(first_at) AS DATE)",
        course=f"{COURSE}(unit_id)" if grid.hashed else "''",
        bucket=f"{BUCKET}(unit_id)",
    )
    places = unit_sql.placed(asked, grid, said, _READ)
    return f"CREATE TEMP TABLE {unit_sql.UNITS} AS WITH {_READ} AS ({source}) {places}"


def course(rules: Assignment, splits: Sequence[Split], draw: Draw) -> Callable[[str], str]:
    """What gives the variants of a unit under each split, as letters."""
    if draw is by_salted_hash:
        courses = _courses(splits)
        return lambda unit: courses[point(rules.salt, unit)]
    letters = _letters(splits)
    return lambda unit: "".join(letters[draw(rules, split, unit).variant] for split in splits)


def bucket_of(rules: Assignment) -> Callable[[str], int]:
    """What gives the bucket of a unit."""
    return lambda unit: bucket(rules.salt, unit, rules.buckets)


def folded(found: int | str, buckets: int) -> int:
    """A bucket as an engine says it.

    >>> folded(7, 64), folded("ff", 64)
    (7, 63)
    """
    return (int(found, 16) if isinstance(found, str) else int(found)) % buckets


def _letters(splits: Sequence[Split]) -> dict[str, str]:
    return {name: letter(i) for split in splits for i, name in enumerate(split.names)}


def _courses(splits: Sequence[Split]) -> list[str]:
    """The course of each point."""
    letters = _letters(splits)
    return ["".join(letters[variant_at(split, at)] for split in splits) for at in range(TOTAL_BP)]


def _case(at: str, splits: Sequence[Split]) -> str:
    """The course of a point, from what gives the point."""
    courses = _courses(splits)
    ends = [i for i in range(1, TOTAL_BP) if courses[i] != courses[i - 1]]
    inside = " ".join(f"WHEN {at} < {end} THEN '{courses[end - 1]}'" for end in ends)
    return f"CASE {inside} ELSE '{courses[-1]}' END" if inside else f"'{courses[0]}'"
