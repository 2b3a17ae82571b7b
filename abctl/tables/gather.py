"""From tables of exposures and events to sums of units: who asks whom, in which order.

DuckDB reads files itself. Any other engine adds up what it can (see `in_engine`); else rows of
units come of it, which DuckDB adds up by the same SQL.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from abctl.core.assignment import Draw
from abctl.core.experiment import Experiment
from abctl.core.ledger import Ledger
from abctl.core.split import Split
from abctl.core.tables import Tables
from abctl.errors import SourceError
from abctl.tables import check_sql, checks, in_engine, summed, unit_sql, warehouse_sql
from abctl.tables.engine import Adder, adder
from abctl.tables.kept import Keeper, Kept, changes, kept_of
from abctl.tables.relations import views
from abctl.tables.running import Running, Told, silent
from abctl.tables.segments import By
from abctl.tables.unit_sql import Grid, Words
from abctl.tables.units import UnitEvidence, placing
from abctl.tables.warehouse import Warehouse, connected
from abctl.tables.warehouse_sql import Asked
from abctl.tables.written import printable

# Checks of exposures and events, their days, rows of units, and their sums.
_STATEMENTS = 6


def statements(
    experiment: Experiment,
    ledger: Ledger | None,
    now: float,
    draw: Draw | None,
    keep: Path | None = None,
) -> tuple[str, ...]:
    """What is asked of the engine, in order; see `gather`."""
    asked = _asked(experiment, ledger, now)
    grid, splits = placing(experiment, ledger, now, 0.0, hashed=draw is not None)
    known = _kept(experiment, ledger, asked, keep)[1]
    over = grid.begins(known.over) if known else None
    if known and known.fits(grid, splits, asked):
        asked = replace(asked, first_from=grid.begins(known.days))
    values = [warehouse_sql.segment_values(asked, by) for by in asked.segments]
    told = known.by if known and known.days else [By(by.column, ("...",)) for by in asked.segments]
    asked = replace(asked, segments=tuple(told))
    said = _words(experiment, asked, grid, splits, draw)
    sums = [in_engine.statement(asked, grid, said, k) for k in _columns(asked)] if said else []
    found = (
        *warehouse_sql.session(asked.tables),
        *([] if known and known.days else values),
        check_sql.exposure_checks(asked),
        check_sql.event_repeats(asked, over),
        *(() if over is None else (check_sql.event_totals(asked, over),)),
        check_sql.event_checks(asked, over),
        check_sql.exposure_days(asked),
        *(sums or [warehouse_sql.unit_rows(asked)]),
    )
    return tuple(f"{each};" for each in found)


def gather(
    experiment: Experiment,
    ledger: Ledger | None,
    now: float,
    draw: Draw | None,
    keep: Path | None = None,
    *,
    told: Told = silent,
) -> UnitEvidence:
    """Ask the tables of an experiment.

    Args:
        experiment: what is asked, with its source.
        ledger: what happened to its split; None where nobody kept one: then its own split stands.
        now: unix seconds, up to when rows count.
        draw: how its platform places a unit; None where each request is drawn anew.
        keep: the folder of days that are closed; None: none is kept, and all is read.
        told: hears how far it is.

    Raises:
        UsageError: a file, a driver or an environment variable is missing.
        SpecError: where tables are said to be, there is no table and no SELECT.
        SourceError: they cannot be read, or have no exposure.
        KeyboardInterrupt: it was interrupted; the engine does nothing of it any more.
    """
    asked = _asked(experiment, ledger, now)
    keeper, known = _kept(experiment, ledger, asked, keep)
    running = Running(told)
    with opened(asked.tables, running) as (engine, adding):
        running.expects(_STATEMENTS + 3 * len(asked.segments))
        exposures = checks.exposures(engine, replace(asked, segments=()))
        seen = [exposures[name] for name in asked.names if name in exposures]
        if not any(each.earliest is not None for each in seen):
            others = ", ".join(printable(str(name)) for name in exposures if name is not None)
            raise SourceError(
                f"{engine.place} has no exposure of {' or '.join(asked.names)}",
                f"exposures are of {others or 'nobody'}: are variants called alike, and is source."
                "table.timezone right?",
            )
        earliest = min(each.earliest for each in seen if each.earliest is not None)
        grid, splits = placing(experiment, ledger, now, earliest, hashed=draw is not None)
        by = tuple(_with_values(engine, asked, known))
        asked = replace(asked, segments=by)
        old = known if known and known.fits(grid, splits, asked) else None
        if old:
            asked = replace(asked, first_from=grid.begins(old.days))
        events, daily = checks.events(engine, asked, grid, known)
        daily += checks.exposure_days(engine, asked, grid)
        latest = [each.latest for each in (*exposures.values(), *events.values()) if each.latest]
        through = max(latest) if ledger is not None else now
        evidence = UnitEvidence(
            engine.place, asked, grid, splits, exposures, events, {}, (), through
        )
        evidence = _added_up((engine, adding), evidence, experiment, draw, old)
        if keeper is None:
            return evidence
        changed = changes(known.daily, daily, grid) if known else ()
        keeper.save(kept_of(evidence, daily, known), asked)
        return replace(evidence, changed=changed)


def _kept(
    experiment: Experiment, ledger: Ledger | None, asked: Asked, keep: Path | None
) -> tuple[Keeper | None, Kept | None]:
    if keep is None or ledger is None:
        return None, None
    keeper = Keeper.of(keep, experiment, asked)
    return keeper, keeper.load(asked, experiment.assignment.buckets)


def _added_up(
    engines: tuple[Adder | Warehouse, Adder],
    evidence: UnitEvidence,
    experiment: Experiment,
    draw: Draw | None,
    old: Kept | None,
) -> UnitEvidence:
    """With the sums of units, and the caps of their metrics."""
    engine, adding = engines
    asked, grid, rules = evidence.asked, evidence.grid, experiment.assignment
    said = _words(experiment, asked, grid, evidence.splits, draw)
    caps: Mapping[int, float | None]
    if said:
        sums = [engine.rows(in_engine.statement(asked, grid, said, k)) for k in _columns(asked)]
        caps = {i: m.cap.at for i, m in enumerate(asked.metrics) if m.cap is not None}
    else:
        if grid.hashed and draw is not None:
            courses = in_engine.course(rules, evidence.splits, draw)
            adding.define(in_engine.COURSE, courses, "VARCHAR")
        adding.define(in_engine.BUCKET, in_engine.bucket_of(rules), "INTEGER")
        adding.rows(in_engine.in_duckdb(asked, grid, _units(engine, adding, asked)))
        caps = old.caps if old else summed.caps_of(adding, evidence)
        settled = {i: cap for i, cap in caps.items() if cap is not None}
        sums = [adding.rows(unit_sql.sums(asked, settled, k)) for k in _columns(asked)]
    cells = summed.cells_of(sums[0], evidence, rules.buckets)
    segments = [
        summed.segments_of(rows, evidence, by, rules.buckets)
        for by, rows in zip(asked.segments, sums[1:], strict=True)
    ]
    return replace(
        evidence,
        caps=caps,
        cells=(*(old.cells if old else ()), *cells),
        segments=summed.together(old.segments if old else (), *segments),
    )


def _columns(asked: Asked) -> tuple[int | None, ...]:
    """By what units are added up: all together, and by each column of segments."""
    return (None, *range(len(asked.segments)))


def _with_values(engine: Adder | Warehouse, asked: Asked, known: Kept | None) -> Iterator[By]:
    """Columns of segments with their values; those that days were kept of stay."""
    if known and known.days:
        yield from known.by
        return
    for by in asked.segments:
        rows = engine.rows(warehouse_sql.segment_values(asked, by))
        yield By(by.column, tuple(str(row[0]) for row in rows))


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
def opened(tables: Tables, running: Running) -> Iterator[tuple[Adder | Warehouse, Adder]]:
    """What is asked, and what adds up rows of units; of files both are DuckDB.

    Raises:
        AbctlError: as for `gather`.
    """
    zone = tables.timezone
    if tables.engine != "duckdb":
        with connected(tables, running) as engine, adder({}, zone=zone, running=running) as adding:
            yield engine, adding
        return
    given = {} if tables.connection else views(tables)
    database = tables.connection.get("database")
    with adder(given, zone=zone, database=database, running=running) as adding:
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
                given[name] = np.array([checks.seconds(value, zone) for value in column])
            else:
                given[name] = np.array([float(value or 0.0) for value in column])
        adding.insert("abctl_rows", given)
    # An array has no NULL; a time that is none is NaN.
    each = (f"CASE WHEN NOT isnan({n}) THEN {n} END AS {n}" if n in times else n for n in names)
    return f"SELECT {', '.join(each)} FROM abctl_rows"


def _number(name: str) -> str:
    return name if name == "unit_id" else f"CAST({name} AS DOUBLE) AS {name}"
