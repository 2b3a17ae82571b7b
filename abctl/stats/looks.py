"""What a method said at every look: the whole path of an effect and its bounds, for pictures.

Each point is what the method answers to the polls up to it, so the last point is the estimate. A
sequential method's bounds may be looked at wherever one likes; those of a method for one look hold
at its planned end only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abctl.stats.estimate import Estimate, NotEstimable, Plan
from abctl.stats.summary import Array, Stream

Answer = Callable[[Any, Plan], Estimate | NotEstimable]
_USUAL_POINTS = 200


@dataclass(frozen=True, eq=False)
class Looks:
    """A path; arrays of shape (points,), NaN where there was no estimate yet.

    >>> from abctl.stats.methods import proportion_sequence
    >>> from abctl.stats.summary import Counts
    >>> stream = Stream(Counts([500] * 4, [50] * 4), Counts([500] * 4, [80] * 4), [0] * 4)
    >>> found = looks(proportion_sequence.estimate, stream, Plan())
    >>> found.poll, found.effect, found.p < 0.05
    (array([0, 1, 2, 3]), array([0.06, 0.06, 0.06, 0.06]), array([False, False,  True,  True]))

    Attributes:
        poll: the number of the last poll of each look, from 0.
        effect, low, high: the difference and its interval; ends may be infinite.
        p: of the null hypothesis.
        n: units of both variants together.
    """

    poll: NDArray[np.int64]
    effect: Array
    low: Array
    high: Array
    p: Array
    n: Array

    def to_dict(self) -> dict[str, list[float]]:
        """Lists by name: what a data frame takes."""
        return {
            name: getattr(self, name).tolist()
            for name in ("poll", "effect", "low", "high", "p", "n")
        }


def looks(answer: Answer, stream: Stream[Any], plan: Plan, at_most: int = _USUAL_POINTS) -> Looks:
    """The path of a method over the polls of a stream.

    Args:
        answer: the `estimate` of a method.
        stream: what was counted.
        plan: what is tested.
        at_most: as many points, evenly spread over the polls; the first and the last are among
            them.

    Raises:
        ValueError: fewer than two points are asked for.
    """
    if at_most < 2:
        raise ValueError(f"at_most={at_most}: must be at least 2")
    last = stream.epoch.size - 1
    polls = np.unique(np.linspace(0, last, min(at_most, last + 1)).round().astype(np.int64))
    rows = [_row(answer(_until(stream, int(poll)), plan)) for poll in polls]
    effect, low, high, p, n = np.reshape(np.array(rows, dtype=np.float64), (-1, 5)).T
    return Looks(polls, effect, low, high, p, n)


def _until(stream: Stream[Any], poll: int) -> Stream[Any]:
    kept = np.arange(stream.epoch.size) <= poll
    return Stream(stream.control.at(kept), stream.treatment.at(kept), stream.epoch[kept])


def _row(found: Estimate | NotEstimable) -> tuple[float, float, float, float, float]:
    if isinstance(found, NotEstimable):
        return np.nan, np.nan, np.nan, np.nan, sum(found.n)
    return (found.effect, *found.interval, found.p, sum(found.n))
