"""Two proportions, at any time: an exact e-process on the increments of each poll.

H0 (`two-sided`): treatment - control = null in every poll; with a relative null m,
treatment = (1 + m) * control in every poll. `greater`: H0 is "at most", `less`: H0 is "at least".
As a guardrail on errors with margin m: `less` proves "not worse than m", `greater` proves harm.

The base rate may drift and the split may ramp as they like. p and the decision are exact at any
sample size and stopping time, and so is the interval up to 10 successes and 10 failures in each
variant (see `sequence`); from there on it is a mixture confidence sequence of the difference
weighted over epochs, which is asymptotic. It holds the null exactly if that is not
rejected.

Up to a horizon the boundary takes each trial as a value of 0 or 1, from 10 successes and 10
failures in each variant on, or as many as tell as much where epochs weigh otherwise.

Sources: Turner, Ly & Grünwald (2024), arXiv:2106.02693; Robbins (1970),
doi:10.1214/aoms/1177696786.
"""

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.sequential.linear_e import counts_sequence
from abctl.stats.sequential.sequence import Contrasts, kept
from abctl.stats.summaries.moments import moment_paths
from abctl.stats.summary import (
    Counts,
    Moments,
    Stream,
    compared,
    over_epochs,
    running,
    weight_of,
)

SUMMARY = Counts
SEQUENTIAL = True
ASSUMPTIONS = (
    "each trial is independent of the others (requests of one user are not: use ratio_sequence)",
    "the null holds in every poll; the base rate may drift and the split may change between polls",
)
_LEAST = 10.0


def estimate(stream: Stream[Counts], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two proportions and its lift, valid however often anyone looks.

    >>> control, treatment = Counts([500] * 4, [50] * 4), Counts([500] * 4, [80] * 4)  # four polls
    >>> found = estimate(Stream(control, treatment, epoch=[0] * 4), Plan())
    >>> round(found.effect, 4), round(found.p, 4), found.guarantee
    (0.06, 0.0004, 'exact')
    """
    return counts_sequence("proportion_sequence", stream, plan, ASSUMPTIONS)


@kept
def contrasts(stream: Stream[Counts], _plan: Plan) -> Contrasts:
    """The contrast at every look."""
    n = float(stream.control.n.sum()), float(stream.treatment.n.sum())
    both = stream.only(compared(stream.control.n, stream.treatment.n, stream.epoch))
    paths = moment_paths(Stream(_values(both.control), _values(both.treatment), both.epoch))
    return Contrasts(replace(paths, ready=paths.ready & _many(both)), n, partial(estimate, stream))


def _values(counts: Counts) -> Moments:
    return Moments(counts.n, counts.successes, counts.successes)


def _many(stream: Stream[Counts]) -> NDArray[np.bool_]:
    """Whether both variants have enough successes and failures, at every look.

    Counted are those of one weight that would tell as much: an epoch that hardly counts has hardly
    any (Kish 1965, Survey Sampling, 8.2).
    """
    sides = stream.control, stream.treatment
    n_a, n_b = (running(side.n, stream.epoch) for side in sides)
    weight, ready = weight_of(n_a, n_b), np.ones(n_a.size, dtype=bool)
    for side, n in zip(sides, (n_a, n_b), strict=True):
        each = weight / np.maximum(n, 1.0)
        for counted in (side.successes, side.n - side.successes):
            so_far = running(counted, stream.epoch)
            one, two = (over_epochs(each**p * so_far, stream.epoch) for p in (1, 2))
            ready &= one**2 >= _LEAST * (1.0 - 1e-9) * np.where(two > 0.0, two, np.inf)
    return ready
