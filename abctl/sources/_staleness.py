"""Staleness markers, which some servers give away as samples (pure).

Prometheus ends a series with a NaN of a special kind, and keeps it to itself. VictoriaMetrics
gives it away among the raw samples, where nobody can tell it from any other NaN.
"""

import numpy as np

from abctl.sources import Series


def without_markers(series: Series) -> Series:
    """The series without single NaN: what follows the end of a series is another sample or nothing.

    A counter that has become NaN stays so: NaN that follow each other are left where they are, and
    are the error that they are.
    """
    gone = np.isnan(series.values)
    if not gone.any():
        return series
    beside = np.concatenate(([False], gone, [False]))
    kept = ~gone | beside[:-2] | beside[2:]
    return Series(series.labels, series.times[kept], series.values[kept])
