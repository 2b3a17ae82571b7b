"""Running sums that respect epochs: nothing is ever pooled across a change of the split."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from abctl.stats.summary import Array


def running(increments: Array, epoch: NDArray[np.int64]) -> Array:
    """Cumulative sums over polls (the first axis), starting anew in each epoch."""
    found = np.empty_like(increments)
    for start, stop in pairwise((*_starts(epoch), epoch.size)):
        np.cumsum(increments[start:stop], axis=0, out=found[start:stop])
    return found


def over_epochs(terms: Array, epoch: NDArray[np.int64]) -> Array:
    """Add to the terms of each poll the last terms of all earlier epochs."""
    found = terms.copy()
    for _, start in pairwise(_starts(epoch)):
        found[start:] += terms[start - 1]
    return found


def weight_of(n_a: Array, n_b: Array) -> Array:
    """What a difference of means counts: n_a n_b / (n_a + n_b), 0 where a variant has nothing."""
    return np.asarray(n_a * n_b / np.maximum(n_a + n_b, 1.0))


def compared(
    n_a: Array, n_b: Array, epoch: NDArray[np.int64], least: float = 0.0
) -> tuple[int, ...]:
    """The epochs with more than `least` in both variants, from increments of shape (polls,)."""
    starts = list(_starts(epoch))
    if not starts:
        return ()
    fewest = np.minimum(np.add.reduceat(n_a, starts), np.add.reduceat(n_b, starts))
    return tuple(int(number) for number in epoch[starts][fewest > least])


def _starts(epoch: NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.flatnonzero(np.diff(epoch, prepend=epoch[:1] - 1)))
