"""Shares of requests while events are few: judged by how many users there must have been.

Where hardly anything has happened yet, buckets show no variance to judge by. It cannot be larger
than if each user always or never had the event. Then a user counts once, however many requests he
sends, and requests count as the number of equally busy users that would give the variance between
the buckets' requests: (sum r)^2 / sum r^2 with r the requests of a user (Kish 1965, section 8.2).
"""

import numpy as np
from numpy.typing import NDArray

from abctl.stats._linear_e import Pairs
from abctl.stats._score import Strata
from abctl.stats.summary import Array, Buckets, Stream


def as_users(stream: Stream[Buckets]) -> Pairs | None:
    """Users and their events in each poll, not whole numbers; None if the ratio is no share.

    A poll's users are those by which it raises the number up to now, so that users who come back
    are not counted as new. They are known before the poll's events are.
    """
    sides = (stream.control, stream.treatment)
    if any(np.any((s.numerator < 0.0) | (s.numerator > s.denominator)) for s in sides):
        return None
    # After a ramp the control may have no new users for long, the treatment most of its own.
    return Pairs(*_users(stream.control), *_users(stream.treatment), alone=True)


def by_epoch(users: Pairs, epoch: NDArray[np.int64]) -> Strata | str:
    """The users of all polls, epoch by epoch; a reason where no epoch has both variants."""
    starts = np.flatnonzero(np.diff(epoch, prepend=epoch[:1] - 1))
    n_a, s_a, n_b, s_b = (
        np.add.reduceat(cell, starts) for cell in (users.n_a, users.s_a, users.n_b, users.s_b)
    )
    return Strata.where_both(n_a, s_a, n_b, s_b, epoch[starts])


def _users(side: Buckets) -> tuple[Array, Array]:
    requests = np.cumsum(side.denominator, axis=0)
    total = requests.sum(axis=1)
    squares = requests.shape[1] * requests.var(axis=1, ddof=1)
    users = total**2 / np.maximum(np.maximum(squares, total), 1.0)
    new = np.diff(np.maximum.accumulate(users), prepend=0.0)
    each = side.denominator.sum(axis=1)
    return new, side.numerator.sum(axis=1) * new / np.where(each > 0.0, each, 1.0)
