"""Streams of units in tables of exposures and events: a poll is a day whose windows are over.

A unit is of the day and the split of its first exposure. With a hash it is of the variant that hash
and ledger say; whoever a shift moves while a window may be open is left out by the hash, which
was there before any treatment, and never by what was seen. What is left of a day has shares of
its own, so days that lost other regions are compared by themselves.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from abctl.core.experiment import SHARES, Experiment, Metric
from abctl.core.ledger import Ledger
from abctl.core.reasons import Reason
from abctl.evidence.reports import Pair
from abctl.evidence.streams import MetricStreams, Streams
from abctl.stats.fixed.reference import equal_shares
from abctl.stats.methods import welch
from abctl.stats.summaries.buckets import BucketPairs
from abctl.stats.summaries.linear import spread, too_few_units
from abctl.stats.summaries.pairs import Pairs
from abctl.stats.summary import Array, Buckets, Counts, Moments, Stream, Summary, SummaryError
from abctl.tables.unit_sql import letter, products, values
from abctl.tables.units import Cell, UnitEvidence

_ALPHA = 0.001


@dataclass(frozen=True, eq=False)
class Poll:
    """The units of one day and epoch that count for a metric.

    Attributes:
        stratum: days of one have the same split, and lost the same regions.
        begins, ends: the day, or what of it is of the epoch (unix seconds).
        sides: of each variant its sums.
        buckets: of each variant its sums by bucket of units; empty where it is no ratio.
    """

    stratum: int
    begins: float
    ends: float
    sides: tuple[Array, ...]
    buckets: tuple[Array, ...]


@dataclass(frozen=True, eq=False)
class UnitStreams(Streams):
    """Streams of what tables have of units; see `Streams`.

    Args:
        experiment: what is asked, with the metrics of tables alone.
        evidence: what was counted.
        ledger: what happened to the split; None where nobody kept one.
        end: of days that are judged (unix seconds); None for all.
    """

    experiment: Experiment
    evidence: UnitEvidence
    ledger: Ledger | None = None
    end: float | None = None

    def of(self, metric: Metric) -> MetricStreams:
        """See `Streams`."""
        which = self.place(metric)
        polls = self.polls(which)
        names = self.evidence.asked.names
        pairs = {name: self._pair(which, k) for k, name in enumerate(names) if k}
        times = np.array([(poll.begins, poll.ends) for poll in polls]).reshape(-1, 2)
        found = {name: {"events": self._words(metric)} for name in names}
        return MetricStreams(found, len(polls), pairs, times)

    def remarks(self, metric: Metric) -> Iterator[Reason]:
        """See `Streams`."""
        which = self.place(metric)
        window, before = metric.window_seconds, metric.before_seconds
        facts = {"window_seconds": window, "before_seconds": before}
        if metric.after_seconds:
            yield Reason("withinLaterWindow", facts | {"after_seconds": metric.after_seconds})
        else:
            yield Reason("withinWindow", facts)
        if (cap := self.evidence.caps.get(which)) is not None:
            yield Reason("capped", {"outcome": metric.of, "cap": cap, "per": "user"})

    def place(self, metric: Metric) -> int:
        """Which of the metrics of tables it is."""
        return [each.name for each in self.evidence.asked.metrics].index(metric.name)

    def value(self, which: int, variant: int) -> float | None:
        """The value of a variant over all days that count, without its covariate."""
        sides = [poll.sides[variant] for poll in self.polls(which)]
        if not sides:
            return None
        total = np.sum(sides, axis=0)
        below = total[2] if "d" in self._values(which) else total[0]
        return float(total[1] / below) if below else None

    def polls(self, which: int) -> tuple[Poll, ...]:
        """The days that count for a metric, in order."""
        if which not in self._polls:
            self._polls[which] = tuple(self._judged(which))
        return self._polls[which]

    def left_out(self, which: int) -> dict[str, int]:
        """How many units do not count: their window is `open`, a shift `moved` them, or others."""
        self.polls(which)
        return self._left[which]

    @cached_property
    def _polls(self) -> dict[int, tuple[Poll, ...]]:
        return {}

    @cached_property
    def _left(self) -> dict[int, dict[str, int]]:
        return {}

    @cached_property
    def _days(self) -> Mapping[tuple[int, int], Sequence[Cell]]:
        found = dict[tuple[int, int], list[Cell]]()
        for cell in self.evidence.cells:
            if cell.epoch is not None:
                found.setdefault((cell.epoch, cell.day), []).append(cell)
        return dict(sorted(found.items()))

    @cached_property
    def _held(self) -> Sequence[tuple[float, float, int | None]]:
        """From when to when each split may have been in effect, and its place in a course."""
        if self.ledger is None or not self.evidence.grid.hashed:
            return ()
        now, splits = self.evidence.asked.until, self.evidence.splits
        epochs = self.ledger.epochs(now, 0.0)
        ends = [*(each.start for each in epochs[1:]), now]
        return [
            (each.start, end, splits.index(each.split) if each.split in splits else None)
            for each, end in zip(epochs, ends, strict=True)
        ]

    def _judged(self, which: int) -> Iterator[Poll]:
        left = self._left.setdefault(which, {"open": 0, "moved": 0, "several": 0})
        window = self.evidence.asked.metrics[which].window_seconds or 0.0
        periods = {period.number: period for period in self.evidence.grid.periods}
        ratio, stratum, before = "d" in self._values(which), -1, None
        for (epoch, day), cells in self._days.items():
            begins, ends = (self.evidence.grid.begins(each) for each in (day, day + 1))
            late = self.end is not None and ends > self.end
            if late or not self.evidence.closed(which, day):
                left["open"] += sum(cell.units for cell in cells)
                continue
            period = periods[epoch]
            places = {period.place} | {
                place
                for start, end, place in self._held
                if start < min(ends, period.end) + window and end > max(begins, period.start)
            }
            sides = [np.zeros_like(cells[0].sums[which]) for _ in self.evidence.asked.names]
            width = (1 + len(self._values(which)), self.experiment.assignment.buckets)
            buckets = [np.zeros(width) for _ in sides] if ratio else []
            for cell in cells:
                k = self.variant_of(cell, places)
                if isinstance(k, str):
                    left[k] += cell.units
                    continue
                sides[k] += cell.sums[which]
                if which in cell.by_bucket:
                    buckets[k] += cell.by_bucket[which]
            if (epoch, places) != before:
                stratum, before = stratum + 1, (epoch, places)
            times = max(begins, period.start), min(ends, period.end)
            yield Poll(stratum, *times, tuple(sides), tuple(buckets))

    def variant_of(self, cell: Cell, places: Collection[int | None]) -> int | str:
        """The variant of units under some splits (by place); or why they are not counted."""
        if not self.evidence.grid.hashed:
            return "several" if cell.seen is None else cell.seen
        found = {None if at is None else cell.course[at] for at in places}
        (only,) = found if len(found) == 1 else (None,)
        return "moved" if only is None else ord(only) - ord(letter(0))

    def _values(self, which: int) -> tuple[str, ...]:
        return values(self.evidence.asked, which)

    def _words(self, metric: Metric) -> str:
        over = f" over {metric.over}" if metric.over else ""
        return f"{metric.of}{over}"

    def _pair(self, which: int, treatment: int) -> Pair:
        if (reason := self._unusable(which, treatment)) is not None:
            return reason
        polls = self.polls(which)
        epoch = np.array([poll.stratum for poll in polls], dtype=np.int64)
        starts = np.flatnonzero(np.diff(epoch, prepend=-1))
        once = self.experiment.design.test == "fixed"
        if once and (few := self._few_units(which, treatment)) is not None:
            return few
        try:
            both = [self._summary(which, k, starts if once else None) for k in (0, treatment)]
            return Stream(both[0], both[1], epoch[starts] if once else epoch)
        except SummaryError as error:
            return Reason("tooLarge", {"detail": str(error)})

    def _few_units(self, which: int, treatment: int) -> Reason | None:
        """That a few units of a variant have nearly all of what a ratio is of."""
        names = self._values(which)
        if "d" not in names:
            return None
        squares = 1 + len(names) + [{*pair} for pair in products(names)].index({"d"})
        for k in (0, treatment):
            sums = np.sum([poll.sides[k] for poll in self.polls(which)], axis=0)
            total, square = float(sums[1 + names.index("d")]), float(sums[squares])
            few = too_few_units(total, square, math.sqrt(square)) if total > 0.0 else None
            if few is not None and sums[0] >= welch.MIN_N:
                return Reason.of(few)
        return None

    def _unusable(self, which: int, treatment: int) -> Reason | None:
        metric = self.evidence.asked.metrics[which]
        for name in filter(None, (metric.of, metric.over)):
            if name not in self.evidence.events:
                return Reason("eventUnknown", {"event": name})
        if not self.polls(which):
            return Reason("windowsOpen", {"window_seconds": metric.window_seconds})
        if metric.cap is not None and self.evidence.caps.get(which) is None:
            return Reason("capUnknown", {"cap_ratio": metric.cap.at})
        return self._missing(which, treatment)

    def _missing(self, which: int, treatment: int) -> Reason | None:
        """That one variant has more units without a number, beyond chance."""
        cells = np.zeros((2, 2))
        for (epoch, day), found in self._days.items():
            if not self.evidence.closed(which, day):
                continue
            place = next(p.place for p in self.evidence.grid.periods if p.number == epoch)
            for cell in found:
                k = self.variant_of(cell, {place})
                if k in (0, treatment):
                    known = float(cell.sums[which][0])
                    cells[int(k == treatment)] += (cell.units - known, known)
        totals = cells.sum(axis=1)
        if not totals.all() or not cells[:, 0].any():
            return None
        if not cells[:, 1].any():
            return Reason("nothingHasNumber", {})
        p, _ = equal_shares(cells)
        if p > _ALPHA:
            return None
        control, other = cells[:, 0] / totals
        name = self.evidence.asked.names[treatment]
        ratios = {"control_ratio": float(control), "treatment_ratio": float(other)}
        return Reason("missingDiffers", {"treatment": name, **ratios, "p": p})

    def _summary(self, which: int, variant: int, starts: NDArray[np.intp] | None) -> Summary:
        polls, names = self.polls(which), self._values(which)
        if "d" in names and starts is None:
            sums = np.array([poll.buckets[variant] for poll in polls])
            of = {name: sums[:, 1 + i] for i, name in enumerate(names)}
            if "x" in names:
                return BucketPairs(of["y"], of["d"], of["x"], of["e"])
            return Buckets(of["y"], of["d"])
        sums = np.array([poll.sides[variant] for poll in polls])
        if starts is not None:
            sums = np.add.reduceat(sums, starts, axis=0)
        found = dict(zip(names, sums[:, 1 : 1 + len(names)].T, strict=True))
        pairs = zip(products(names), sums[:, 1 + len(names) :].T, strict=True)
        products_of = {frozenset(pair): each for pair, each in pairs}
        n = sums[:, 0]

        def of_two(a: str, b: str) -> Array:
            found: Array = products_of[frozenset((a, b))]
            return found

        if "d" in names:
            return _linearized(n, found, of_two)
        if "x" in names:
            of_x = of_two("x", "x")
            return Pairs(n, found["y"], found["x"], of_two("y", "y"), of_x, of_two("y", "x"))
        if self.evidence.asked.metrics[which].kind in SHARES:
            return Counts(n, found["y"])
        return Moments(n, found["y"], of_two("y", "y"))


def _linearized(
    n: Array, sums: Mapping[str, Array], of_two: Callable[[str, str], Array]
) -> Moments | Pairs:
    """Ratios as means of their linearizations, stratum by stratum (delta method)."""

    def moments(one: tuple[str, str], other: tuple[str, str]) -> tuple[Array, Array]:
        (s, d), (t, e) = one, other
        products = of_two(s, t), of_two(s, e), of_two(d, t), of_two(d, e)
        r, q, about = spread(n, (sums[s], sums[d]), (sums[t], sums[e]), products)
        return n * r, n * r * q + about

    of_y, of_x = ("y", "d"), ("x", "e")
    y, yy = moments(of_y, of_y)
    if "x" not in sums:
        return Moments(n, y, np.maximum(yy, 0.0))
    x, xx = moments(of_x, of_x)
    return Pairs(n, y, x, np.maximum(yy, 0.0), np.maximum(xx, 0.0), moments(of_y, of_x)[1])
