"""How much information requests lose that are alike because they came at the same time.

A pause, a neighbor or a queue makes many requests of one variant slow at once. Taken as independent
they would prove a difference that is only a burst. The difference between the variants is compared
poll by poll, so a change that both share (the time of day) is not a burst.

The variance between polls over the one that independent requests would have is the design effect
within polls (Kish 1965, section 5.4). Bursts that outlast a poll make neighbors alike: with their
correlation r, polls count as (1 - r) / (1 + r) times as many (Bayley & Hammersley 1946, for a
correlation that fades geometrically), and variances grow by the inverse. In short series r is
biased by -(1 + 3 r) / polls (Marriott & Pope 1954); four times that is added, since r is uncertain
as well and constant looking finds the look at which it is smallest. The variance is known as well
as from so many independent polls less one an epoch: these are the degrees of freedom.

What is by chance in each poll hides from r how slowly bursts fade. So the same is done with batches
of 2 and of 4 polls (batch means; Schmeiser 1982), and the largest variance counts.

A burst that lasts for a good part of the time that was seen cannot be told from a lasting
difference.

Sources: Kish (1965), Survey Sampling; Bayley & Hammersley (1946), doi:10.2307/2983560; Marriott &
Pope (1954), doi:10.1093/biomet/41.3-4.390; Schmeiser (1982), doi:10.1287/opre.30.3.556.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abctl.stats.estimate import Remark
from abctl.stats.summary import Array, Counts, Stream, compared, over_epochs, running, weight_of

# With fewer an interval would span everything.
_LEAST_DF = 8.0
# So many polls are taken together, where it makes so many batches.
_BATCH_POLLS = (2, 4)
_LEAST_BATCHES = 32
_BIAS = 4.0
_LARGEST_CORRELATION = 0.99
# One pause is one event, however many requests it hits.
_LEAST_POLLS = 8
TOO_FEW = Remark("tooFewFailingPolls", {"needed_count": _LEAST_POLLS})
TOO_SHORT = Remark("tooFewPolls", {"needed_count": 16})


@dataclass(frozen=True, eq=False)
class Bursts:
    """How bursts inflate variances, at every look; arrays of shape (looks,).

    >>> n, only = np.full(40, 100.0), np.zeros(40, dtype=np.int64)
    >>> slow = np.where(np.arange(40) % 10 == 0, 0.5, 0.0)  # every tenth poll differs
    >>> found = bursts((n, n), slow[:, None], only, np.full(40, 0.25), only)
    >>> bool(found.enough[-1]), float(found.factor[-1].round(1))
    (True, 5.7)

    Attributes:
        factor: the variance over that of independent requests, at least 1.
        df: its degrees of freedom.
        enough: whether there are enough polls to estimate it.
    """

    factor: Array
    df: Array
    enough: NDArray[np.bool_]

    def at(self, looks: NDArray[np.bool_ | np.int64]) -> "Bursts":
        """Some of the looks."""
        return Bursts(self.factor[looks], self.df[looks], self.enough[looks])


def bursts(
    n: tuple[Array, Array],
    difference: Array,
    epoch: NDArray[np.int64],
    unit_variance: Array,
    column: NDArray[np.int64],
) -> Bursts:
    """Estimate the inflation of variances by bursts from the differences between polls.

    Args:
        n: values of control and treatment in each poll, each of shape (polls,).
        difference: treatment minus control in each poll, shape (polls, columns); anything where one
            of them has no value.
        epoch: of each poll.
        unit_variance: at each look, of a difference with n_a n_b / (n_a + n_b) = 1, if values were
            independent; shape (polls,).
        column: which column counts at each look, shape (polls,).
    """
    w = weight_of(*n)[:, None]
    x = w * difference
    found = _between(w, x, epoch, unit_variance, column)
    starts = np.flatnonzero(np.diff(epoch, prepend=epoch[:1] - 1))
    nth = np.arange(epoch.size) - np.repeat(starts, np.diff(starts, append=epoch.size))
    for polls in _BATCH_POLLS:
        ends = np.flatnonzero(nth % polls == polls - 1)
        batches = np.searchsorted(ends, np.arange(epoch.size), side="right")
        if not batches.size or batches[-1] < _LEAST_BATCHES:
            break
        w_batch, x_batch = (_sums(each, epoch, ends) for each in (w, x))
        wider = _between(w_batch, x_batch, epoch[ends], unit_variance[ends], column[ends])
        found = _wider(found, wider.at(np.maximum(batches - 1, 0)), batches >= _LEAST_BATCHES)
    return found


def as_independent(stream: Stream[Counts], clusters: float = 1.0) -> Stream[Counts] | Remark:
    """Counts as if requests were independent: as many fewer as bursts and clusters make them alike.

    Where nothing happened in either variant there is no burst, and counts stay as they are.

    Args:
        stream: counts by poll.
        clusters: the variance between servers, or users, over that of independent requests (see
            `clusters`); what differs between polls comes on top of it.

    Returns:
        The counts, or why bursts cannot be told from a difference yet.

    >>> n = np.full(40, 100.0)
    >>> down = np.where(np.arange(40) % 4 == 0, 50.0, 0.0)  # every fourth poll half of them fail
    >>> found = as_independent(Stream(Counts(n, 0 * n), Counts(n, down), epoch=[0] * 40))
    >>> float(found.treatment.n.sum()) < 400.0
    True
    """
    both = stream.only(compared(stream.control.n, stream.treatment.n, stream.epoch, least=1.0))
    sides = both.control, both.treatment
    happened = sum(side.successes for side in sides)
    if not np.any(happened):
        return both
    if np.count_nonzero(happened) < _LEAST_POLLS:
        return TOO_FEW
    n_a, n_b = (side.n for side in sides)
    share_a, share_b = (side.successes / _positive(side.n) for side in sides)
    total = np.cumsum(n_a + n_b)
    pooled = np.cumsum(happened) / _positive(total)
    only = np.zeros(n_a.size, dtype=np.int64)
    found = bursts(
        (n_a, n_b), (share_b - share_a)[:, None], both.epoch, pooled * (1.0 - pooled), only
    )
    if not found.enough[-1]:
        return TOO_SHORT
    factor = float(found.factor[-1]) + clusters - 1.0
    control, treatment = (_fewer(side, factor) for side in sides)
    return Stream(control, treatment, both.epoch)


def _fewer(side: Counts, factor: float) -> Counts:
    """A variant's counts over the design effect, as whole numbers that add up."""
    n, successes = (np.cumsum(each) / factor for each in (side.n, side.successes))
    n, successes = (np.diff(np.floor(n + 1e-9), prepend=0.0), np.ceil(successes - 1e-9))
    return Counts(n, np.minimum(np.diff(successes, prepend=0.0), n))


