"""Asks a table for the sums of segments: of units that have one value of a declared column.

A unit whose rows have several values is in none of them, nor is one whose value is rare.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from abctl.tables import sql
from abctl.tables.arms import arm_of, histograms
from abctl.tables.counted import CountedSegment
from abctl.tables.engine import Table
from abctl.tables.question import Question
from abctl.tables.segments import EMPTY, RARE, SEVERAL, By
from abctl.tables.written import printable

Edges = Mapping[int, tuple[float, ...]]


def segments_of(
    table: Table, question: Question, names: Sequence[str], taken: sql.Taken, edges: Edges
) -> tuple[tuple[CountedSegment, ...], dict[str, tuple[int, int]]]:
    """Every segment, and by column how many units have rarer values, and several.

    Args:
        table: whom to ask.
        question: what is asked.
        names: of the variants.
        taken: see `sql.sums`.
        edges: of the cells of quantiles.
    """
    found, left_out = list[CountedSegment](), dict[str, tuple[int, int]]()
    for column in dict.fromkeys(question.segments):
        values = table.rows(sql.segment_values(question, names, column))
        by = By(column, tuple(str(row[0]) for row in values))
        rows = _rows(table, question, names, taken, by)
        cells = _cells(table, question, names, edges, by)
        shown = printable(column)
        for segment in sorted(rows, key=lambda each: (each < 0, each)):
            if segment in (RARE, SEVERAL):
                continue
            of_them = {i: each.get(segment, {}) for i, each in cells.items()}
            found.append(
                CountedSegment(
                    shown,
                    None if segment == EMPTY else printable(by.values[segment]),
                    tuple(arm_of(question, n, rows[segment].get(n), of_them) for n in names),
                )
            )
        units = (
            sum(int(row[0]) for name, row in rows.get(each, {}).items() if name is not None)
            for each in (RARE, SEVERAL)
        )
        left_out[shown] = next(units), next(units)
    return tuple(found), left_out


def _rows(
    table: Table, question: Question, names: Sequence[str], taken: sql.Taken, by: By
) -> dict[int, dict[str | None, Sequence[Any]]]:
    """The sums of each segment and variant."""
    bounds = dict[int, str]()
    for i, asked in enumerate(question.metrics):
        if (level := asked.metric.quantile) is not None:
            at = table.rows(sql.segment_quantiles(question, names, i, level, by))
            bounds[i] = sql.segment_bounds({int(s): float(v) for s, v in at if v is not None})
    found = dict[int, dict[str | None, Sequence[Any]]]()
    for segment, name, *rest in table.rows(sql.sums(question, names, taken, bounds, by)):
        found.setdefault(int(segment), {})[name] = rest
    return found


def _cells(
    table: Table, question: Question, names: Sequence[str], edges: Edges, by: By
) -> dict[int, dict[int, Any]]:
    found = dict[int, dict[int, Any]]()
    for i, at in edges.items():
        rows = dict[int, list[Sequence[Any]]]()
        for segment, *rest in table.rows(sql.segment_histogram(question, names, i, at, by)):
            rows.setdefault(int(segment), []).append(rest)
        found[i] = {segment: histograms(each, at) for segment, each in rows.items()}
    return found
