"""Asks a table for pairs: units, such as requests, that have an answer of both variants."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from abctl.errors import SourceError, UsageError
from abctl.stats.summaries.paired import PairedCounts, paired
from abctl.stats.summaries.paired_means import PairedMoments
from abctl.stats.summary import Stream
from abctl.tables import paired_sql
from abctl.tables.counted import Missing
from abctl.tables.engine import Table
from abctl.tables.question import Question
from abctl.tables.seen import Seen, seen_of
from abctl.tables.written import printable

_HINT = '--metric "accuracy: mean(correct)"'
_WHOLE, _PER_METRIC = 5, 11


@dataclass(frozen=True)
class PairSums:
    """What the pairs have of one metric.

    >>> sums = PairSums(4.0, (2.0, 3.0), (2.0, 3.0), 1.0, (3.0, 0.0), (1.0, 0.0), binary=True)
    >>> sums.stream(0.0).treatment.alone
    array([1.])

    Attributes:
        known: pairs in which both have a number.
        sums, squares: of control and treatment, about the metric's shift.
        apart: sum of squares of their differences.
        agree: pairs whose answers are the same, with numbers and without.
        differ: pairs whose answers are not.
        binary: whether all numbers are 0 or 1.
    """

    known: float
    sums: tuple[float, float]
    squares: tuple[float, float]
    apart: float
    agree: tuple[float, float]
    differ: tuple[float, float]
    binary: bool

    @property
    def labelled(self) -> bool:
        """Whether every pair whose answers agree has numbers."""
        return not self.agree[1]

    def stream(self, shift: float) -> Stream[PairedCounts] | Stream[PairedMoments]:
        """Of one poll."""
        if self.binary:
            both = 0.5 * (sum(self.squares) - self.apart)
            control, treatment = (each - both for each in self.sums)
            if self.labelled:
                return paired(self.known, both, control, treatment)
            return paired(self._thinned(), 0.0, control, treatment, labelled=False)
        n, apart = np.array([self.known]), np.array([self.apart])
        sides = [
            PairedMoments(n, np.array([s]), np.array([q]), apart, shift)
            for s, q in zip(self.sums, self.squares, strict=True)
        ]
        return Stream(sides[0], sides[1], np.zeros(1, dtype=np.int64))

    def _thinned(self) -> float:
        """Pairs, of which those that agree count in the share in which the others have labels."""
        labels, without = self.differ
        share = labels / (labels + without) if labels + without else 1.0
        return labels + float(np.floor(sum(self.agree) * share))


@dataclass(frozen=True)
class PairedArm:
    """A treatment with the control.

    Attributes:
        pairs: units that have one answer of each.
        without_treatment, without_control: units that have none of the one.
        repeated: units that have several answers of one variant.
        metrics: in the order of the question.
    """

    treatment: str
    pairs: int
    without_treatment: int
    without_control: int
    repeated: int
    metrics: tuple[PairSums, ...]


@dataclass(frozen=True, eq=False)
class PairedTable:
    """All that a verdict takes of pairs.

    Attributes:
        place: what was read.
        control: its name.
        rows: of each variant.
        shifts: what was taken off the values of each metric.
        missing: of each variant what stands in the place of numbers, by metric.
        unknown: rows of values that are none of the variants, by value.
        without_unit, without_variant: rows that name none.
    """

    place: str
    question: Question
    control: str
    arms: tuple[PairedArm, ...]
    rows: Mapping[str, int]
    shifts: tuple[float, ...]
    missing: Mapping[str, tuple[Missing, ...]]
    unknown: Mapping[str, int]
    without_unit: int
    without_variant: int

    @property
    def names(self) -> tuple[str, ...]:
        """Of the variants, the control first."""
        return self.control, *(arm.treatment for arm in self.arms)


def count_pairs(table: Table, question: Question) -> PairedTable:
    """All that a verdict takes.

    Raises:
        UsageError: nothing says which answers belong together, no such column, or a metric that
            pairs cannot have.
        SourceError: the table cannot be read, has no rows, or a metric has no number in it.
    """
    if question.unit is None:
        raise UsageError(
            "--paired without --unit: which column is the same in both answers to a request?",
            "--unit request_id",
        )
    if question.shares is not None:
        raise UsageError(
            "--paired with --split: both variants answer each request, so there is none",
            "leave --split out",
        )
    for asked in question.metrics:
        if asked.aggregate not in ("mean", "share"):
            raise UsageError(
                f"metric {asked.metric.name}: pairs have mean and share, not {asked.metric.of}",
                f"{_HINT}; of latency and of what users do, pairs say nothing: split the traffic",
            )
    if question.answer is not None:
        table.require(question.answer, "--answer")
    seen = seen_of(table, question)
    shifts = tuple(0.0 if seen.within_unit(i) else seen.mean(i) for i in range(seen.metrics))
    control, *treatments = seen.names
    arms = []
    for name in treatments:
        (row,) = table.rows(paired_sql.pairs(question, control, name, shifts))
        arms.append(_arm(printable(name), row, len(question.metrics)))
    if not any(arm.pairs for arm in arms):
        one = arms[0]
        raise SourceError(
            f"no value of {printable(question.unit)} in {table.place} has one answer of each "
            f"variant: {one.without_treatment:,} have none of {one.treatment}, "
            f"{one.without_control:,} none of "
            f"{printable(control)}, {one.repeated:,} several of one",
            "--unit is the same in both answers to a request and in no other, such as request_id",
        )
    return PairedTable(
        place=table.place,
        question=question,
        control=printable(control),
        arms=tuple(arms),
        rows={printable(name): seen.rows(name) for name in seen.names},
        shifts=shifts,
        missing={printable(name): _missing(seen, name) for name in seen.names},
        unknown=seen.unknown,
        without_unit=seen.without_unit,
        without_variant=seen.without_variant,
    )


def _missing(seen: Seen, name: str) -> tuple[Missing, ...]:
    return tuple(seen.missing(name, i) for i in range(seen.metrics))


def _arm(name: str, row: Sequence[Any], metrics: int) -> PairedArm:
    whole = [int(each or 0) for each in row[:_WHOLE]]
    found = []
    for i in range(metrics):
        begin = _WHOLE + i * _PER_METRIC
        known, c, t, cc, tt, apart, *kinds, binary = row[begin : begin + _PER_METRIC]
        sums = [float(each or 0.0) for each in (known, c, t, cc, tt, apart, *kinds)]
        found.append(
            PairSums(
                known=sums[0],
                sums=(sums[1], sums[2]),
                squares=(sums[3], sums[4]),
                apart=sums[5],
                agree=(sums[6], sums[7]),
                differ=(sums[8], sums[9]),
                binary=binary is not False,
            )
        )
    pairs, without_treatment, without_control, repeated, _ = whole
    return PairedArm(name, pairs, without_treatment, without_control, repeated, tuple(found))
