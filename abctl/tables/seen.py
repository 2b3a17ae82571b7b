"""What a table has: its variants, and what of each metric is no number."""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from abctl.errors import SourceError, UsageError
from abctl.tables import sql
from abctl.tables.counted import Missing
from abctl.tables.engine import Table
from abctl.tables.question import Question
from abctl.tables.written import printable

_PLAIN = frozenset(
    ("control", "baseline", "champion", "a", "v1", "model_v1", "model-v1", "old", "0", "false")
)
_MOST_VARIANTS = 20
_PER_METRIC = 7
Checks = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, eq=False)
class Seen:
    """What a first look at a table found.

    Attributes:
        checks: of each value of the variant's column what `sql.checks` asks.
        names: of the variants, the control first, as they stand in the table.
        without_variant: rows that name none.
        metrics: how many there are.
    """

    checks: Checks
    names: tuple[str, ...]
    without_variant: int
    metrics: int

    @property
    def of_them(self) -> Checks:
        """The same of the variants alone."""
        return {name: self.checks[name] for name in self.names}

    @property
    def unknown(self) -> Mapping[str, int]:
        """Rows of values that are none of the variants, by value."""
        others = {name: row for name, row in self.checks.items() if name not in self.names}
        return {printable(name): int(row[0]) for name, row in others.items()}

    @property
    def without_unit(self) -> int:
        """Rows of the variants that name no unit."""
        return sum(int(row[1]) for row in self.of_them.values())

    def rows(self, name: str) -> int:
        """How many a variant has."""
        return int(self.checks[name][0])

    def mean(self, which: int) -> float:
        """About the mean of a metric."""
        means = [_of(row, which)[4] for row in self.of_them.values()]
        found = float(np.mean([mean for mean in means if mean is not None]))
        return found if math.isfinite(found) else 0.0

    def within_unit(self, which: int) -> bool:
        """Whether all of its numbers lie from 0 to 1."""
        ends = [_of(row, which)[5:7] for row in self.of_them.values()]
        return all(low is None or (low >= 0.0 and high <= 1.0) for low, high in ends)

    def missing(self, name: str, which: int) -> Missing:
        """What stands in the place of numbers."""
        nulls, infinite, texts, example = _of(self.checks[name], which)[:4]
        shown = printable(str(example or "")[:40])
        return Missing(int(nulls), int(infinite), int(texts), shown, self.rows(name))


def seen_of(table: Table, question: Question) -> Seen:
    """The first look.

    Raises:
        UsageError: no such column, or nothing says which variant is the control.
        SourceError: the table cannot be read, has no rows, or a metric has no number in it.
    """
    table.require(question.variant, "--variant")
    if question.unit is not None:
        table.require(question.unit, "--unit")
    if question.at is not None:
        table.require(question.at, "--at")
    for asked in question.metrics:
        if asked.aggregate == "retention" and None in (question.unit, question.at):
            raise UsageError(
                f"metric {asked.metric.name}: {asked.metric.of} is of units and times, and "
                f"{'no unit' if question.unit is None else 'no time'} is named",
                "--unit user_id --at ts",
            )
        if asked.aggregate in ("sum", "count") and question.unit is None:
            raise UsageError(
                f"metric {asked.metric.name}: {asked.metric.of} is per unit, and none is named",
                f"--unit COLUMN, or mean({asked.column or 'COLUMN'}), which is per row",
            )
        if asked.column is not None:
            table.require(asked.column, f"metric {asked.metric.name}: column")
    read = table.rows(sql.checks(question))
    seen: Checks = {row[0]: row[1:] for row in read if row[0] is not None}
    nameless = sum(int(row[1]) for row in read if row[0] is None)
    if not seen:
        raise SourceError(
            f"{table.place} has no rows with a value of {printable(question.variant)}",
            "is it the right file, and the right column?",
        )
    names = _variants(question, seen)
    _require_numbers(table, question, {name: seen[name] for name in names})
    return Seen(seen, names, nameless, len(question.metrics))


def _variants(question: Question, seen: Checks) -> tuple[str, ...]:
    """The variants, the control first."""
    counts = ", ".join(f"{printable(name)} ({int(row[0]):,} rows)" for name, row in seen.items())
    named = question.shares if question.shares and "=" in question.shares else None
    known = sorted(seen)
    if named:
        known = [word.partition("=")[0].strip() for word in named.split(",")]
        if lost := [name for name in known if name not in seen]:
            raise UsageError(f"--split {lost[0]!r}: no such variant", f"variants: {counts}")
    if named and len(known) < 2:  # noqa: PLR2004 - a pair
        raise UsageError(
            f"--split {printable(named)!r} names one variant, must name two or more",
            f"variants: {counts}",
        )
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
                f"--control {shlex.quote(printable(known[0]))}",
            )
        control = plain[0]
    if control not in known:
        raise UsageError(f"--control {control!r}: no such variant", f"variants: {counts}")
    return (control, *(name for name in known if name != control))


def _require_numbers(table: Table, question: Question, of_them: Checks) -> None:
    for i, asked in enumerate(question.metrics):
        each = [_of(row, i) for row in of_them.values()]
        if all(row[4] is None for row in each):
            texts = [str(row[3]) for row in each if row[3] is not None]
            what = f"such as {printable(texts[0][:40])!r}" if texts else "only empty cells"
            raise SourceError(
                f"metric {asked.metric.name}: {asked.metric.of} of {table.place} has no number, "
                f"{what}",
                "another column; decimals have a point, and share(...) takes 0/1 or true/false",
            )


def _of(row: Sequence[Any], i: int) -> Sequence[Any]:
    """What was found of a metric."""
    begin = 2 + i * _PER_METRIC
    return row[begin : begin + _PER_METRIC]
