"""Two Poisson rates (events over an exposure), at any time: an exact e-process.

H0 (`two-sided`): treatment - control = null in every poll; with a relative null m,
treatment = (1 + m) * control in every poll. `greater`: H0 is "at most", `less`: H0 is "at least".
As a guardrail with margin m: `less` proves "not worse than m", `greater` proves harm.

With a relative null it is the likelihood ratio of the treatment's share of the events of each poll,
so the base rate may drift and the split may ramp. p and the decision are exact for Poisson events
at any stopping time, and so is the interval up to 10 events in each variant (see `sequence`); from
there on it is asymptotic. It holds the null exactly if the null is not rejected.

Up to a horizon the boundary counts from 10 events in each variant on, or as many as tell as much
where epochs weigh otherwise; the variance of an epoch's rate is its events over its squared
exposure.

Source: Lindon & Malek (2022), arXiv:2011.03567; see `linear_e` for a null that is a difference.
"""

from functools import partial

import numpy as np

from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.sequential.linear_e import counts_sequence
from abctl.stats.sequential.mixture import relative_default
from abctl.stats.sequential.sequence import Contrasts, Paths, kept
from abctl.stats.summary import Array, Events, Stream, over_epochs, running, weight_of

SUMMARY = Events
SEQUENTIAL = True
ASSUMPTIONS = (
    "events are rare and independent of each other, so their number is Poisson",
    "the null holds in every poll; the base rate may drift and the split may change between polls",
)
_LEAST = 10.0
# Of Student's t: that the variance of a rate is known.
_DF = 1e9


def estimate(stream: Stream[Events], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two rates and its lift, valid however often anyone looks.

    >>> control, treatment = Events([25] * 4, [500] * 4), Events([45] * 4, [500] * 4)  # four polls
    >>> found = estimate(Stream(control, treatment, epoch=[0] * 4), Plan())
    >>> round(found.lift, 4), round(found.p, 4)
    (0.8, 0.0057)
    """
    return counts_sequence("rate_sequence", stream, plan, ASSUMPTIONS)


@kept
def contrasts(stream: Stream[Events], _plan: Plan) -> Contrasts:
    """The contrast at every look."""
    n = float(stream.control.exposure.sum()), float(stream.treatment.exposure.sum())
    return Contrasts(_paths(stream), n, partial(estimate, stream))


def _paths(stream: Stream[Events]) -> Paths:
    sides = stream.control, stream.treatment
    exposure_a, exposure_b = (running(side.exposure, stream.epoch) for side in sides)
    events_a, events_b = (running(side.events, stream.epoch) for side in sides)
    weight = weight_of(exposure_a, exposure_b)
    total = _positive(over_epochs(weight, stream.epoch))

    def moment(events: Array, exposure: Array, power: int) -> Array:
        each = weight**power * events / _positive(exposure) ** power
        return np.asarray(over_epochs(each, stream.epoch) / total**power)

    a, var_a, third_a = (moment(events_a, exposure_a, power) for power in (1, 2, 3))
    b, var_b, third_b = (moment(events_b, exposure_b, power) for power in (1, 2, 3))
    # As many events of one weight would tell as much: an epoch that hardly counts has hardly any.
    equal_a, equal_b = (mean**2 / _positive(var) for mean, var in ((a, var_a), (b, var_b)))
    ready = np.minimum(equal_a, equal_b) >= _LEAST * (1.0 - 1e-9)
    known = np.full_like(a, _DF)
    default = relative_default(0.5 * (a + b))
    return Paths(a, b, var_a, var_b, 0.0 * a, known, ready, default, third_a, third_b)


def _positive(values: Array) -> Array:
    return np.where(values > 0.0, values, 1.0)
