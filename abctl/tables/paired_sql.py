"""The SQL of two variants that answered the same units (pure): each unit is a pair."""

from collections.abc import Sequence

from abctl.tables.question import Question
from abctl.tables.sql import of_variants, rows_read
from abctl.tables.written import text


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
        f"WITH {rows_read(question)}, per_unit AS (SELECT {', '.join(flat)} FROM events_read "
        f"WHERE {of_variants((control, treatment))} GROUP BY unit_of) SELECT {listed} FROM per_unit"
    )
