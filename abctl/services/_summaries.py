"""Increments as summaries: the only data that crosses into statistics.

What is missing stays missing: it is told, never counted as zero.
"""

from collections.abc import Collection

import numpy as np

from abctl.core.experiment import Kind
from abctl.core.polls import Polls
from abctl.errors import SourceError
from abctl.services.evidence import MissingError, Parts, Rows, Samples
from abctl.stats.summary import (
    Buckets,
    Counts,
    Events,
    Histogram,
    Moments,
    SummaryError,
)

_DENOMINATORS = ("n", "exposure", "histogram")


def summarize(
    kind: Kind,
    samples: Samples,
    parts: Parts,
    polls: Polls,
    *,
    buckets: int | None = None,
    unit_seconds: float = 1.0,
    elsewhere: Collection[str] = (),
) -> Counts | Moments | Buckets | Histogram | Events:
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
        MissingError: no series of a part.
        SourceError: numbers that contradict each other.
    """
    rows = {part: samples.rows(selector, polls) for part, selector in parts.items()}
    for part, selector in parts.items():
        if not rows[part].labels and (part in _DENOMINATORS or part not in elsewhere):
            raise MissingError(
                f"{samples.place} has no series of {selector}: none was counted yet, or the names "
                "differ there"
            )
        # A series of zeros is no evidence either; nobody divides by it.
        if part in _DENOMINATORS and not rows[part].by_poll.any():
            raise MissingError(f"{selector} has counted nothing yet")
    try:
        if kind == "quantile":
            return _histogram(rows["histogram"], unit_seconds)
        if kind == "rate":
            return Events(rows["events"].total(), rows["exposure"].total())
        top = rows["successes" if kind == "proportion" else "sum"]
        negative = rows.get("negative_sum")
        if buckets is not None:
            over = top.by_bucket(buckets)
            if negative is not None:
                over = over - negative.by_bucket(buckets)
            return Buckets(over * unit_seconds, rows["n"].by_bucket(buckets))
        total = top.total() - (0.0 if negative is None else negative.total())
        if kind == "proportion":
            return Counts(rows["n"].total(), total)
        squares = rows["sum_sq"].total() * unit_seconds**2
        return Moments(rows["n"].total(), total * unit_seconds, squares)
    except SummaryError as error:
        raise SourceError(
            f"{' and '.join(parts.values())} contradict each other: {error}",
            "both must be counted by the same code, and scraped from the same page",
        ) from None


def _histogram(rows: Rows, unit_seconds: float) -> Histogram:
    upto = rows.cumulative()
    edges = sorted(edge for edge in upto if np.isfinite(edge))
    if np.inf not in upto or not edges:
        raise MissingError('a histogram needs le="+Inf" and at least one finite edge')
    columns = np.array([upto[edge] for edge in (*edges, np.inf)]).T
    cells = np.diff(columns, axis=1, prepend=0.0)
    if np.any(cells < 0):
        raise SummaryError("a bucket holds less than the one below it")
    return Histogram(cells, tuple(edge * unit_seconds for edge in edges))
