"""Answers to requests for predictions, and how long they took, by bucket of the unit.

The same is counted of what servers answered (`ab_requests_total`) and of what clients got
(`ab_client_requests_total`), so that one can stand beside the other.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from time import time

from ab_runtime.table import EDGES_SECONDS, Histogram, Table
from ab_runtime.variant import NO_BUCKET

CODES = ("2xx", "4xx", "5xx", "none")
"""The classes of answers; `none` is no answer, because the client left before it."""
GRPC_OF_CLIENTS = frozenset((3, 5, 6, 7, 8, 9, 10, 11, 12, 16))
"""Statuses of gRPC that are 4xx, as gRPC's own table has them in HTTP: what a client can mend."""
GROUPS = 16
"""Groups of buckets by which the latency of units is counted: bucket modulo this.

By every one of 64 buckets it would be 4,000 series a server. Coarser edges would cost more: a
margin of 10% lies inside one of these already. A variance of 16 groups is known as well as its
tests need.
"""


@dataclass(frozen=True)
class Counted:
    """What is counted, in the names and texts of a page.

    Attributes:
        prefix: of all names.
        codes: the classes of answers.
        who: that counts.
        time: what a latency is.
        edges: of its histogram, in seconds.
    """

    prefix: str
    codes: tuple[str, ...]
    who: str
    time: str
    edges: tuple[float, ...] = EDGES_SECONDS


class Answers:
    """The answers of some variants; whoever counts, and whoever reads the page, holds the lock."""

    def __init__(self, variants: Sequence[str], buckets: int, counted: Counted) -> None:
        self.tables: list[Table] = []
        self._edges = counted.edges
        labels = (*map(str, range(buckets)), NO_BUCKET)
        name = f"{counted.prefix}request_duration_seconds"
        by_variant = ("variant",)
        started = self.table(
            f"{counted.prefix}start_time_seconds",
            "gauge",
            f"When this {counted.who} began to count",
            by_variant,
        )
        requests = self.table(
            f"{counted.prefix}requests_total",
            "counter",
            "Requests for predictions, by bucket of the unit and class of the answer",
            (*by_variant, "bucket", "code"),
        )
        whole = self._histogram(name, counted.time, by_variant)
        groups = self._histogram(
            f"{counted.prefix}group_request_duration_seconds",
            f"{name} by group of buckets: bucket modulo {GROUPS}",
            (*by_variant, "group"),
        )
        moments = [
            self.table(
                f"{counted.prefix}bucket_request_duration_seconds_{what}_total",
                "counter",
                f"{words} {name}, by bucket of the unit",
                (*by_variant, "bucket"),
            )
            for what, words in (
                ("count", "Number of"),
                ("sum", "Sum of"),
                ("sumsq", "Sum of the squares of"),
            )
        ]
        squares = self.table(
            f"{name}_sumsq_total", "counter", f"Sum of the squares of {name}", by_variant
        )
        self._of = {}
        for each in variants:
            started.values[started.add(each)] = time()
            at = {(b, code): requests.add(each, b, code) for b in labels for code in counted.codes}
            of_groups = [groups.start(each, str(i)) for i in range(min(GROUPS, buckets))]
            of_buckets = [tuple(t.add(each, str(b)) for t in moments) for b in range(buckets)]
            self._of[each] = OfVariant(
                counted.edges,
                requests.values,
                at,
                whole,
                whole.start(each),
                squares.values,
                squares.add(each),
                groups,
                of_groups,
                [table.values for table in moments],
                [found[0] for found in of_buckets],
            )

    def of(self, variant: str) -> "OfVariant":
        """Where the answers of a variant are counted."""
        return self._of[variant]

    def table(self, name: str, kind: str, meaning: str, labels: Sequence[str]) -> Table:
        """A table more of the page."""
        table = Table(name, kind, meaning, labels)
        self.tables.append(table)
        return table

    def text(self, open_metrics: bool = False) -> str:
        """All of it, as text for Prometheus or OpenMetrics (no `# EOF`)."""
        return "".join([each.text(open_metrics) for each in self.tables])

    def _histogram(self, name: str, meaning: str, labels: Sequence[str]) -> Histogram:
        table = Histogram(name, meaning, labels, self._edges)
        self.tables.append(table)
        return table


@dataclass(frozen=True, slots=True)
class OfVariant:
    """The places of one variant's counts: of answers, and of latencies as a whole and by bucket."""

    _edges: tuple[float, ...]
    _requests: list[float]
    _request_at: dict[tuple[str, str], int]
    _whole: Histogram
    _whole_at: int
    _squares: list[float]
    _square_at: int
    _groups: Histogram
    _group_at: list[int]
    _moments: list[list[float]]
    _moment_at: list[int]

    def request(self, bucket: str, code: str) -> None:
        """Count one answer."""
        self._requests[self._request_at[bucket, code]] += 1.0

    def took(self, seconds: float, bucket: str) -> None:
        """Count how long one took; by its bucket too, if it has one."""
        cell, square = bisect_left(self._edges, seconds), seconds * seconds
        self._whole.observe(self._whole_at, cell, seconds)
        self._squares[self._square_at] += square
        if bucket != NO_BUCKET:
            nth = int(bucket)
            self._groups.observe(self._group_at[nth % GROUPS], cell, seconds)
            count, total, squares = self._moments
            at = self._moment_at[nth]
            count[at] += 1.0
            total[at] += seconds
            squares[at] += square
