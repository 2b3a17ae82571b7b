"""Ground truth that comes back later: what is accepted, and each report only once."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

from fastapi import HTTPException, status
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints

if TYPE_CHECKING:
    from ab_runtime.counters import Counters
    from ab_runtime.variant import Variant

BLANKS = " \t"
"""What around a unit's id is not part of it, in a header as in feedback."""
_Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
LARGEST = 1e12
"""The largest value of an outcome, either way: a sum of squares must stay a number."""


class Feedback(BaseModel):
    """What happened after a prediction of this variant.

    `user` is None where the request was not randomized (its answer said `x-ab-bucket: none`).
    `value` is 0 or 1 for yes and no, else any number up to 1e12 either way (a sum of squares must
    stay a number). A repeated `id` counts once for an outcome.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    variant: _Name
    outcome: _Name
    value: Annotated[FiniteFloat, Field(ge=-LARGEST, le=LARGEST)]
    user: Annotated[str, StringConstraints(max_length=1000)] | None = None
    id: _Name | None = None


class Seen:
    """The last `capacity` ids of feedback, so that a retry is not counted twice."""

    def __init__(self, capacity: int = 100_000) -> None:
        self._capacity = capacity
        self._ids: OrderedDict[tuple[str, str], None] = OrderedDict()

    def add(self, outcome: str, feedback_id: str) -> bool:
        """Remember an id; whether it was new."""
        key = outcome, feedback_id
        if key in self._ids:
            return False
        self._ids[key] = None
        if len(self._ids) > self._capacity:
            self._ids.popitem(last=False)
        return True


def taker(
    variant: "Variant", counters: "Counters"
) -> Callable[[Feedback], Awaitable[dict[str, bool]]]:
    """What answers `POST /feedback`."""

    async def feedback(feedback: Feedback) -> dict[str, bool]:
        """Count what happened after a prediction."""
        if feedback.variant != variant.name:
            raise _refused(f"variant {feedback.variant!r}: this server is {variant.name!r}")
        kind = variant.outcomes.get(feedback.outcome)
        if kind is None:
            known = ", ".join(variant.outcomes) or "none (AB_OUTCOMES is empty)"
            raise _refused(f"outcome {feedback.outcome!r}: this server knows {known}")
        if kind == "binary" and feedback.value not in (0, 1):
            raise _refused(f"value {feedback.value}: {feedback.outcome!r} is 0 or 1")
        if kind == "amount" and feedback.value < 0:
            raise _refused(f"value {feedback.value}: {feedback.outcome!r} is never negative")
        user = feedback.user and feedback.user.strip(BLANKS)
        bucket = variant.bucket(user)
        counted = counters.outcome(bucket, feedback.outcome, feedback.value, feedback.id)
        return {"counted": counted}

    return feedback


def _refused(reason: str) -> HTTPException:
    return HTTPException(status.HTTP_422_UNPROCESSABLE_ENTITY, reason)
