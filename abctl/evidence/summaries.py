"""Summaries of increments: the only data that crosses into statistics.

What contradicts itself, or cannot be counted, is told of that metric alone.
"""

from collections.abc import Collection, Iterable, Mapping

import numpy as np

from abctl.core.experiment import SHARES, Kind
from abctl.core.polls import Polls
from abctl.core.reasons import Reason
from abctl.evidence.increments import MissingError, Rows, Samples
from abctl.stats.summaries.grouped import GroupedHistogram
from abctl.stats.summary import Array, Buckets, Counts, Events, Histogram, Moments, SummaryError

Parts = Mapping[str, str]
# Groups of buckets by which servers count a histogram of units: bucket modulo this.
GROUPS = 16
DENOMINATORS = ("n", "exposure", "histogram", "over")


class NothingCountedError(MissingError):
    """There are series, but in the time that counts they did not grow."""


def summarize(
    kind: Kind,
    samples: Samples,
    parts: Parts,
    polls: Polls,
    *,
    buckets: int | None = None,
    unit_seconds: float = 1.0,
    elsewhere: Collection[str] = (),
) -> Counts | Moments | Buckets | Histogram | GroupedHistogram | Events:
    """The summary of one variant.

    Args:
        kind: of the metric.
        samples: what was read.
        parts: the selector of each part.
        polls: the grid; all variants of a metric share one.
        buckets: how many buckets of units there are; None where each request is a unit.
        unit_seconds: what the counters take for one, where they count time; 1 elsewhere.
        elsewhere: parts that another variant has. A numerator among them may be absent here: a
            counter of errors is often born with the first error.

    Raises:
        MissingError: no series of a part, or what there is cannot be counted, or contradicts
            itself.
    """
    rows = _rows(samples, parts, polls, elsewhere)
    try:
        return of_kind(kind, rows, buckets, unit_seconds)
    except SummaryError as error:
        facts = {"selectors": list(parts.values()), "detail": str(error)}
        raise MissingError(Reason("contradictory", facts)) from None


def as_ratio(parts: Parts) -> Parts:
    """The parts of a proportion as those of a ratio, whose numerator may be seen earlier."""
    return {"events": parts["successes"], "exposure": parts["n"]}


def _rows(
    samples: Samples, parts: Parts, polls: Polls, elsewhere: Collection[str]
) -> dict[str, Rows]:
    """The increments of each part."""
    for selector in parts.values():
        if reason := samples.trouble(selector):
            raise MissingError(reason)
    rows = {part: samples.rows(selector, polls) for part, selector in parts.items()}
    for part, selector in parts.items():
        nothing = Reason("noSeries", {"place": samples.place, "selector": selector})
        if not rows[part].labels and (part in DENOMINATORS or part not in elsewhere):
            raise MissingError(nothing)
        # A series of zeros is no evidence either; nobody divides by it.
        if part in DENOMINATORS and not rows[part].by_poll.any():
            raise NothingCountedError(nothing)
    return rows


def of_kind(
    kind: Kind, rows: Mapping[str, Rows], buckets: int | None, unit_seconds: float
) -> Counts | Moments | Buckets | Histogram | GroupedHistogram | Events:
    """The summary that a kind of metric takes, of the rows of its parts; see `summarize`.

    Raises:
        SummaryError: they contradict each other.
        MissingError: labels that the summary needs are not there.
    """
    if kind == "quantile":
        return _quantile(rows["histogram"], buckets, unit_seconds)
    if kind == "rate":
        return _rate(rows["events"], rows["exposure"], buckets)
    if kind == "ratio":
        return _ratio(rows, buckets)
    top = rows["successes" if kind in SHARES else "sum"]
    negative = rows.get("negative_sum")
    if kind in SHARES:
        counts = Counts(rows["n"].total(), top.total())  # which refuses more successes than trials
        if buckets is None:
            return counts
    if buckets is not None:
        over = top.by_bucket(buckets)
        if negative is not None:
            over = over - negative.by_bucket(buckets)
        return Buckets(over * unit_seconds, rows["n"].by_bucket(buckets))
    total = top.total() - (0.0 if negative is None else negative.total())
    squares = rows["sum_sq"].total() * unit_seconds**2
    return Moments(rows["n"].total(), total * unit_seconds, squares)


def _quantile(rows: Rows, buckets: int | None, unit_seconds: float) -> Histogram | GroupedHistogram:
    if buckets is None:
        return _histogram(rows, unit_seconds)
    return _grouped(rows, min(buckets, GROUPS), unit_seconds)


def _rate(events: Rows, exposure: Rows, buckets: int | None) -> Events | Buckets:
    if buckets is None:
        return Events(events.total(), exposure.total())
    return Buckets(events.by_bucket(buckets), exposure.by_bucket(buckets))


def _ratio(rows: Mapping[str, Rows], buckets: int | None) -> Buckets:
    """A ratio of two sums; without buckets all of it is one."""
    sums = {
        part: each.total()[:, None] if buckets is None else each.by_bucket(buckets)
        for part, each in rows.items()
    }
    return Buckets(sums["sum"] - sums.get("negative_sum", 0.0), sums["over"])


def _grouped(rows: Rows, groups: int, unit_seconds: float) -> GroupedHistogram:
    upto = rows.cumulative_by_group(groups)
    edges = _edges(upto)
    columns = np.array([upto[edge] for edge in (*edges, np.inf)])
    return GroupedHistogram(_cells(np.moveaxis(columns, 0, 2)), _scaled(edges, unit_seconds))


def _histogram(rows: Rows, unit_seconds: float) -> Histogram:
    upto = rows.cumulative()
    edges = _edges(upto)
    columns = np.array([upto[edge] for edge in (*edges, np.inf)]).T
    return Histogram(_cells(columns), _scaled(edges, unit_seconds))


def _edges(upto: Mapping[float, Array]) -> list[float]:
    edges = sorted(edge for edge in upto if np.isfinite(edge))
    if np.inf not in upto or not edges:
        raise MissingError(Reason("noHistogramEdges"))
    return edges


def _cells(upto: Array) -> Array:
    cells = np.diff(upto, axis=-1, prepend=0.0)
    if np.any(cells < 0):
        raise SummaryError("a bucket holds less than the one below it")
    return cells


def _scaled(edges: Iterable[float], unit_seconds: float) -> tuple[float, ...]:
    return tuple(edge * unit_seconds for edge in edges)
