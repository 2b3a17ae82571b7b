"""Counters that count something later than it happened, read as if they had counted at once.

A collector counts an outcome when its prediction has reached the maturity of the outcome. So what
its counters do at a moment belongs to predictions that were made one maturity before. A selector
says it by the label `matures_in` (seconds), which no series has.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from abctl.core.selector import MATURES_IN, as_counted, matures_in
from abctl.sources import Outline, Series, Source

_OF_TARGETS = ("process_start_time_seconds", "up")


@dataclass(frozen=True)
class Matured:
    """A source whose late counters are moved to when what they count happened.

    Args:
        source: that is asked.
        maturities: of all selectors, in seconds; 0 for what is counted at once.
    """

    source: Source
    maturities: frozenset[float]

    @property
    def place(self) -> str:
        """See `Source`."""
        return self.source.place

    def now(self) -> float:
        """See `Source`."""
        return self.source.now()

    def retention_seconds(self) -> float | None:
        """See `Source`."""
        return self.source.retention_seconds()

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        """See `Source`; each series of a late counter has the label `matures_in`."""
        found = []
        for seconds in self._of(selector):
            late = self.source.series(as_counted(selector), start + seconds, end + seconds)
            found += [_moved(series, seconds, selector) for series in late] if seconds else late
        return found

    def outline(self, selector: str, edges: NDArray[np.float64], since: float) -> Outline:
        """See `Source`."""
        seconds = matures_in(selector)
        found = self.source.outline(as_counted(selector), edges + seconds, since + seconds)
        return replace(found, labels=[_named(each, seconds) for each in found.labels])

    def _of(self, selector: str) -> Iterable[float]:
        """By how much an answer is moved; what is told of targets is told of each maturity."""
        name = selector.partition("{")[0]
        return sorted(self.maturities) if name in _OF_TARGETS else (matures_in(selector),)


def matured(source: Source, selectors: Iterable[str]) -> Source:
    """The source itself, if it counts everything at once."""
    maturities = frozenset((0.0, *map(matures_in, selectors)))
    return source if maturities == {0.0} else Matured(source, maturities)


def _moved(series: Series, seconds: float, selector: str) -> Series:
    start = selector.startswith("process_start_time_seconds")
    values = series.values - seconds if start else series.values
    return Series(_named(series.labels, seconds), series.times - seconds, values)


def _named(labels: Mapping[str, str], seconds: float) -> Mapping[str, str]:
    return {**labels, MATURES_IN: f"{seconds:g}"} if seconds else labels
