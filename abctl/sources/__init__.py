"""Where evidence comes from: raw samples of counters, never rates.

A source is a module of this package with `open_source(options) -> Source`.
"""

from collections.abc import Mapping
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


class Source(Protocol):
    """What every source can do."""

    @property
    def place(self) -> str:
        """Where it reads, for messages and results; without secrets."""
        ...

    def now(self) -> float:
        """Its own clock: the unix seconds up to which it can be asked."""
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


def open_source(kind: str, options: Mapping[str, Any]) -> Source:
    """A source of a kind (a module of this package) with its own options.

    Raises:
        UsageError: no such kind.
        SourceError: options that it cannot use.
    """
    return cast("Source", plugins.module(__name__, kind).open_source(options))
