"""The SQL that is asked of a table (pure): names quoted, every alias new, only sums come back.

Rows are read once more for each statement, so that nothing but the sums of a unit is ever held.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from abctl.tables.question import Asked, Question
from abctl.tables.segments import EMPTY, MOST_VALUES, By, only
from abctl.tables.written import quoted, text

EVENTS = "abctl_events"


@dataclass(frozen=True)
class Taken:
    """As what numbers are added up.

    >>> Taken(shifts=(0.0,), caps={0: 500.0}).capped(0, "total")
    '(CASE WHEN total > 500.0 THEN 500.0 WHEN total < -500.0 THEN -500.0 ELSE total END)'

    Attributes:
        shifts: what is taken off each value of a metric, so that squares keep their digits.
        caps: what the sum of a unit counts as at most, by the place of the metric.
    """

    shifts: Sequence[float]
    caps: Mapping[int, float] = field(default_factory=dict)

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
        f"WITH {_rows(question)} SELECT arm_of, {listed} FROM events_read "
        "GROUP BY arm_of ORDER BY c_0 DESC, arm_of LIMIT 1000"
    )


def segment_values(question: Question, names: Sequence[str], column: str) -> str:
    """The most frequent values of a column of segments."""
    return (
        f"WITH {_rows(question, By(column))} SELECT segment_text, COUNT(*) AS n FROM events_read "
        f"WHERE {_counts(names)} AND segment_text IS NOT NULL GROUP BY segment_text "
        f"ORDER BY n DESC, segment_text LIMIT {MOST_VALUES}"
    )


def segment_quantiles(
    question: Question, names: Sequence[str], which: int, level: float, by: By
) -> str:
    """A quantile of a metric in each segment."""
    return (
        f"WITH {_rows(question, by)} SELECT COALESCE(segment_of, {EMPTY}) AS segment, "
        f"quantile_disc(value_{which}, {level:.6f}) AS found FROM events_read "
        f"WHERE {_counts(names)} GROUP BY 1"
    )


def segment_histogram(
    question: Question, names: Sequence[str], which: int, edges: Sequence[float], by: By
) -> str:
    """As `histogram`, of each segment and variant."""
    listed = ", ".join(f"{edge!r}::DOUBLE" for edge in edges)
    segment, joined = f"COALESCE(segment_of, {EMPTY})", ""
    parts, mixed_out = _rows(question, by), ""
    if question.unit:
        segment, joined = "unit_segment", "JOIN segmented ON unit_in = unit_of"
        parts += (
            f", {_units(names)}, segmented AS (SELECT unit_of AS unit_in, {_of_unit()} AS "
            f"unit_segment FROM events_read WHERE {_counts(names)} GROUP BY unit_of)"
        )
        mixed_out = "AND NOT EXISTS (SELECT 1 FROM mixed_units WHERE mixed_unit = unit_of) "
    return (
        f"WITH {parts} SELECT {segment} AS segment, arm_of, "
        f"histogram(value_{which}, [{listed}]) AS cells FROM events_read {joined} "
        f"WHERE {_counts(names)} AND value_{which} IS NOT NULL {mixed_out}GROUP BY 1, 2"
    )


def _of_unit() -> str:
    """The segment of a unit, whose rows may leave it empty."""
    return only("MIN(segment_of)", "MAX(segment_of)")


def quantiles(question: Question, names: Sequence[str], which: int, levels: Sequence[float]) -> str:
    """Quantiles of a metric over all variants: exact, so that the same file has the same answer."""
    listed = ", ".join(f"{level:.6f}" for level in levels)
    return (
        f"WITH {_rows(question)} SELECT quantile_disc(value_{which}, [{listed}]) AS found "
        f"FROM events_read WHERE {_counts(names)}"
    )


def unit_quantile(question: Question, names: Sequence[str], which: int, level: float) -> str:
    """What a share of all units has in all at most, of a metric."""
    return (
        f"WITH {_rows(question)} SELECT quantile_disc(total_of, {level!r}) AS found FROM ("
        f"SELECT SUM({_summed(question.metrics[which], which, 0.0, None)}) AS total_of "
        f"FROM events_read WHERE {_counts(names)} GROUP BY unit_of "
        f"HAVING MIN(arm_of) = MAX(arm_of) AND COUNT(value_{which}) > 0) AS totals"
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


def pairs(question: Question, control: str, treatment: str, shifts: Sequence[float]) -> str:
    """Units that have one answer of each of two variants, and sums over them.

    Args:
        question: what is asked, with a unit.
        control: its name in the table.
        treatment: the same.
        shifts: what is taken off each value of a metric, so that squares keep their digits.
    """
    of = {"c": f"arm_of = {text(control)}", "t": f"arm_of = {text(treatment)}"}
    flat = [f"COUNT(*) FILTER ({which}) AS n_{side}" for side, which in of.items()]
    flat += [f"MIN(answer_of) FILTER ({which}) AS answer_{side}" for side, which in of.items()]
    totals = [
        "COUNT(*) FILTER (n_c = 1 AND n_t = 1)",
        "COUNT(*) FILTER (n_t = 0)",
        "COUNT(*) FILTER (n_c = 0)",
        "COUNT(*) FILTER (n_c > 1 OR n_t > 1)",
        "COUNT(*)",
    ]
    whole = "n_c = 1 AND n_t = 1"
    same = "COALESCE(answer_c = answer_t, FALSE)"
    for i, shift in enumerate(shifts):
        for side, which in of.items():
            flat.append(f"MIN(value_{i}) FILTER ({which}) AS {side}_{i}")
        known = f"({whole} AND c_{i} IS NOT NULL AND t_{i} IS NOT NULL)"
        c, t = f"(c_{i} - {shift!r}::DOUBLE)", f"(t_{i} - {shift!r}::DOUBLE)"
        totals.append(f"COUNT(*) FILTER ({known})")
        squares = f"{c}*{c}", f"{t}*{t}", f"(t_{i} - c_{i})*(t_{i} - c_{i})"
        totals += [f"SUM({x}) FILTER ({known})" for x in (c, t, *squares)]
        totals += [
            f"COUNT(*) FILTER ({whole} AND {alike} AND {have})"
            for alike in (same, f"NOT {same}")
            for have in (known, f"NOT {known}")
        ]
        totals.append(f"BOOL_AND(c_{i} IN (0, 1) AND t_{i} IN (0, 1)) FILTER ({known})")
    listed = ", ".join(f"{each} AS total_{n}" for n, each in enumerate(totals))
    return (
        f"WITH {_rows(question)}, per_unit AS (SELECT {', '.join(flat)} FROM events_read "
        f"WHERE {_counts((control, treatment))} GROUP BY unit_of) SELECT {listed} FROM per_unit"
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
        if question.unit:
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
    return (
        f"WITH {_rows(question, by)}, per_unit AS (SELECT {segment}{arm} AS one_arm, "
        f"{several} AS saw_several, {size} AS unit_rows, {listed} FROM events_read "
        f"WHERE {_counts(names)} {of_units}) SELECT {'unit_segment, ' if by else ''}"
        f"CASE WHEN saw_several THEN NULL ELSE one_arm END AS arm, COUNT(*), "
        f"SUM(unit_rows), {totals} FROM per_unit GROUP BY {grouped}"
    )


def _summed(asked: Asked, i: int, shift: float, bound: str | None) -> str:
    if bound is not None:
        known = f"CAST(value_{i} <= {bound} AS DOUBLE)"
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


def bound_of(found: float) -> str:
    """A number, as `sums` takes it for a bound."""
    return f"{found!r}::DOUBLE"


def segment_bounds(found: Mapping[int, float]) -> str:
    """The same, of each segment its own."""
    if not found:
        return "NULL::DOUBLE"
    each = " ".join(f"WHEN {segment} THEN {bound_of(at)}" for segment, at in found.items())
    return f"(CASE COALESCE(segment_of, {EMPTY}) {each} END)"


def _rows(question: Question, by: By | None = None) -> str:
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
        f"{segment} FROM texts_read), "
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
