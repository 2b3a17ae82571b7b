"""Outlines of samples that are at hand (pure)."""

import numpy as np
from numpy.typing import NDArray

from abctl.sources import Outline, Source


def outline_of(source: Source, selector: str, edges: NDArray[np.float64], since: float) -> Outline:
    """An outline, for a source that has every sample at hand; see `Source`."""
    labels, last, drops = [], [], []
    for series in source.series(selector, since, float(edges[-1])):
        upto = np.searchsorted(series.times, edges, side="right")
        here = upto[1:] > upto[:-1]
        if here.any():
            labels.append(series.labels)
            last.append(np.where(here, series.values[upto[1:] - 1], np.nan))
            drops.append(float(np.count_nonzero(np.diff(series.values) < 0)))
    return Outline(labels, np.array(last).reshape(len(labels), len(edges) - 1), np.array(drops))
