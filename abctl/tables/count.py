"""Asks a table for the sums of each variant."""

from collections.abc import Sequence

import numpy as np

from abctl.core.split import Split
from abctl.errors import SourceError
from abctl.tables import sql
from abctl.tables.arms import arm_of, histograms
from abctl.tables.count_segments import segments_of
from abctl.tables.counted import CountedTable, shifted
from abctl.tables.engine import Table
from abctl.tables.question import Question
from abctl.tables.seen import seen_of
from abctl.tables.written import printable

# The first look, sums, equal rows; a quantile needs two, of which sums know one.
_STATEMENTS = 3


def count(table: Table, question: Question) -> CountedTable:
    """All that a verdict takes.

    Raises:
        UsageError: no such column, or nothing says which variant is the control.
        SourceError: the table cannot be read, has no rows, or a metric has no number in it.
    """
    table.running.expects(_STATEMENTS + sum(m.aggregate == "quantile" for m in question.metrics))
    for column in question.segments:
        table.require(column, "--segment")
    looked = seen_of(table, question)
    names = looked.names
    shifts = [looked.mean(i) if shifted(asked) else 0.0 for i, asked in enumerate(question.metrics)]
    edges = {
        i: _edges(table, question, names, i)
        for i, asked in enumerate(question.metrics)
        if asked.aggregate == "quantile"
    }
    last, timeless = _times(table, question, names)
    taken = sql.Taken(shifts, _caps(table, question, names), last)
    bounds = {i: sql.bound_of(each[1]) for i, each in edges.items()}
    found = {row[0]: row[1:] for row in table.rows(sql.sums(question, names, taken, bounds))}
    mixed = dict[str, int]()
    if found.get(None, (0,))[0]:
        mixed = dict(table.rows(sql.mixed(question, names)))
    cells = {
        i: histograms(table.rows(sql.histogram(question, names, i, at)), at)
        for i, (at, _) in edges.items()
    }
    segments, left_out = segments_of(
        table, question, names, taken, {i: each[0] for i, each in edges.items()}
    )
    return CountedTable(
        place=table.place,
        question=question,
        arms=tuple(
            arm_of(
                question,
                name,
                found.get(name),
                cells,
                missing=tuple(looked.missing(name, i) for i in range(looked.metrics)),
                mixed=mixed.get(name, 0),
            )
            for name in names
        ),
        shifts=tuple(shifts),
        caps=taken.caps,
        timeless=timeless,
        unknown=looked.unknown,
        without_unit=looked.without_unit,
        without_variant=looked.without_variant,
        repeated=int(table.rows(sql.repeated())[0][0]) if question.unit else 0,
        segments=segments,
        unsegmented=left_out,
    )


def _times(table: Table, question: Question, names: Sequence[str]) -> tuple[float, int]:
    """When the last row was (unix seconds), and how many rows have no time."""
    if question.at is None:
        return 0.0, 0
    last, timeless = table.rows(sql.times(question, names))[0]
    if last is None:
        raise SourceError(
            f"{printable(question.at)} of {table.place} has no time in it",
            "--at COLUMN: 2026-10-01 12:00:00, with its zone or in UTC, or unix seconds",
        )
    return float(last), int(timeless)


def _caps(table: Table, question: Question, names: Sequence[str]) -> dict[int, float]:
    """What larger sums of units count as; a share is of the units of all variants together."""
    found = dict[int, float]()
    for i, asked in enumerate(question.metrics):
        if (cap := asked.metric.cap) is None:
            continue
        found[i] = cap.at
        if cap.of_values:
            at = table.rows(sql.unit_quantile(question, names, i, cap.at))[0][0]
            found[i] = abs(float(at or 0.0))
    return found


def ordered(question: Question, names: Sequence[str]) -> Split | None:
    """The split as it was given; None: it was not.

    Raises:
        SpecError: it is no split of these variants.
    """
    if question.shares is None:
        return None
    whole = Split(tuple(names), (10_000, *([0] * (len(names) - 1))))
    return whole.parse_change((question.shares,))


def _edges(
    table: Table, question: Question, names: Sequence[str], i: int
) -> tuple[tuple[float, ...], float]:
    """Edges of cells, the finest near the quantile, and about where that is."""
    quantile = question.metrics[i].metric.quantile
    assert quantile is not None
    near = quantile + min(quantile, 1 - quantile) * np.linspace(-0.98, 0.98, 197)
    levels = np.unique(np.concatenate([np.linspace(0.0, 1.0, 101), near, [quantile]]))
    found = [
        float(each) for each in table.rows(sql.quantiles(question, names, i, levels.tolist()))[0][0]
    ]
    at = found[int(np.argmin(np.abs(levels - quantile)))]
    return tuple(sorted(set(found))), at
