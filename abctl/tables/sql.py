"""The SQL that is asked of a table (pure): names quoted, every alias new, only sums come back.

Rows are read once more for each statement, so that nothing but the sums of a unit is ever held.
"""

from collections.abc import Mapping, Sequence

from abctl.tables.question import Asked, Question

EVENTS = "abctl_events"
_TRUE, _FALSE = "('true', 't', 'yes', '1', '1.0')", "('false', 'f', 'no', '0', '0.0')"


def quoted(name: str) -> str:
    """A name of a column, whatever it holds.

    >>> print(quoted('user "x"; DROP'))
    "user ""x""; DROP"
    """
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def text(value: str) -> str:
    """A text, whatever it holds.

    >>> print(text("it's"))
    'it''s'
    """
    escaped = value.replace("'", "''")
    return f"'{escaped}'"


def checks(question: Question) -> str:
    """Of each value of the variant's column: rows, and what of each metric is no number."""
    columns = ["COUNT(*)", "COUNT(*) FILTER (unit_of IS NULL)"]
    for i in range(len(question.metrics)):
        columns += [
            f"COUNT(*) FILTER (raw_{i} IS NULL)",
            f"COUNT(*) FILTER (number_{i} IS NOT NULL AND NOT isfinite(number_{i}))",
            f"COUNT(*) FILTER (raw_{i} IS NOT NULL AND number_{i} IS NULL)",
            f"MIN(raw_{i}) FILTER (raw_{i} IS NOT NULL AND number_{i} IS NULL)",
            f"AVG(value_{i})",
            f"MIN(value_{i})",
            f"MAX(value_{i})",
        ]
    listed = ", ".join(f"{each} AS c_{n}" for n, each in enumerate(columns))
    return (
        f"WITH {_rows(question)} SELECT arm_of, {listed} FROM events_read "
        "GROUP BY arm_of ORDER BY c_0 DESC, arm_of LIMIT 1000"
    )


def quantiles(question: Question, names: Sequence[str], which: int, levels: Sequence[float]) -> str:
    """Quantiles of a metric over all variants: exact, so that the same file has the same answer."""
    listed = ", ".join(f"{level:.6f}" for level in levels)
    return (
        f"WITH {_rows(question)} SELECT quantile_disc(value_{which}, [{listed}]) AS found "
        f"FROM events_read WHERE {_counts(names)}"
    )


def histogram(question: Question, names: Sequence[str], which: int, edges: Sequence[float]) -> str:
    """Of each variant how many values lie up to each edge, and over the last."""
    listed = ", ".join(f"{edge!r}::DOUBLE" for edge in edges)
    return (
        f"WITH {_rows(question)}, {_units(names)} "
        f"SELECT arm_of, histogram(value_{which}, [{listed}]) AS cells "
        f"FROM events_read WHERE {_counts(names)} AND value_{which} IS NOT NULL "
        "AND NOT EXISTS (SELECT 1 FROM mixed_units WHERE mixed_unit = unit_of) GROUP BY arm_of"
        if question.unit
        else f"WITH {_rows(question)} SELECT arm_of, histogram(value_{which}, [{listed}]) AS cells "
        f"FROM events_read WHERE {_counts(names)} AND value_{which} IS NOT NULL GROUP BY arm_of"
    )


def mixed(question: Question, names: Sequence[str]) -> str:
    """Of each variant how many of its units saw another one as well."""
    return (
        f"WITH {_rows(question)}, {_units(names)} SELECT arm_of, COUNT(DISTINCT unit_of) AS n "
        f"FROM events_read JOIN mixed_units ON mixed_unit = unit_of WHERE {_counts(names)} "
        "GROUP BY arm_of"
    )


def repeated() -> str:
    """How many rows equal another one in every column."""
    return (
        f"SELECT COALESCE(SUM(copies - 1), 0) AS n FROM (SELECT COUNT(*) AS copies "
        f"FROM {EVENTS} AS whole_row GROUP BY hash(whole_row))"
    )