def _sums(values: Array, epoch: NDArray[np.int64], ends: NDArray[np.int64]) -> Array:
    """Of each batch, which begins where the one before it ends, or with its epoch."""
    up_to = running(values, epoch)[ends]
    goes_on = np.diff(epoch[ends], prepend=epoch[:1] - 1) == 0
    return up_to - np.where(goes_on[:, None], np.roll(up_to, 1, axis=0), 0.0)


def _wider(one: Bursts, other: Bursts, where: NDArray[np.bool_]) -> Bursts:
    more = where & (other.factor > one.factor)
    return Bursts(
        np.where(more, other.factor, one.factor),
        np.where(more, other.df, one.df),
        one.enough & (other.enough | ~more),
    )


def _between(
    w: Array,
    x: Array,
    epoch: NDArray[np.int64],
    unit_variance: Array,
    column: NDArray[np.int64],
) -> Bursts:
    """What differs between polls, or batches of them, of weights (polls, 1) and weighted sums."""
    # Neighbors are polls of one epoch.
    after = np.where(np.diff(epoch, prepend=epoch[:1] - 1) == 0, 1.0, 0.0)[:, None]
    w_before, x_before = after * np.roll(w, 1, axis=0), after * np.roll(x, 1, axis=0)
    sums = (x, w, x * x, w * x, w * w, x * x_before, w * x_before + x * w_before, w * w_before)
    s_x, s_w, xx, wx, ww, xy, wy, wv = (running(each, epoch) for each in sums)
    mean = s_x / _positive(s_w)
    squares = over_epochs(xx - 2.0 * mean * wx + mean**2 * ww, epoch)
    products = over_epochs(xy - mean * wy + mean**2 * wv, epoch)
    # A mean of its own takes from the squares of each epoch what it fits.
    free, total, weights = (
        over_epochs(each, epoch)[:, 0] for each in (s_w - ww / _positive(s_w), s_w, ww)
    )
    looks = np.arange(column.size)
    polls = total * free / _positive(weights)
    square, product = squares[looks, column], products[looks, column]
    # Below that a square is what is left by rounding, and so is its product.
    rounding = 1e-6 * unit_variance * free
    r = np.maximum(product / _positive(np.maximum(square, rounding)), 0.0)
    r = np.minimum(r + _BIAS * (1.0 + 3.0 * r) / np.maximum(polls, 1.0), _LARGEST_CORRELATION)
    alike = (1.0 + r) / (1.0 - r)
    factor = alike * square / _positive(unit_variance * free)
    df = polls / alike
    enough = (df >= _LEAST_DF) & (unit_variance * free > 0.0)
    return Bursts(np.maximum(factor, 1.0), np.maximum(df, 1.0), enough)


def _positive(values: Array) -> Array:
    return np.where(values > 0.0, values, 1.0)
