"""From tables of exposures and events to sums of units: who asks whom, in which order.

DuckDB reads files itself. Any other engine adds up what it can (see `in_engine`); else rows of
units come of it, which DuckDB adds up by the same SQL.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, tzinfo
from typing import Any

import numpy as np

from abctl.core.assignment import Draw
from abctl.core.experiment import Experiment
from abctl.core.ledger import Ledger
from abctl.core.split import Split
from abctl.core.tables import Tables
from abctl.errors import SourceError
from abctl.stats.summary import Array
from abctl.tables import in_engine, unit_sql, warehouse_sql
from abctl.tables.engine import Adder, adder, printable
from abctl.tables.relations import views
from abctl.tables.unit_sql import Grid, Words
from abctl.tables.units import Cell, Checked, UnitEvidence, placing
from abctl.tables.warehouse import Warehouse, connected
from abctl.tables.warehouse_sql import Asked

_FEWEST_CAPPED = 100


def statements(
    experiment: Experiment, ledger: Ledger | None, now: float, draw: Draw | None
) -> tuple[str, ...]:
    """What is asked of the engine, in order; see `gather`."""
    asked = _asked(experiment, ledger, now)
    grid, splits = placing(experiment, ledger, now, 0.0, hashed=draw is not None)
    said = _words(experiment, asked, grid, splits, draw)
    found = (
        *warehouse_sql.session(asked.tables),
        warehouse_sql.exposure_checks(asked),
        warehouse_sql.event_checks(asked),
        warehouse_sql.event_repeats(asked),
        in_engine.statement(asked, grid, said) if said else warehouse_sql.unit_rows(asked),
    )
    return tuple(f"{each};" for each in found)


def gather(
    experiment: Experiment, ledger: Ledger | None, now: float, draw: Draw | None
) -> UnitEvidence:
    """Ask the tables of an experiment.

    Args:
        experiment: what is asked, with its source.
        ledger: what happened to its split; None where nobody kept one: then its own split stands.
        now: unix seconds, up to when rows count.
        draw: how its platform places a unit; None where each request is drawn anew.

    Raises:
        UsageError: a file, a driver or an environment variable is missing.
        SpecError: where tables are said to be, there is no table and no SELECT.
        SourceError: they cannot be read, or have no exposure.
    """
    asked = _asked(experiment, ledger, now)
    with _opened(asked.tables) as (engine, adding):
        exposures = _exposures(engine, asked)
        events = _events(engine, asked)
        known = [exposures[name] for name in asked.names if name in exposures]
        if not any(each.earliest is not None for each in known):
            others = ", ".join(printable(str(name)) for name in exposures if name is not None)
            raise SourceError(
                f"{engine.place} has no exposure of {' or '.join(asked.names)}",
                f"exposures are of {others or 'nobody'}: are variants called alike, and is source."
                "table.timezone right?",
            )
        earliest = min(each.earliest for each in known if each.earliest is not None)
        grid, splits = placing(experiment, ledger, now, earliest, hashed=draw is not None)
        latest = [each.latest for each in (*exposures.values(), *events.values()) if each.latest]
        through = max(latest) if ledger is not None else now
        evidence = UnitEvidence(
            engine.place, asked, grid, splits, exposures, events, {}, (), through
        )
        rules = experiment.assignment
        if said := _words(experiment, asked, grid, splits, draw):
            sums = engine.rows(in_engine.statement(asked, grid, said))
            caps = {i: m.cap.at for i, m in enumerate(asked.metrics) if m.cap is not None}
            return replace(evidence, caps=caps, cells=_cells(sums, evidence, rules.buckets))
        if grid.hashed and draw is not None:
            adding.define(in_engine.COURSE, in_engine.course(rules, splits, draw), "VARCHAR")
        adding.define(in_engine.BUCKET, in_engine.bucket_of(rules), "INTEGER")
        adding.rows(in_engine.in_duckdb(asked, grid, _units(engine, adding, asked)))
        shares = _caps(adding, evidence)
        settled = {i: cap for i, cap in shares.items() if cap is not None}
        sums = adding.rows(unit_sql.sums(asked, settled))
        return replace(evidence, caps=shares, cells=_cells(sums, evidence, rules.buckets))


def _words(
    experiment: Experiment, asked: Asked, grid: Grid, splits: tuple[Split, ...], draw: Draw | None
) -> Words | None:
    """How an engine places units itself; None where it cannot, or need not: files are here."""
    if asked.tables.engine == "duckdb":
        return None
    return in_engine.words(asked, experiment.assignment, grid, splits, draw)


def _asked(experiment: Experiment, ledger: Ledger | None, now: float) -> Asked:
    return Asked.of(experiment, None if ledger is None else ledger.began, now)


@contextmanager
def _opened(tables: Tables) -> Iterator[tuple[Adder | Warehouse, Adder]]:
    if tables.engine != "duckdb":
        with connected(tables) as engine, adder({}, zone=tables.timezone) as adding:
            yield engine, adding
        return
    given = {} if tables.connection else views(tables)
    database = tables.connection.get("database")
    with adder(given, zone=tables.timezone, database=database) as adding:
        yield adding, adding


def _units(engine: Adder | Warehouse, adding: Adder, asked: Asked) -> str:
    """What gives rows of units, with times in unix seconds."""
    statement, names = warehouse_sql.unit_rows(asked), warehouse_sql.columns(asked)
    times = {name for name in names if name.startswith(("first_", "last_"))}
    if isinstance(engine, Adder):
        each = (f"epoch({name}) AS {name}" if name in times else _number(name) for name in names)
        return f"SELECT {', '.join(each)} FROM ({statement})"
    types = (f"{name} {'VARCHAR' if name == 'unit_id' else 'DOUBLE'}" for name in names)
    adding.rows(f"CREATE TEMP TABLE abctl_rows ({', '.join(types)})")
    zone = asked.tables.zone
    for chunk in engine.chunks(statement):
        given = dict[str, Any]()
        for name, column in zip(names, zip(*chunk, strict=True), strict=True):
            if name == "unit_id":
                given[name] = np.array([str(value) for value in column], dtype=object)
            elif name in times:
                given[name] = np.array([_seconds(value, zone) for value in column])
            else:
                given[name] = np.array([float(value or 0.0) for value in column])
        adding.insert("abctl_rows", given)
    # An array has no NULL; a time that is none is NaN.
    each = (f"CASE WHEN NOT isnan({n}) THEN {n} END AS {n}" if n in times else n for n in names)
    return f"SELECT {', '.join(each)} FROM abctl_rows"


def _number(name: str) -> str:
    return name if name == "unit_id" else f"CAST({name} AS DOUBLE) AS {name}"


def _seconds(moment: Any, zone: tzinfo) -> float:
    """Unix seconds of a time as a driver gives it."""
    if moment is None:
        return math.nan
    if isinstance(moment, datetime):
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
    if isinstance(moment, str):
        return _seconds(datetime.fromisoformat(moment), zone)
    return float(moment)


def _exposures(engine: Adder | Warehouse, asked: Asked) -> dict[str | None, Checked]:
    zone, found = asked.tables.zone, dict[str | None, Checked]()
    for name, *numbers, first, last in engine.rows(warehouse_sql.exposure_checks(asked)):
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


def _events(engine: Adder | Warehouse, asked: Asked) -> dict[str | None, Checked]:
    zone = asked.tables.zone
    repeated = dict(engine.rows(warehouse_sql.event_repeats(asked)))
    found = dict[str | None, Checked]()
    for name, *numbers, last in engine.rows(warehouse_sql.event_checks(asked)):
        rows, unitless, timeless, future, numberless, infinite = (int(n or 0) for n in numbers)
        found[name] = Checked(
            rows,
            unitless,
            timeless,
            future=future,
            numberless=numberless,
            infinite=infinite,
            latest=_or_none(last, zone),
            repeated=int(repeated.get(name, 0)),
        )
    return found


def _or_none(moment: Any, zone: tzinfo) -> float | None:
    seconds = _seconds(moment, zone)
    return None if math.isnan(seconds) else seconds


def _caps(adding: Adder, evidence: UnitEvidence) -> dict[int, float | None]:
    """The caps: those that are shares are settled by the first units, and stay."""
    found = dict[int, float | None]()
    days = [row for row in adding.rows(unit_sql.days()) if row[0] is not None]
    for i, metric in enumerate(evidence.asked.metrics):
        if metric.cap is None:
            continue
        if not metric.cap.of_values:
            found[i] = metric.cap.at
            continue
        needed, units = max(_FEWEST_CAPPED, round(1 / (1 - metric.cap.at))), 0
        found[i] = None
        for _, day, count in sorted(days, key=lambda row: row[1]):
            if not evidence.closed(i, (day - evidence.grid.first).days):
                break
            if (units := units + count) >= needed:
                cap = adding.rows(unit_sql.quantile(i, metric, day))[0][0]
                found[i] = None if cap is None else float(cap)
                break
    return found


def _cells(rows: Iterable[Sequence[Any]], evidence: UnitEvidence, buckets: int) -> tuple[Cell, ...]:
    """What `unit_sql.sums` gave, its buckets together, and of ratios apart as well."""
    asked, found = evidence.asked, dict[Any, list[Sequence[Any]]]()
    for epoch, day, *rest in rows:
        key = (None if epoch is None else int(epoch), _day(day, evidence.grid), *rest[:2])
        found.setdefault(key, []).append(rest[2:])
    ratios = [i for i in range(len(asked.metrics)) if "d" in unit_sql.values(asked, i)]
    ends = np.cumsum([3, *(_width(asked, i) for i in range(len(asked.metrics)))])
    cells = list[Cell]()
    for key in sorted(found, key=lambda each: (each[0] is None, *each)):
        epoch, day, course, seen = key
        table = np.array([[float(n or 0.0) for n in row[1:]] for row in found[key]])
        at = [in_engine.folded(row[0], buckets) for row in found[key]]
        whole, by_bucket = table.sum(axis=0), dict[int, Array]()
        for i in ratios:
            begin, names = ends[i], unit_sql.values(asked, i)
            by_bucket[i] = np.zeros((1 + len(names), buckets))
            np.add.at(by_bucket[i].T, at, table[:, begin : begin + 1 + len(names)])
        cells.append(
            Cell(
                epoch,
                day,
                course,
                None if seen == -1 else int(seen),
                int(whole[0]),
                int(whole[1]),
                int(whole[2]),
                tuple(np.split(whole, ends[:-1])[1:]),
                by_bucket,
            )
        )
    return tuple(cells)


def _width(asked: Asked, which: int) -> int:
    names = unit_sql.values(asked, which)
    return 1 + len(names) + len(unit_sql.products(names))


def _day(found: Any, grid: Grid) -> int:
    """A day as a driver gives it."""
    if isinstance(found, datetime):
        found = found.date()
    elif isinstance(found, str):
        found = date.fromisoformat(found[:10])
    return int((found - grid.first).days)
