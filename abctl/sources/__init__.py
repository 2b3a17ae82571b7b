"""Where evidence comes from: raw samples of counters, never rates.

A source is a module of this package with `open_source(options) -> Source`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from abctl import plugins


@dataclass(frozen=True, eq=False)
class Series:
    """Raw samples of one series: labels, times (unix seconds, ascending) and values."""

    labels: Mapping[str, str]
    times: NDArray[np.float64]
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        if len(self.times) != len(self.values):
            raise ValueError(f"{len(self.times)} times of {len(self.values)} values")


@dataclass(frozen=True, eq=False)
class Outline:
    """What series did over some cells of time, without every sample of it.

    Attributes:
        labels: of each series.
        last: shape (series, cells), the value of the last sample in each cell; NaN for none. A cell
            without samples may also have that of a sample at its very begin.
        drops: shape (series,), how often a value was less than the one before; may be too many.
    """

    labels: Sequence[Mapping[str, str]]
    last: NDArray[np.float64]
    drops: NDArray[np.float64]


class Source(Protocol):
    """What every source can do."""

    @property
    def place(self) -> str:
        """Where it reads, for messages and results; without secrets."""
        ...

    def now(self) -> float:
        """Its own clock: the unix seconds up to which it can be asked."""
        ...

    def retention_seconds(self) -> float | None:
        """For how long it keeps samples; None where it does not say."""
        ...

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        """Every raw sample of the selected series in (start, end].

        Args:
            selector: a PromQL instant vector selector, e.g. `ab_requests_total{variant="a"}`.
            start: unix seconds, excluded.
            end: unix seconds, included.

        Raises:
            SourceError: unreachable, refused, or an answer that cannot be trusted.
        """
        ...

    def outline(self, selector: str, edges: NDArray[np.float64], since: float) -> Outline:
        """Every series that has a sample in one of the cells (edges[i], edges[i+1]].

        Args:
            selector: as for `series`.
            edges: at least two, ascending, unix seconds in whole milliseconds.
            since: from where on drops are counted, up to the last edge; not after the first edge.

        Raises:
            SourceError: as for `series`.
        """
        ...


def open_source(kind: str, options: Mapping[str, Any]) -> Source:
    """A source of a kind (a module of this package) with its own options.

    Raises:
        UsageError: no such kind.
        SourceError: options that it cannot use.
    """
    return cast("Source", plugins.module(__name__, kind).open_source(options))
