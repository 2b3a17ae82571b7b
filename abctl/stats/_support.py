"""Variances that few values make up."""

import numpy as np

from abctl.stats.summary import Array

_VALUES = 100.0


def supported(variance: Array, pooled: Array, equal_values: Array) -> Array:
    """A variance, raised towards that of both variants together while few values make it up.

    Of skewed values it is small exactly where their mean is, so that a canary that has not yet seen
    a large value would look proven to be lower. The support fades as values come in (100 count as
    much as the pooled variance does), so in the end each variant has a variance of its own.

    Args:
        variance: of one variant.
        pooled: of both, on the same scale.
        equal_values: as many equal values would make up the variant's data.
    """
    support = _VALUES / (_VALUES + equal_values)
    return np.asarray(variance + np.maximum(pooled - variance, 0.0) * support)
