"""Rows of a data frame: which variant, which unit, in which poll; and their streams of summaries.

A frame is whatever gives a column for its name: of pandas, polars, pyarrow, or a dict of arrays.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from abctl.stats.library import summed
from abctl.stats.library.arguments import column, number, numbers
from abctl.stats.library.summed import BUCKETS
from abctl.stats.summaries.buckets import BucketPairs
from abctl.stats.summaries.grouped import GroupedHistogram
from abctl.stats.summaries.linear import linearized
from abctl.stats.summaries.pairs import Pairs
from abctl.stats.summary import Array, Buckets, Counts, Histogram, Moments, Stream, Summary

_MOST_POLLS, _USUAL_POLLS = 100_000, 1_000
Rows = NDArray[np.int64]
Which = NDArray[np.bool_]


def column_of(data: Any, name: str) -> Any:
    """A column of a frame.

    Raises:
        TypeError: it is no frame.
        ValueError: it has no such column.
    """
    if not hasattr(data, "__getitem__") or isinstance(data, str | list | tuple | np.ndarray):
        raise TypeError(
            f"data: must be a data frame or a dict of columns, is {type(data).__name__}"
        )
    try:
        return data[name]
    except Exception:  # noqa: BLE001 - each library has an error of its own for it
        listed = getattr(data, "column_names", getattr(data, "columns", None))
        known = data if listed is None else listed
        raise ValueError(f"no column {name!r}; there are {_listed(known)}") from None


def _listed(names: Iterable[Any]) -> str:
    found = [repr(name) for name in names]
    return ", ".join(found[:10]) + (", ..." if len(found) > 10 else "")


def arms(labels: Any, control: object, treatment: object | None) -> tuple[Which, Which]:
    """Which rows are of the control, and which of the treatment.

    >>> one, other = arms(np.array(["a", "b", "b"]), "a", None)
    >>> one, other
    (array([ True, False, False]), array([False,  True,  True]))
    """
    found = column("variant", labels).tolist()
    without = sum(_missing(each) for each in found)
    if without:
        raise ValueError(f"variant: {without} of {len(found)} rows have none; drop them")
    known = list(dict.fromkeys(found))
    if control not in known:
        raise ValueError(f"control={control!r}: no such variant; there are {_listed(known)}")
    others = [each for each in known if each != control]
    if treatment is None:
        if len(others) > 1:
            raise ValueError(f"treatment: must be named, as there are {_listed(others)}")
        treatment = others[0] if others else None
    if treatment not in known:
        raise ValueError(f"treatment={treatment!r}: no such variant; there are {_listed(known)}")
    if control == treatment:
        raise ValueError(f"treatment={treatment!r}: is the control")
    return (
        np.array([each == control for each in found]),
        np.array([each == treatment for each in found]),
    )


def _missing(value: Any) -> bool:
    # NaN, NaT and NA differ from themselves, or do not say.
    return value is None or value != value or type(value).__name__ in ("NAType", "NaTType")  # noqa: PLR0124


@dataclass(frozen=True, eq=False)
class Units:
    """Units of rows: numbered, with the variant and the bucket of each.

    >>> units = Units.of(["ann", "bob", "ann"], treated=np.array([False, True, False]))
    >>> units.code, units.treated
    (array([0, 1, 0]), array([False,  True]))

    Attributes:
        code: of each row.
        first: whether a row is the first one of its unit.
        treated, bucket: of each unit. A bucket is a hash, so it is the same in later analyses.
    """

    code: Rows
    first: Which
    treated: Which
    bucket: Rows

    @classmethod
    def of(cls, values: Any, treated: Which) -> "Units":
        """From the units of the rows, in the order of time.

        Raises:
            ValueError: a row has no unit, or a unit was in both variants.
        """
        found = values if isinstance(values, list) else column("unit", values).tolist()
        if without := sum(_missing(each) for each in found):
            raise ValueError(f"unit: {without} of {len(found)} rows have none; drop them")
        numbered = dict[Any, int]()
        code = np.array([numbered.setdefault(each, len(numbered)) for each in found], np.int64)
        rows = np.bincount(code, minlength=len(numbered))
        share = np.bincount(code, weights=treated, minlength=len(numbered)) / rows
        if both := int(np.count_nonzero((share > 0.0) & (share < 1.0))):
            raise ValueError(
                f"unit: {both} of {share.size} units are in both variants; each must have one"
            )
        first = np.zeros(code.size, dtype=bool)
        first[np.unique(code, return_index=True)[1]] = True
        bucket = np.array([_bucket(each) for each in numbered], dtype=np.int64)
        return cls(code, first, share > 0.0, bucket)

    def sums(self, values: Array) -> Array:
        """The sum of a column over the rows of each unit."""
        found = np.bincount(self.code, weights=values, minlength=self.treated.size)
        return np.asarray(found, dtype=np.float64)


def _bucket(unit: object) -> int:
    digest = blake2b(str(unit).encode(), digest_size=8, person=b"bucket").digest()
    return int.from_bytes(digest, "big") % BUCKETS


def seconds(values: Any) -> Array:
    """Times as numbers: dates and times as seconds, numbers as they are.

    >>> seconds(np.array(["2026-01-01", "2026-01-02"], "datetime64[D]"))
    array([1.7672256e+09, 1.7673120e+09])
    """
    found = column("time", values)
    if found.dtype.kind == "O" and all(hasattr(each, "timestamp") for each in found):
        return numbers("time", [each.timestamp() for each in found])
    if found.dtype.kind == "O" and all(hasattr(each, "isoformat") for each in found):
        found = found.astype("datetime64[us]")
    if found.dtype.kind == "M":
        if (without := int(np.count_nonzero(np.isnat(found)))) > 0:
            raise ValueError(f"time: {without} of {found.size} rows have none; drop them")
        return np.asarray(found.astype("datetime64[us]").astype(np.int64) / 1e6)
    return numbers("time", found)


def polls_of(time: Array, every: object | None) -> Rows:
    """The poll of each row, numbered without gaps; polls without rows are left out.

    >>> polls_of(np.array([0.0, 1.0, 65.0, 200.0]), every=60)
    array([0, 0, 1, 2])

    Args:
        time: of each row.
        every: how long a poll is: a number, or a `timedelta`. None: 1, 2 or 5 times a power of ten,
            the shortest that makes at most 1,000 polls.
    """
    start, length = float(time.min()), float(np.ptp(time))
    if every is None:
        width = _round(length / _USUAL_POLLS)
    else:
        given = every.total_seconds() if isinstance(every, timedelta) else every
        width = number("every", given)
        if width <= 0.0:
            raise ValueError(f"every={width:g}: must be over 0")
    if length / width > _MOST_POLLS:
        polls = math.ceil(length / width)
        raise ValueError(f"every={width:g}: makes {polls:,} polls; up to {_MOST_POLLS:,} are read")
    return np.unique(np.floor((time - start) / width), return_inverse=True)[1].astype(np.int64)


def _round(width: float) -> float:
    if width <= 0.0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(width))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0) if step * power >= width)


S = TypeVar("S", bound=Summary)


@dataclass(frozen=True, eq=False)
class Compared:
    """Which rows of a frame are compared.

    >>> two = Compared.of(np.array([True, False, True]), np.array([False, True, False]))
    >>> two.moments(np.array([1.0, 5.0, 3.0])).control.n
    array([2.])

    Attributes:
        row: the numbers of the rows in the frame, in the order of polls; all else is in this order.
        treated: whether a row is of the treatment.
        poll, polls: of each row, from 0; how many there are.
        units: who was assigned; None if each row is a unit of its own.
    """

    row: Rows
    treated: Which
    poll: Rows
    polls: int
    units: Units | None = None

    @classmethod
    def of(
        cls,
        control: Which,
        treatment: Which,
        poll: Rows | None = None,
        unit: "np.ndarray[Any, Any] | None" = None,
    ) -> Self:
        """From columns of a frame: which rows are of which variant, their polls, their units."""
        row = np.flatnonzero(control | treatment)
        in_order = np.zeros(row.size, dtype=np.int64) if poll is None else poll[row]
        sorting = np.argsort(in_order, kind="stable")
        row, in_order = row[sorting], in_order[sorting]
        # Polls that have rows of other variants only are left out.
        in_order = np.unique(in_order, return_inverse=True)[1].astype(np.int64)
        treated = np.asarray(treatment[row], dtype=np.bool_)
        units = None if unit is None else Units.of(unit[row].tolist(), treated)
        return cls(row, treated, in_order, int(in_order[-1]) + 1, units)

    def split(self, values: Array) -> tuple[Array, Array]:
        """Values of rows, of the control and of the treatment."""
        return values[~self.treated], values[self.treated]

    def moments(self, values: Array) -> Stream[Moments]:
        """For means of rows."""
        shift = float(values.mean())
        return self._streamed(
            lambda side: summed.moments_of(values[side], shift, self.poll[side], self.polls)
        )

    def counts(self, values: Array) -> Stream[Counts]:
        """For shares of rows."""
        return self._streamed(
            lambda side: summed.counts_of(values[side], self.poll[side], self.polls)
        )

    def buckets(self, numerator: Array, denominator: Array) -> Stream[Buckets]:
        """For ratios of sums by unit."""
        bucket = self._bucket()
        return self._streamed(
            lambda side: summed.buckets_of(
                numerator[side], denominator[side], bucket[side], self.poll[side], self.polls
            )
        )

    def histograms(self, values: Array, edges: tuple[float, ...]) -> Stream[Histogram]:
        """For quantiles of rows."""
        return self._streamed(
            lambda side: summed.histogram_of(values[side], edges, self.poll[side], self.polls)
        )

    def grouped(self, values: Array, edges: tuple[float, ...]) -> Stream[GroupedHistogram]:
        """For quantiles of rows, where rows of a unit are alike."""
        bucket = self._bucket()
        return self._streamed(
            lambda side: summed.grouped_histogram_of(
                values[side], edges, bucket[side], self.poll[side], self.polls
            )
        )

    def pairs(self, values: Array, before: Array) -> Stream[Pairs]:
        """For means of rows, adjusted by a covariate."""
        shift, center = float(values.mean()), float(before.mean())
        return self._streamed(
            lambda side: summed.pairs_of(
                values[side] - shift, before[side] - center, self.poll[side], self.polls, shift
            )
        )

    def bucket_pairs(self, values: Array, before: Array) -> Stream[BucketPairs]:
        """For means of rows by unit, adjusted by a covariate of each unit, counted once."""
        assert self.units is not None, "rows that are units have pairs"
        once = np.where(self.units.first, 1.0, 0.0)
        during = self.buckets(values, np.ones_like(values))
        then = self.buckets(once * self.of_units(before)[self.units.code], once)
        control, treatment = (
            BucketPairs(now.numerator, now.denominator, old.numerator, old.denominator)
            for now, old in (
                (during.control, then.control),
                (during.treatment, then.treatment),
            )
        )
        return Stream(control, treatment, during.epoch)

    def linear(self, numerator: Array, denominator: Array) -> tuple[Array, Array, Which]:
        """Of each unit a value (their mean is the ratio), its denominator, and if it is treated."""
        treated = self.treated
        if self.units is not None:
            numerator, denominator = map(self.units.sums, (numerator, denominator))
            treated = self.units.treated
        found = np.empty_like(numerator)
        for side in (~treated, treated):
            values = linearized(numerator[side], denominator[side])
            if values is None:
                raise ValueError("the denominators of a variant sum to 0, so there is no ratio")
            found[side] = values
        return found, denominator, treated

    def of_units(self, values: Array) -> Array:
        """The mean of each unit's rows."""
        if self.units is None:
            return values
        return self.units.sums(values) / self.units.sums(np.ones_like(values))

    def _streamed(self, summary: Callable[[Which], S]) -> Stream[S]:
        epoch = np.zeros(self.polls, dtype=np.int64)
        return Stream(summary(~self.treated), summary(self.treated), epoch)

    def _bucket(self) -> Rows:
        """The bucket of each row: that of its unit, or one after the other."""
        if self.units is None:
            return np.arange(self.row.size, dtype=np.int64) % summed.BUCKETS
        return self.units.bucket[self.units.code]
