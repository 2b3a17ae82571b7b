"""Asks a table: which variants there are, what of it is no number, and the sums of each."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from abctl.core.split import Split
from abctl.errors import SourceError, UsageError
from abctl.tables import sql
from abctl.tables.arms import arm_of, histograms, missing_of, of_metric
from abctl.tables.count_segments import segments_of
from abctl.tables.counted import CountedTable, shifted
from abctl.tables.engine import Table, printable
from abctl.tables.question import Question

_PLAIN = frozenset(
    ("control", "baseline", "champion", "a", "v1", "model_v1", "model-v1", "old", "0", "false")
)
_MOST_VARIANTS = 20
_Checks = Mapping[str, Sequence[Any]]


def count(table: Table, question: Question) -> CountedTable:
    """All that a verdict takes.

    Raises:
        UsageError: no such column, or nothing says which variant is the control.
        SourceError: the table cannot be read, has no rows, or a metric has no number in it.
    """
    table.require(question.variant, "--variant")
    for column in question.segments:
        table.require(column, "--segment")
    if question.unit is not None:
        table.require(question.unit, "--unit")
    for asked in question.metrics:
        if asked.aggregate in ("sum", "count") and question.unit is None:
            raise UsageError(
                f"metric {asked.metric.name}: {asked.metric.of} is per unit, and none is named",
                f"--unit COLUMN, or mean({asked.column or 'COLUMN'}), which is per row",
            )
        if asked.column is not None:
            table.require(asked.column, f"metric {asked.metric.name}: column")
    read = table.rows(sql.checks(question))
    seen: _Checks = {row[0]: row[1:] for row in read if row[0] is not None}
    nameless = sum(int(row[1]) for row in read if row[0] is None)
    if not seen:
        raise SourceError(
            f"{table.place} has no rows with a value of {printable(question.variant)}",
            "is it the right file, and the right column?",
        )
    names = _variants(question, seen)
    of_them = {name: seen[name] for name in names}
    _require_numbers(table, question, of_them)
    shifts = [
        _mean(of_them, i) if shifted(asked) else 0.0 for i, asked in enumerate(question.metrics)
    ]
    edges = {
        i: _edges(table, question, names, i)
        for i, asked in enumerate(question.metrics)
        if asked.aggregate == "quantile"
    }
    bounds = {i: sql.bound_of(each[1]) for i, each in edges.items()}
    found = {row[0]: row[1:] for row in table.rows(sql.sums(question, names, shifts, bounds))}
    mixed = dict[str, int]()
    if found.get(None, (0,))[0]:
        mixed = dict(table.rows(sql.mixed(question, names)))
    cells = {
        i: histograms(table.rows(sql.histogram(question, names, i, at)), at)
        for i, (at, _) in edges.items()
    }
    segments, left_out = segments_of(
        table, question, names, shifts, {i: each[0] for i, each in edges.items()}
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
                missing=missing_of(of_them[name], question),
                mixed=mixed.get(name, 0),
            )
            for name in names
        ),
        shifts=tuple(shifts),
        unknown={printable(name): int(row[0]) for name, row in seen.items() if name not in names},
        without_unit=sum(int(row[1]) for row in of_them.values()),
        without_variant=nameless,
        repeated=int(table.rows(sql.repeated())[0][0]) if question.unit else 0,
        segments=segments,
        unsegmented=left_out,
    )


def _variants(question: Question, seen: _Checks) -> tuple[str, ...]:
    """The variants, the control first."""
    counts = ", ".join(f"{printable(name)} ({int(row[0]):,} rows)" for name, row in seen.items())
    named = question.shares if question.shares and "=" in question.shares else None
    known = sorted(seen)
    if named:
        known = [word.partition("=")[0].strip() for word in named.split(",")]
        if lost := [name for name in known if name not in seen]:
            raise UsageError(f"--split {lost[0]!r}: no such variant", f"variants: {counts}")
    if len(known) < 2:  # noqa: PLR2004 - a pair
        raise SourceError(
            f"column {printable(question.variant)} has one variant only: {counts}",
            "a comparison needs two",
        )
    if len(known) > _MOST_VARIANTS:
        raise UsageError(
            f"column {printable(question.variant)} has {len(known)} values or more: "
            "is it that of the variant?",
            "--variant COLUMN",
        )
    control = question.control
    if control is None:
        plain = [name for name in known if name.lower() in _PLAIN]
        if len(plain) != 1:
            raise UsageError(
                f"nothing says which variant is the control: {counts}",
                f"--control {printable(known[0])}",
            )
        control = plain[0]
    if control not in known:
        raise UsageError(f"--control {control!r}: no such variant", f"variants: {counts}")
    return (control, *(name for name in known if name != control))


def ordered(question: Question, names: Sequence[str]) -> Split | None:
    """The split as it was given; None: it was not.

    Raises:
        SpecError: it is no split of these variants.
    """
    if question.shares is None:
        return None
    whole = Split(tuple(names), (10_000, *([0] * (len(names) - 1))))
    return whole.parse_change((question.shares,))


def _require_numbers(table: Table, question: Question, of_them: _Checks) -> None:
    for i, asked in enumerate(question.metrics):
        each = [of_metric(row, i) for row in of_them.values()]
        if all(row[4] is None for row in each):
            texts = [str(row[3]) for row in each if row[3] is not None]
            what = f"such as {printable(texts[0][:40])!r}" if texts else "only empty cells"
            raise SourceError(
                f"metric {asked.metric.name}: {asked.metric.of} of {table.place} has no number, "
                f"{what}",
                "another column; decimals have a point, and share(...) takes 0/1 or true/false",
            )


def _mean(of_them: _Checks, i: int) -> float:
    means = [of_metric(row, i)[4] for row in of_them.values()]
    found = float(np.mean([mean for mean in means if mean is not None]))
    return found if math.isfinite(found) else 0.0


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
