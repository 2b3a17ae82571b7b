"""The SQL that is asked of a table (pure): names quoted, every alias new, only sums come back.

Rows are read once more for each statement, so that nothing but the sums of a unit is ever held.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from abctl.tables.question import Asked, Question
from abctl.tables.segments import EMPTY, MOST_VALUES, By, only
from abctl.tables.written import quoted, text

EVENTS = "abctl_events"
# A time as ISO has it, else unix seconds.
_AT = "COALESCE(epoch(TRY_CAST(at_text AS TIMESTAMPTZ)), TRY_CAST(at_text AS DOUBLE))"


@dataclass(frozen=True)
class Taken:
    """As what numbers are added up.

    >>> Taken(shifts=(0.0,), caps={0: 500.0}).capped(0, "total")
    '(CASE WHEN total > 500.0 THEN 500.0 WHEN total < -500.0 THEN -500.0 ELSE total END)'

    Attributes:
        shifts: what is taken off each value of a metric, so that squares keep their digits.
        caps: what the sum of a unit counts as at most, by the place of the metric.
        last: the time of the last row (unix seconds): later windows are open.
    """

    shifts: Sequence[float]
    caps: Mapping[int, float] = field(default_factory=dict)
    last: float = 0.0

    def capped(self, which: int, total: str) -> str:
        """The sum of a unit."""
        cap = self.caps.get(which)
        if cap is None:
            return total
        over, under = f"{total} > {cap!r} THEN {cap!r}", f"{total} < {-cap!r} THEN {-cap!r}"
        return f"(CASE WHEN {over} WHEN {under} ELSE {total} END)"


_TRUE, _FALSE = "('true', 't', 'yes', '1', '1.0')", "('false', 'f', 'no', '0', '0.0')"


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
        f"WITH {rows_read(question)} SELECT arm_of, {listed} FROM events_read "
        "GROUP BY arm_of ORDER BY c_0 DESC, arm_of LIMIT 1000"
    )


def segment_values(question: Question, names: Sequence[str], column: str) -> str:
    """The most frequent values of a column of segments."""
    return (
        f"WITH {rows_read(question, By(column))} SELECT segment_text, COUNT(*) AS n "
        f"FROM events_read WHERE {of_variants(names)} AND segment_text IS NOT NULL "
        "GROUP BY segment_text "
        f"ORDER BY n DESC, segment_text LIMIT {MOST_VALUES}"
    )


def segment_quantiles(
    question: Question, names: Sequence[str], which: int, level: float, by: By
) -> str:
    """A quantile of a metric in each segment."""
    return (
        f"WITH {rows_read(question, by)} SELECT COALESCE(segment_of, {EMPTY}) AS segment, "
        f"quantile_disc(value_{which}, {level:.6f}) AS found FROM events_read "
        f"WHERE {of_variants(names)} GROUP BY 1"
    )


def segment_histogram(
    question: Question, names: Sequence[str], which: int, edges: Sequence[float], by: By
) -> str:
    """As `histogram`, of each segment and variant."""
    listed = ", ".join(f"{edge!r}::DOUBLE" for edge in edges)
    segment, joined = f"COALESCE(segment_of, {EMPTY})", ""
    parts, mixed_out = rows_read(question, by), ""
    if question.unit:
        segment, joined = "unit_segment", "JOIN segmented ON unit_in = unit_of"
        parts += (
            f", {_units(names)}, segmented AS (SELECT unit_of AS unit_in, {_of_unit()} AS "
            f"unit_segment FROM events_read WHERE {of_variants(names)} GROUP BY unit_of)"
        )
        mixed_out = "AND NOT EXISTS (SELECT 1 FROM mixed_units WHERE mixed_unit = unit_of) "
    return (
        f"WITH {parts} SELECT {segment} AS segment, arm_of, "
        f"histogram(value_{which}, [{listed}]) AS cells FROM events_read {joined} "
        f"WHERE {of_variants(names)} AND value_{which} IS NOT NULL {mixed_out}GROUP BY 1, 2"
    )


def _of_unit() -> str:
    """The segment of a unit, whose rows may leave it empty."""
    return only("MIN(segment_of)", "MAX(segment_of)")


def quantiles(question: Question, names: Sequence[str], which: int, levels: Sequence[float]) -> str:
    """Quantiles of a metric over all variants: exact, so that the same file has the same answer."""
    listed = ", ".join(f"{level:.6f}" for level in levels)
    return (
        f"WITH {rows_read(question)} SELECT quantile_disc(value_{which}, [{listed}]) AS found "
        f"FROM events_read WHERE {of_variants(names)}"
    )


def unit_quantile(question: Question, names: Sequence[str], which: int, level: float) -> str:
    """What a share of all units has in all at most, of a metric."""
    return (
        f"WITH {rows_read(question)} SELECT quantile_disc(total_of, {level!r}) AS found FROM ("
        f"SELECT SUM({_summed(question.metrics[which], which, 0.0, None)}) AS total_of "
        f"FROM events_read WHERE {of_variants(names)} GROUP BY unit_of "
        f"HAVING MIN(arm_of) = MAX(arm_of) AND COUNT(value_{which}) > 0) AS totals"
    )


def histogram(question: Question, names: Sequence[str], which: int, edges: Sequence[float]) -> str:
    """Of each variant how many values lie up to each edge, and over the last."""
    listed = ", ".join(f"{edge!r}::DOUBLE" for edge in edges)
    return (
        f"WITH {rows_read(question)}, {_units(names)} "
        f"SELECT arm_of, histogram(value_{which}, [{listed}]) AS cells "
        f"FROM events_read WHERE {of_variants(names)} AND value_{which} IS NOT NULL "
        "AND NOT EXISTS (SELECT 1 FROM mixed_units WHERE mixed_unit = unit_of) GROUP BY arm_of"
        if question.unit
        else f"WITH {rows_read(question)} "
        f"SELECT arm_of, histogram(value_{which}, [{listed}]) AS cells "
        f"FROM events_read WHERE {of_variants(names)} AND value_{which} IS NOT NULL GROUP BY arm_of"
    )


def mixed(question: Question, names: Sequence[str]) -> str:
    """Of each variant how many of its units saw another one as well."""
    return (
        f"WITH {rows_read(question)}, {_units(names)} SELECT arm_of, COUNT(DISTINCT unit_of) AS n "
        f"FROM events_read JOIN mixed_units ON mixed_unit = unit_of WHERE {of_variants(names)} "
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
    taken: Taken,
    bounds: Mapping[int, str],
    by: By | None = None,
) -> str:
    """Sums over units, by variant: of units that saw several there is only their number.

    Args:
        question: what is asked.
        names: of the variants.
        taken: as what numbers are.
        bounds: of quantiles: about where they are. Summed is what lies at or under that.
        by: segments, of each of which there are sums; None: of all units together.
    """
    flat = list[str]()
    for i, asked in enumerate(question.metrics):
        value = _summed(asked, i, taken.shifts[i], bounds.get(i))
        if asked.aggregate == "retention":
            flat += [*_back(asked, taken.last), "0", "COUNT(*)"]
        elif question.unit:
            flat += [taken.capped(i, f"SUM({value})"), f"COUNT({value})"]
            flat += [f"COUNT(*) - COUNT(value_{i})", "COUNT(*)"]
        else:
            flat += [value, f"CAST(({value}) IS NOT NULL AS INTEGER)"]
            flat += [f"CAST(value_{i} IS NULL AS INTEGER)", "1"]
    listed = ", ".join(f"{each} AS u_{n}" for n, each in enumerate(flat))
    of_units = "GROUP BY unit_of" if question.unit else ""
    segment, grouped = "", "1"
    if by is not None:
        of_row = f"COALESCE(segment_of, {EMPTY})"
        segment = f"{_of_unit() if question.unit else of_row} AS unit_segment, "
        grouped = "unit_segment, 2"
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
    firsts, joined = "", ""
    if any(asked.aggregate == "retention" for asked in question.metrics):
        joined = "JOIN firsts ON unit_of_first = unit_of "
        firsts = (
            ", firsts AS (SELECT unit_of AS unit_of_first, MIN(at_of) AS first_of FROM events_read "
            f"WHERE {of_variants(names)} GROUP BY unit_of)"
        )
    return (
        f"WITH {rows_read(question, by)}{firsts}, per_unit AS (SELECT {segment}{arm} AS one_arm, "
        f"{several} AS saw_several, {size} AS unit_rows, {listed} FROM events_read {joined}"
        f"WHERE {of_variants(names)} {of_units}) SELECT {'unit_segment, ' if by else ''}"
        f"CASE WHEN saw_several THEN NULL ELSE one_arm END AS arm, COUNT(*), "
        f"SUM(unit_rows), {totals} FROM per_unit GROUP BY {grouped}"
    )


def times(question: Question, names: Sequence[str]) -> str:
    """The time of the last row, and how many rows have none."""
    return (
        f"WITH {rows_read(question)} SELECT MAX(at_of) AS last_of, COUNT(*) - COUNT(at_of) AS n "
        f"FROM events_read WHERE {of_variants(names)}"
    )


def _back(asked: Asked, last: float) -> tuple[str, str]:
    """Whether a unit has a row in its window; and whether that is over."""
    within = f"at_of >= first_of + {asked.after!r} AND at_of < first_of + {asked.window!r}"
    over = f"MIN(first_of) + {asked.window!r} <= {last!r}::DOUBLE"
    return (
        f"MAX(CASE WHEN {within} THEN 1.0::DOUBLE ELSE 0.0::DOUBLE END)",
        f"CASE WHEN {over} THEN 1 ELSE 0 END",
    )


def _summed(asked: Asked, i: int, shift: float, bound: str | None) -> str:
    if bound is not None:
        known = f"CAST(value_{i} <= {bound} AS DOUBLE)"
        return f"(CASE WHEN value_{i} IS NOT NULL THEN {known} END)"
    if asked.aggregate == "count":
        return f"(CASE WHEN value_{i} IS NOT NULL THEN 1.0::DOUBLE END)"
    return f"(value_{i} - {shift!r}::DOUBLE)"


def of_variants(names: Sequence[str]) -> str:
    """That a row is of one of the variants, and names a unit."""
    listed = ", ".join(map(text, names))
    return f"arm_of IN ({listed}) AND unit_of IS NOT NULL"


def _units(names: Sequence[str]) -> str:
    return (
        f"mixed_units AS (SELECT unit_of AS mixed_unit FROM events_read WHERE {of_variants(names)} "
        "GROUP BY unit_of HAVING MIN(arm_of) <> MAX(arm_of))"
    )


def bound_of(found: float) -> str:
    """A number, as `sums` takes it for a bound."""
    return f"{found!r}::DOUBLE"


def segment_bounds(found: Mapping[int, float]) -> str:
    """The same, of each segment its own."""
    if not found:
        return "NULL::DOUBLE"
    each = " ".join(f"WHEN {segment} THEN {bound_of(at)}" for segment, at in found.items())
    return f"(CASE COALESCE(segment_of, {EMPTY}) {each} END)"


def rows_read(question: Question, by: By | None = None) -> str:
    """Each row: whose, of which variant, and of each metric what stands there and its number."""
    raw = [
        f"CAST({quoted(question.variant)} AS VARCHAR) AS arm_text",
        f"CAST({quoted(question.unit)} AS VARCHAR) AS unit_text"
        if question.unit
        else "'row' AS unit_text",
        f"CAST({quoted(question.answer)} AS VARCHAR) AS answer_of"
        if question.answer
        else "NULL AS answer_of",
    ]
    if question.at:
        raw.append(f"NULLIF(TRIM(CAST({quoted(question.at)} AS VARCHAR)), '') AS at_text")
    at = f", {_AT} AS at_of" if question.at else ""
    segment = "" if by is None else f", segment_text, {by.code('segment_text')} AS segment_of"
    if by is not None:
        raw.append(f"NULLIF(TRIM(CAST({quoted(by.column)} AS VARCHAR)), '') AS segment_text")
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
        f"NULLIF(TRIM(unit_text), '') AS unit_of, answer_of, "
        f"{', '.join(f'raw_{i}' for i in range(len(numbers)))}, {', '.join(numbers)}"
        f"{segment}{at} FROM texts_read), "
        f"events_read AS (SELECT *, {', '.join(values)} FROM numbers_read)"
    )


def _number(asked: Asked, i: int) -> str:
    if asked.aggregate in ("count", "retention"):
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
