"""Two variants in a data frame: one look, or with a column of times as many as anybody likes."""

from typing import Any, Unpack

import numpy as np

from abctl.stats.estimate import Plan
from abctl.stats.library import once, rows
from abctl.stats.library.arguments import Options, column, numbers, plan_of
from abctl.stats.library.result import Result
from abctl.stats.library.rows import Compared
from abctl.stats.library.summed import edges_of
from abctl.stats.methods import Method, method
from abctl.stats.summary import Array

_EDGES_OVER_TIME, _EDGES_OF_GROUPS = 200, 64


class Comparison:
    """A control and a treatment in a frame of pandas, polars or pyarrow, or in a dict of arrays.

    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> frame = {"model": ["v1", "v2"] * 1000, "hour": np.arange(2000) / 10.0}
    >>> frame["revenue"] = rng.exponential(10.0, 2000) * np.tile([1.0, 1.2], 1000)
    >>> print(Comparison(frame, variant="model", control="v1").means("revenue"))
    revenue: 10.02 in control, 11.74 in treatment
    effect +1.714 (+0.7603 to +2.668), lift +17.1% (+7.3% to +27.9%)
    p = 0.000434, welch, two-sided at alpha 0.05, n 1,000 and 1,000
    >>> often = Comparison(frame, variant="model", control="v1", time="hour", every=1)
    >>> found = often.means("revenue", mde="15%")
    >>> found.method, found.sequential, found.rejects
    ('mean_horizon', True, True)

    With `time`, answers are valid however often anyone looks, and with an `mde` they need hardly
    more than one look. With `unit`, rows of one unit (a user) may be alike: variances are between
    units.

    Args:
        data: a row for each event, or for each unit.
        variant: the column of the variant.
        control, treatment: its values. The treatment need not be named where there is one only.
        unit: the column of who was assigned; None: each row is a unit of its own.
        time: the column of times; None: this is the one look.
        every: how long a poll is, a number or a `timedelta`, decided beforehand; None: from the
            data, at most 1,000 polls.

    Raises:
        TypeError: it is no frame.
        ValueError: no such column or variant, rows without a variant, unit or time, or units in
            both variants.
    """

    def __init__(
        self,
        data: Any,
        *,
        variant: str,
        control: object,
        treatment: object | None = None,
        unit: str | None = None,
        time: str | None = None,
        every: object | None = None,
    ) -> None:
        if every is not None and time is None:
            raise ValueError(f"every={every!r}: is for times, and no column of times is named")
        one, other = rows.arms(rows.column_of(data, variant), control, treatment)
        self._data, self._size, self._over_time = data, one.size, time is not None
        poll = who = None
        if time is not None:
            at = rows.seconds(rows.column_of(data, time))
            self._require(at.size, "time")
            poll = rows.polls_of(at, every)
        if unit is not None:
            who = column("unit", rows.column_of(data, unit))
            self._require(who.size, "unit")
        self._rows = Compared.of(one, other, poll, who)

    def means(
        self, column: str, *, before: str | None = None, **options: Unpack[Options]
    ) -> Result:
        """The mean of a column over rows.

        Args:
            column: the values.
            before: a column with a covariate of each row (or unit) that was fixed before the
                experiment began; it takes its share off the variance (CUPED).
            options: see `Options`.
        """
        plan, values = plan_of(**options), self._column(column)
        if before is not None:
            return self._adjusted(column, values, self._column(before), plan)
        if self._rows.units is not None:
            return self._ratio(column, values, np.ones_like(values), plan)
        if not self._over_time:
            return Result.of(column, once.by_welch(self._rows.split(values), plan), plan)
        return Result.by(_any_time("mean", plan), column, self._rows.moments(values), plan)

    def proportions(self, column: str, **options: Unpack[Options]) -> Result:
        """The share of rows that are 1 (or True) in a column of 0 and 1."""
        plan, values = plan_of(**options), self._column(column)
        strange = values[(values != 0.0) & (values != 1.0)]
        if strange.size:
            raise ValueError(f"column {column!r}: {strange[0]:g} is neither 0 nor 1")
        if self._rows.units is not None and not np.all(self._rows.units.first):
            return self._ratio(column, values, np.ones_like(values), plan)
        counts = self._rows.counts(values)
        if not self._over_time:
            return Result.of(column, once.by_score(counts.control, counts.treatment, plan), plan)
        return Result.by(_any_time("proportion", plan), column, counts, plan)

    def ratios(self, numerator: str, denominator: str, **options: Unpack[Options]) -> Result:
        """The ratio of the sums of two columns, such as clicks per view, with users as units."""
        plan, below = plan_of(**options), self._column(denominator)
        if np.any(below < 0.0):
            raise ValueError(f"column {denominator!r}: {below.min():g} is negative")
        return self._ratio(f"{numerator} / {denominator}", self._column(numerator), below, plan)

    def quantiles(self, column: str, q: float, **options: Unpack[Options]) -> Result:
        """A quantile of a column, such as 0.95 for the 95th percentile of latency."""
        plan, values = plan_of(quantile=q, **options), self._column(column)
        name = f"{column}, quantile {q:g}"
        if self._rows.units is not None:
            cells = self._rows.grouped(values, edges_of(values, q, _EDGES_OF_GROUPS))
            kind = "grouped_quantile"
            by = _any_time(kind, plan) if self._over_time else method(kind)
            return Result.by(by, name, cells, plan)
        if not self._over_time:
            return Result.of(name, once.by_woodruff(self._rows.split(values), plan), plan)
        edges = edges_of(values, q, _EDGES_OVER_TIME)
        return Result.by(
            _any_time("quantile", plan), name, self._rows.histograms(values, edges), plan
        )

    def _require(self, size: int, name: str) -> None:
        if size != self._size:
            raise ValueError(f"{name} has {size} rows, variant has {self._size}")

    def _column(self, name: str) -> Array:
        values = numbers(f"column {name!r}", rows.column_of(self._data, name))
        self._require(values.size, f"column {name!r}")
        return values[self._rows.row]

    def _ratio(self, name: str, numerator: Array, denominator: Array, plan: Plan) -> Result:
        if not self._over_time:
            found, below, treated = self._rows.linear(numerator, denominator)
            sides, weights = ((each[~treated], each[treated]) for each in (found, below))
            return Result.of(name, once.by_linearization(sides, weights, plan), plan)
        return Result.by(
            _any_time("ratio", plan), name, self._rows.buckets(numerator, denominator), plan
        )

    def _adjusted(self, name: str, values: Array, before: Array, plan: Plan) -> Result:
        if self._over_time and self._rows.units is None:
            pairs = self._rows.pairs(values, before)
            return Result.by(_any_time("cuped", plan), name, pairs, plan)
        if self._over_time:
            both = self._rows.bucket_pairs(values, before)
            return Result.by(_any_time("cuped_ratio", plan), name, both, plan)
        found, below, treated = self._rows.linear(values, np.ones_like(values))
        of_units = found, below, self._rows.of_units(before)
        during, weights, covariate = ((each[~treated], each[treated]) for each in of_units)
        return Result.of(name, once.by_linearization(during, weights, plan, covariate), plan)


def _any_time(kind: str, plan: Plan) -> Method:
    """The method for any number of looks."""
    return method(f"{kind}_horizon" if plan.mde else f"{kind}_sequence")
