"""Ground truth that comes back later: what is accepted, and each report only once."""

from collections import OrderedDict
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints

_Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_LARGEST = 1e12


class Feedback(BaseModel):
    """What happened after a prediction of this variant.

    `user` is None where the request was not randomized (its answer said `x-ab-bucket: none`).
    `value` is 0 or 1 for yes and no, else any number up to 1e12 either way (a sum of squares must
    stay a number). A repeated `id` counts once for an outcome.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    variant: _Name
    outcome: _Name
    value: Annotated[FiniteFloat, Field(ge=-_LARGEST, le=_LARGEST)]
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
