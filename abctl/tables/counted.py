"""What was counted in a table, as summaries of units: the delta method makes ratios to means."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from abctl.core.reasons import Reason
from abctl.stats.estimate import Remark
from abctl.stats.summaries.linear import spread, too_few_units
from abctl.stats.summary import Counts, Histogram, Moments, SummaryError
from abctl.tables.question import Asked, Question

Counted = Counts | Moments | Histogram


@dataclass(frozen=True)
class Sums:
    """Sums over units of a numerator s and a denominator n, such as correct answers and answers.

    >>> two = Sums(units=2, s=3.0, n=4.0, ss=5.0, nn=8.0, sn=6.0, most=2.0)
    >>> two.ratio
    0.75

    Attributes:
        most: the largest n of a unit.
    """

    units: float
    s: float
    n: float
    ss: float
    nn: float
    sn: float
    most: float

    @property
    def ratio(self) -> float:
        """Sum of numerators over sum of denominators; NaN where there is nothing."""
        return self.s / self.n if self.n else float("nan")

    @property
    def spread(self) -> float:
        """Sum of squares of s - ratio n, over the squared mean of n: what is linear of the ratio.

        Raises:
            SummaryError: numbers too large to be squared.
        """
        sums = self.s, self.n
        *_, squares = spread(self.units, sums, sums, (self.ss, self.sn, self.sn, self.nn))
        if not math.isfinite(squares):
            raise SummaryError("the squares of its values are too large")
        return max(0.0, float(squares))

    def as_ratio(self, shift: float = 0.0) -> Moments:
        """A ratio of sums as moments of its linearization (delta method), whose mean it is.

        Source: Deng, Knoblich & Lu (2018), arXiv:1803.06336.
        """
        if not self.units:
            return _moments(0.0, 0.0, 0.0, shift)
        square = self.units * self.ratio * self.ratio + self.spread
        return _moments(self.units, self.units * self.ratio, square, shift)

    def few(self) -> Remark | None:
        """Why nothing follows from the ratio: a few units have nearly all of its denominator."""
        return too_few_units(self.n, self.nn, self.most)

    def per_unit(self) -> Moments:
        """The numerators themselves: a sum for each unit."""
        return _moments(self.units, self.s, self.ss)

    def design_effect(self) -> float:
        """By how much the variance of a share is that of as many independent rows, 1 at least."""
        share = self.ratio
        if not self.n or not 0.0 < share < 1.0:
            return 1.0
        return max(1.0, self.spread / self.units**2 * self.n / (share * (1.0 - share)))


@dataclass(frozen=True)
class Missing:
    """Rows of a variant that have no number for a metric.

    >>> Missing(nulls=3, infinite=0, texts=1, example="n/a", rows=100).any
    True
    """

    nulls: int
    infinite: int
    texts: int
    example: str
    rows: int

    @property
    def any(self) -> bool:
        """Whether there are such rows."""
        return bool(self.nulls or self.infinite or self.texts)

    def reason(self, metric: str, variant: str) -> Reason:
        """What is said of them."""
        facts = {
            "null_count": self.nulls,
            "infinite_count": self.infinite,
            "text_count": self.texts,
            "example": self.example,
            "rows_count": self.rows,
        }
        return Reason("valuesMissing", {"metric": metric, "variant": variant, **facts})


@dataclass(frozen=True, eq=False)
class Arm:
    """What was counted of one variant, metrics in the order of the question.

    Attributes:
        rows, units: that are judged: of units that saw this variant alone.
        mixed: units that saw another variant as well.
        values, missing_sums: of each metric, and of its rows without a number.
        missing: what stands in their place.
        cells: of quantiles.
    """

    name: str
    rows: float
    units: float
    mixed: float
    values: tuple[Sums, ...]
    missing_sums: tuple[Sums, ...]
    missing: tuple[Missing, ...]
    cells: Mapping[int, Histogram] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class CountedSegment:
    """What was counted of the units that have one value of a column.

    Attributes:
        value: None where it is empty.
        arms: the variants, as those of the table.
    """

    column: str
    value: str | None
    arms: tuple[Arm, ...]


@dataclass(frozen=True, eq=False)
class CountedTable:
    """All that a verdict takes of a table.

    Attributes:
        place: what was read.
        shifts: what was taken off the values of each metric.
        caps: what larger sums of units count as, by the place of the metric.
        timeless: rows that have no time, if anything is asked of times.
        unknown: rows of values that are none of the variants, by value.
        without_unit, without_variant: rows that name none.
        repeated: rows that equal another one in every column.
        segments: the same of units that have one value of a column.
        unsegmented: by column the units that are in no segment: of rarer values, and of several.
    """

    place: str
    question: Question
    arms: tuple[Arm, ...]
    shifts: tuple[float, ...]
    unknown: Mapping[str, int]
    without_unit: int
    without_variant: int
    repeated: int
    segments: tuple[CountedSegment, ...] = ()
    unsegmented: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    caps: Mapping[int, float] = field(default_factory=dict)
    timeless: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Of the variants, the control first."""
        return tuple(arm.name for arm in self.arms)

    def once(self, which: int) -> bool:
        """Whether every unit has one value of a metric at most."""
        return all(arm.values[which].most <= 1 for arm in self.arms)

    def summary(self, arm: Arm, which: int) -> Counted:
        """The summary of one variant.

        Raises:
            SummaryError: numbers too large to be squared.
        """
        asked, sums = self.question.metrics[which], arm.values[which]
        if asked.aggregate == "quantile":
            return _effective(arm.cells[which], sums.design_effect())
        if asked.aggregate in ("sum", "count"):
            return sums.per_unit()
        if self.is_share(which):
            return Counts(np.array([sums.units]), np.rint([sums.s]))
        return sums.as_ratio(self.shifts[which])

    def few(self, arm: Arm, which: int) -> Remark | None:
        """Why nothing follows from a variant's ratio or quantile of rows."""
        return None if self._by_units(which) else arm.values[which].few()

    def _by_units(self, which: int) -> bool:
        """Whether each unit counts once."""
        return self.question.metrics[which].aggregate in ("sum", "count") or self.once(which)

    def is_share(self, which: int) -> bool:
        """Whether it is a share of units: binary, and one value each."""
        asked = self.question.metrics[which]
        return asked.aggregate in ("share", "retention") and self.once(which)

    def open(self, which: int) -> float:
        """Units whose window was not over when the last row was written."""
        return sum(arm.missing_sums[which].units - arm.values[which].units for arm in self.arms)

    def value(self, arm: Arm, which: int) -> float | None:
        """The value of a variant; None for quantiles, and where there is nothing."""
        asked, sums = self.question.metrics[which], arm.values[which]
        if asked.aggregate == "quantile" or not sums.units:
            return None
        if asked.aggregate in ("sum", "count"):
            return sums.s / sums.units
        return sums.ratio + self.shifts[which]


def _moments(n: float, total: float, squares: float, shift: float = 0.0) -> Moments:
    return Moments(np.array([n]), np.array([total]), np.array([squares]), shift)


def shifted(asked: Asked) -> bool:
    """Whether the values of a metric are taken about their mean."""
    return asked.aggregate == "mean"


def _effective(cells: Histogram, effect: float) -> Histogram:
    """As many independent rows as tell as much; the shares of the cells stay.

    Source: Rao & Scott (1992), doi:10.2307/2532311.
    """
    if not np.isfinite(effect):
        raise SummaryError("a design effect that is no number")
    up_to = np.rint(np.cumsum(cells.counts, axis=1) / effect)
    return Histogram(np.diff(up_to, axis=1, prepend=0.0), cells.edges)
