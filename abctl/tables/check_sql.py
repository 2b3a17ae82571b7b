"""The SQL that counts what of the rows of tables is doubtful, and how many each day has (pure)."""

from collections.abc import Mapping

from abctl.tables.relations import written
from abctl.tables.warehouse_sql import (
    LARGEST,
    Asked,
    counted,
    events_read,
    exposures_read,
    facts_read,
    moment,
    texts,
)


def exposure_checks(asked: Asked) -> str:
    """Of each value of the variant's column: rows, and what of them names no unit or time."""
    since = "FALSE" if asked.since is None else f"seen_at < {moment(asked, asked.since)}"
    found = {
        "rows_of": "COUNT(*)",
        "unitless": counted("unit_of IS NULL"),
        "timeless": counted("seen_at IS NULL"),
        "early": counted(since),
        "future": counted(f"seen_at >= {moment(asked, asked.until)}"),
        "earliest": "MIN(seen_at)",
        "latest": f"MAX(CASE WHEN seen_at < {moment(asked, asked.until)} THEN seen_at END)",
    }
    listed = ", ".join(f"{each} AS {name}" for name, each in found.items())
    return written(
        asked.tables,
        f"WITH {exposures_read(asked)} SELECT arm_of, {listed} FROM exposures_read GROUP BY arm_of "
        "ORDER BY rows_of DESC, arm_of LIMIT 1000",
    )


def event_checks(asked: Asked, since: float | None = None) -> str:
    """Of each event that is asked for, and of all others, by day: rows, and what is no number.

    Args:
        asked: what is asked.
        since: rows from then on (unix seconds), and those without a time; None: all.
    """
    bad = _bad()
    found = {
        "rows_of": "COUNT(*)",
        "unitless": counted("unit_at IS NULL"),
        "timeless": counted("happened_at IS NULL"),
        "future": counted(f"happened_at >= {moment(asked, asked.until)}"),
        "numberless": counted("number_of IS NULL"),
        "infinite": counted(f"number_of IS NOT NULL AND ({bad})"),
        "latest": f"MAX(CASE WHEN happened_at < {moment(asked, asked.until)} THEN happened_at END)",
        **_amounts(),
    }
    source = "events_read"
    if since is not None:  # in two parts, so that engines can leave out most of what they store
        parts = _from(asked, since), "happened_at IS NULL"
        source = " UNION ALL ".join(f"SELECT * FROM events_read WHERE {each}" for each in parts)
        source = f"({source}) AS of_late"
    listed = ", ".join(f"{each} AS {name}" for name, each in found.items())
    return written(
        asked.tables,
        f"WITH {events_read(asked)}, named AS (SELECT CASE WHEN what_of IN ({texts(asked.events)}) "
        "THEN what_of END AS what_asked, CAST(happened_at AS DATE) AS on_day, unit_at, "
        f"happened_at, number_of FROM {source}) "
        f"SELECT what_asked, on_day, {listed} FROM named GROUP BY what_asked, on_day",
    )


def event_totals(asked: Asked, before: float) -> str:
    """Of each event that is asked for, rows and sums up to a moment (unix seconds)."""
    listed = ", ".join(f"{each} AS {name}" for name, each in _amounts().items())
    return written(
        asked.tables,
        f"WITH {events_read(asked)} SELECT what_of AS what_asked, COUNT(*) AS rows_of, {listed} "
        f"FROM events_read WHERE happened_at < {moment(asked, before)} "
        f"AND what_of IN ({texts(asked.events)}) GROUP BY what_of",
    )


def exposure_days(asked: Asked) -> str:
    """How many exposures of the variants each day has."""
    return written(
        asked.tables,
        f"WITH {exposures_read(asked)}, dated AS (SELECT CAST(seen_at AS DATE) AS on_day "
        f"FROM exposures_read WHERE unit_of IS NOT NULL AND arm_of IN ({texts(asked.names)})) "
        "SELECT on_day, COUNT(*) AS rows_of FROM dated WHERE on_day IS NOT NULL GROUP BY on_day",
    )


def event_repeats(asked: Asked, since: float | None = None) -> str:
    """Of each event that is asked for, by day, how many rows equal another one; see above."""
    where = "WHERE unit_at IS NOT NULL "
    where += "" if since is None else f"AND {_from(asked, since)} "
    return written(
        asked.tables,
        f"WITH {events_read(asked)}, {facts_read(asked)}, alike AS (SELECT what_of AS what_asked, "
        "CAST(happened_at AS DATE) AS on_day, COUNT(*) - 1 AS further FROM facts "
        f"{where}GROUP BY unit_at, happened_at, what_of, number_of HAVING COUNT(*) > 1) "
        "SELECT what_asked, on_day, SUM(further) AS further_of FROM alike "
        "GROUP BY what_asked, on_day",
    )


def _bad() -> str:
    return f"number_of IS NULL OR NOT ABS(number_of) <= {LARGEST}"


def _amounts() -> Mapping[str, str]:
    """Sums that change when a number does."""
    return {
        "added": f"SUM(CASE WHEN {_bad()} THEN 0.0 ELSE number_of END)",
        "absolute": f"SUM(CASE WHEN {_bad()} THEN 0.0 ELSE ABS(number_of) END)",
    }


def _from(asked: Asked, since: float) -> str:
    return f"happened_at >= {moment(asked, since)}"
