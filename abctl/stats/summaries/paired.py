"""Pairs: both variants answered the same request, and of each answer it is known if it was right.

Where both are right, or neither is, the pair says nothing of their difference, so the noise of a
split test, which comes from there, is gone.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from abctl.stats.estimate import Plan, Remark
from abctl.stats.fixed.contrast import no_null
from abctl.stats.sequential.paired_e import DEFAULT_SHARE
from abctl.stats.sequential.sequence import Paths
from abctl.stats.summary import Array, Counts, Stream, Summary, SummaryError

# As many pairs of each kind make their difference close to normal.
_BURN_IN = 10.0


@dataclass(frozen=True, eq=False)
class PairedCounts(Summary):
    """What one variant has of the pairs; all of shape (polls,).

    >>> both = paired(pairs=[500, 500], both=[430, 440], control=[10, 9], treatment=[20, 18])
    >>> both.treatment.right, both.control.right
    (array([450., 458.]), array([440., 449.]))

    Attributes:
        pairs: how many there are; the same of both variants.
        both: in which both variants are right; the same of both variants.
        alone: in which this variant alone is right.
        labelled: whether pairs whose answers agree have a label. Else `both` is 0: nobody knows.
    """

    pairs: Array
    both: Array
    alone: Array
    labelled: bool = field(default=True, metadata={"additive": False})

    def _check(self) -> None:
        for right in (self.both, self.alone, self.right):
            Counts(self.pairs, right)  # whole, and not more than there are pairs
        if not self.labelled and np.any(self.both > 0.0):
            raise SummaryError("pairs whose answers agree are right, and have no label")

    @property
    def right(self) -> Array:
        """How many answers of this variant are right, as far as it is known."""
        return self.both + self.alone


def paired(
    pairs: ArrayLike,
    both: ArrayLike,
    control: ArrayLike,
    treatment: ArrayLike,
    epoch: ArrayLike | None = None,
    *,
    labelled: bool = True,
) -> Stream[PairedCounts]:
    """The stream of pairs in each poll.

    >>> paired(pairs=100, both=90, control=1, treatment=4).treatment.alone
    array([4.])

    Args:
        pairs: how many.
        both: in which both are right.
        control: in which the control alone is right.
        treatment: in which the treatment alone is.
        epoch: of each poll; None: they are all of one.
        labelled: see `PairedCounts`.

    Raises:
        SummaryError: counts that contradict each other.
    """
    counts = [np.atleast_1d(np.asarray(each, float)) for each in (pairs, both, control, treatment)]
    n, of_both, *alone = np.broadcast_arrays(*counts)
    sides = [PairedCounts(n, of_both, each, labelled) for each in alone]
    numbers = np.asarray(np.zeros(sides[0].polls) if epoch is None else epoch, dtype=np.int64)
    found = Stream(sides[0], sides[1], numbers)
    cells_of(found)
    return found


def cells_of(stream: Stream[PairedCounts]) -> Array:
    """Pairs by who is right: both, treatment alone, control alone, neither; shape (4, polls).

    >>> cells_of(paired(pairs=100, both=90, control=1, treatment=4)).T
    array([[90.,  4.,  1.,  5.]])

    Raises:
        SummaryError: the variants do not have the same pairs.
    """
    one, other = stream.control, stream.treatment
    same = np.array_equal(one.pairs, other.pairs) and np.array_equal(one.both, other.both)
    if not same or one.labelled != other.labelled:
        raise SummaryError("control and treatment are not of the same pairs")
    neither = one.pairs - one.both - one.alone - other.alone
    if np.any(neither < 0.0):
        raise SummaryError("more right answers than pairs")
    return np.stack((one.both, other.alone, one.alone, neither))


def of_epochs(stream: Stream[PairedCounts]) -> tuple[tuple[int, ...], Remark | None]:
    """The epochs that have pairs, and why there can be no estimate.

    A ramp moves no pair from one variant to the other, so epochs are added up.
    """
    epochs = tuple(int(each) for each in np.unique(stream.epoch[stream.control.pairs > 0.0]))
    return epochs, None if epochs else Remark("noSharedEpoch")


def impossible(stream: Stream[PairedCounts], plan: Plan) -> Remark | None:
    """Why the plan's null cannot be tested; None where it can."""
    if plan.null.relative and plan.null.value and not stream.control.labelled:
        return Remark("levelsUnlabelled")
    return no_null(plan, poisson=False)


def pair_paths(stream: Stream[PairedCounts]) -> Paths:
    """The share of right answers of each variant after every poll.

    >>> paths = pair_paths(paired(pairs=[500, 500], both=450, control=[9, 9], treatment=[20, 20]))
    >>> paths.ready, (paths.b - paths.a).round(3)
    (array([False,  True]), array([0.022, 0.022]))

    Where agreements have no label, they are shares of pairs in which it alone is right. Variances
    have half a pair added to each of the four kinds.

    Source: Agresti & Min (2005), doi:10.1002/sim.1781.
    """
    cells = np.cumsum(cells_of(stream), axis=1)
    n = np.maximum(cells.sum(axis=0), 1.0)
    both, treatment, control, _ = cells / n
    some, total = cells + 0.5, n + 2.0
    a, b = (some[0] + some[2]) / total, (some[0] + some[1]) / total
    cov = (some[0] / total - a * b) / total
    if not stream.control.labelled:
        a, b = some[2] / total, some[1] / total
        cov = -a * b / total
    ready = np.minimum(cells[1], cells[2]) >= _BURN_IN
    return Paths(
        both + control,
        both + treatment,
        a * (1.0 - a) / total,
        b * (1.0 - b) / total,
        cov,
        np.maximum(n - 1.0, 1.0),
        ready,
        DEFAULT_SHARE * (some[1] + some[2]) / total,
    )
