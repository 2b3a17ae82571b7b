"""Where evidence comes from: raw samples of counters, never rates."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Series:
    """Raw samples of one series: labels, times (unix seconds, ascending) and values."""

    labels: Mapping[str, str]
    times: NDArray[np.float64]
    values: NDArray[np.float64]


class Source(Protocol):
    """What every source can do."""

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