def sums(
    question: Question,
    names: Sequence[str],
    shifts: Sequence[float],
    bounds: Mapping[int, float],
) -> str:
    """Sums over units, by variant: of units that saw several there is only their number.

    Args:
        question: what is asked.
        names: of the variants.
        shifts: what is taken off each value of a metric, so that squares keep their digits.
        bounds: of quantiles: about where they are. Summed is what lies at or under that.
    """
    flat = list[str]()
    for i, asked in enumerate(question.metrics):
        value = _summed(asked, i, shifts[i], bounds.get(i))
        if question.unit:
            flat += [f"SUM({value})", f"COUNT({value})"]
            flat += [f"COUNT(*) - COUNT(value_{i})", "COUNT(*)"]
        else:
            flat += [value, f"CAST(({value}) IS NOT NULL AS INTEGER)"]
            flat += [f"CAST(value_{i} IS NULL AS INTEGER)", "1"]
    listed = ", ".join(f"{each} AS u_{n}" for n, each in enumerate(flat))
    by = "GROUP BY unit_of" if question.unit else ""
    arm = "MIN(arm_of)" if question.unit else "arm_of"
    several = "MIN(arm_of) <> MAX(arm_of)" if question.unit else "FALSE"
    size = "COUNT(*)" if question.unit else "1"
    pairs = [(f"CAST(u_{n} AS DOUBLE)", f"u_{n + 1}") for n in range(0, len(flat), 2)]
    totals = ", ".join(
        f"COUNT(*) FILTER ({n} > 0), SUM({s}) FILTER ({n} > 0), SUM({n}), "
        f"SUM({s} * {s}) FILTER ({n} > 0), SUM(CAST({n} AS DOUBLE) * {n}), "
        f"SUM({s} * {n}) FILTER ({n} > 0), MAX({n})"
        for s, n in pairs
    )
    return (
        f"WITH {_rows(question)}, per_unit AS (SELECT {arm} AS one_arm, {several} AS saw_several, "
        f"{size} AS unit_rows, {listed} FROM events_read WHERE {_counts(names)} {by}) "
        f"SELECT CASE WHEN saw_several THEN NULL ELSE one_arm END AS arm, COUNT(*), "
        f"SUM(unit_rows), {totals} FROM per_unit GROUP BY 1"
    )


def _summed(asked: Asked, i: int, shift: float, bound: float | None) -> str:
    if bound is not None:
        known = f"CAST(value_{i} <= {bound!r}::DOUBLE AS DOUBLE)"
        return f"(CASE WHEN value_{i} IS NOT NULL THEN {known} END)"
    if asked.aggregate == "count":
        return f"(CASE WHEN value_{i} IS NOT NULL THEN 1.0::DOUBLE END)"
    return f"(value_{i} - {shift!r}::DOUBLE)"


def _counts(names: Sequence[str]) -> str:
    listed = ", ".join(map(text, names))
    return f"arm_of IN ({listed}) AND unit_of IS NOT NULL"


def _units(names: Sequence[str]) -> str:
    return (
        f"mixed_units AS (SELECT unit_of AS mixed_unit FROM events_read WHERE {_counts(names)} "
        "GROUP BY unit_of HAVING MIN(arm_of) <> MAX(arm_of))"
    )


def _rows(question: Question) -> str:
    """Each row: whose, of which variant, and of each metric what stands there and its number."""
    raw = [
        f"CAST({quoted(question.variant)} AS VARCHAR) AS arm_text",
        f"CAST({quoted(question.unit)} AS VARCHAR) AS unit_text"
        if question.unit
        else "'row' AS unit_text",
    ]
    numbers, values = list[str](), list[str]()
    for i, asked in enumerate(question.metrics):
        column = "1" if asked.column is None else quoted(asked.column)
        raw.append(f"NULLIF(TRIM(CAST({column} AS VARCHAR)), '') AS raw_{i}")
        numbers.append(f"{_number(asked, i)} AS number_{i}")
        value = f"number_{i}"
        if asked.condition:
            operator, bound = asked.condition
            value = f"CAST(number_{i} {operator} {bound!r}::DOUBLE AS DOUBLE)"
        values.append(f"CASE WHEN isfinite(number_{i}) THEN {value} END AS value_{i}")
    return (
        f"texts_read AS (SELECT {', '.join(raw)} FROM {EVENTS}), "
        "numbers_read AS (SELECT NULLIF(TRIM(arm_text), '') AS arm_of, "
        f"NULLIF(TRIM(unit_text), '') AS unit_of, "
        f"{', '.join(f'raw_{i}' for i in range(len(numbers)))}, {', '.join(numbers)} "
        "FROM texts_read), "
        f"events_read AS (SELECT *, {', '.join(values)} FROM numbers_read)"
    )


def _number(asked: Asked, i: int) -> str:
    if asked.aggregate == "count":
        return f"CASE WHEN raw_{i} IS NOT NULL THEN 1.0::DOUBLE END"
    if asked.aggregate == "share" and asked.condition is None:
        return (
            f"CASE WHEN lower(raw_{i}) IN {_TRUE} THEN 1.0::DOUBLE "
            f"WHEN lower(raw_{i}) IN {_FALSE} THEN 0.0::DOUBLE "
            f"WHEN lower(raw_{i}) IN ('nan', 'inf', '-inf') THEN 'nan'::DOUBLE END"
        )
    return (
        f"CASE lower(raw_{i}) WHEN 'true' THEN 1.0::DOUBLE WHEN 'false' THEN 0.0::DOUBLE "
        f"ELSE TRY_CAST(raw_{i} AS DOUBLE) END"
    )
