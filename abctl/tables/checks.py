"""What of the rows of tables is doubtful, and how many rows each day has."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, tzinfo
from typing import Any

from abctl.tables import check_sql
from abctl.tables.engine import Adder
from abctl.tables.kept import EXPOSURES, Kept, differs
from abctl.tables.summed import day_of
from abctl.tables.unit_sql import Grid
from abctl.tables.units import Checked, Daily
from abctl.tables.warehouse import Warehouse
from abctl.tables.warehouse_sql import Asked


def exposures(engine: Adder | Warehouse, asked: Asked) -> dict[str | None, Checked]:
    """By variant, of all rows."""
    zone, found = asked.tables.zone, dict[str | None, Checked]()
    for name, *numbers, first, last in engine.rows(check_sql.exposure_checks(asked)):
        rows, unitless, timeless, early, future = (int(n or 0) for n in numbers)
        found[name] = Checked(
            rows,
            unitless,
            timeless,
            early,
            future,
            earliest=_or_none(first, zone),
            latest=_or_none(last, zone),
        )
    return found


def events(
    engine: Adder | Warehouse, asked: Asked, grid: Grid, kept: Kept | None
) -> tuple[dict[str | None, Checked], list[Daily]]:
    """By name, of all rows; and those of each day.

    Of days that were over at an earlier look rows are counted day by day only where there are not
    as many as there were.
    """
    old = [each for each in kept.daily if each.of != EXPOSURES] if kept else []
    over = grid.begins(kept.over) if kept else None
    repeated = {
        (name, day_of(day, grid)): int(count)
        for name, day, count in engine.rows(check_sql.event_repeats(asked, over))
    }
    repeated |= {(each.of, each.day): each.repeated for each in old}
    alike = over is not None and _as_many(engine, asked, old, over)
    daily, checked = (list(old) if alike else []), list[tuple[str | None, Checked]]()
    for name, day, *rest in engine.rows(check_sql.event_checks(asked, over if alike else None)):
        *numbers, last, added, absolute = rest
        rows, unitless, timeless, future, numberless, infinite = (int(n or 0) for n in numbers)
        latest = _or_none(last, asked.tables.zone)
        again = 0
        if name is not None and day is not None:
            key = name, day_of(day, grid)
            again = repeated.get(key, 0)
            sums = float(added or 0), float(absolute or 0)
            daily.append(Daily(*key, rows, unitless, numberless, infinite, latest, *sums, again))
        found = Checked(
            rows, unitless, timeless, 0, future, numberless, infinite, None, latest, again
        )
        checked.append((name, found))
    checked += [(each.of, _as_checked(each)) for each in old if alike]
    together = dict[str | None, Checked]()
    for name, each in checked:
        together[name] = _together(together[name], each) if name in together else each
    return together, daily


def _as_many(engine: Adder | Warehouse, asked: Asked, old: Sequence[Daily], before: float) -> bool:
    """Whether there are as many rows as there were, and their numbers add up to as much."""
    found = {name: each for name, *each in engine.rows(check_sql.event_totals(asked, before))}
    for name in asked.events:
        rows, added, absolute = (float(n or 0) for n in found.get(name, (0, 0, 0)))
        was = [each for each in old if each.of == name]
        now = Daily(name, 0, int(rows), added=added, absolute=absolute)
        then = Daily(
            name,
            0,
            sum(each.rows for each in was),
            added=math.fsum(each.added for each in was),
            absolute=math.fsum(each.absolute for each in was),
        )
        if differs(then, now):
            return False
    return True


def _as_checked(each: Daily) -> Checked:
    counts = each.numberless, each.infinite, None, each.latest, each.repeated
    return Checked(each.rows, each.unitless, 0, 0, 0, *counts)


def exposure_days(engine: Adder | Warehouse, asked: Asked, grid: Grid) -> Iterator[Daily]:
    """How many exposures each day has."""
    for day, rows in engine.rows(check_sql.exposure_days(asked)):
        yield Daily(EXPOSURES, day_of(day, grid), int(rows))


def _together(one: Checked, other: Checked) -> Checked:
    names = ("rows", "unitless", "timeless", "future", "numberless", "infinite", "repeated")
    latest = [each.latest for each in (one, other) if each.latest is not None]
    counts = {name: getattr(one, name) + getattr(other, name) for name in names}
    return replace(one, **counts, latest=max(latest, default=None))


def seconds(moment: Any, zone: tzinfo) -> float:
    """Unix seconds of a time as a driver gives it; NaN for none."""
    if moment is None:
        return math.nan
    if isinstance(moment, datetime):
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
    if isinstance(moment, str):
        return seconds(datetime.fromisoformat(moment), zone)
    return float(moment)


def _or_none(moment: Any, zone: tzinfo) -> float | None:
    found = seconds(moment, zone)
    return None if math.isnan(found) else found
