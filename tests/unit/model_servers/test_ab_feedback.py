"""What feedback is accepted, and how long a repeated one is known."""

from typing import Any

import pytest
from pydantic import ValidationError

from ab_runtime.feedback import Feedback, Seen

GOOD = {"variant": "control", "user": "u1", "outcome": "accuracy", "value": 1}


@pytest.mark.parametrize(
    "change",
    [{}, {"user": None}, {"user": ""}, {"value": -3.25}, {"value": 0}, {"id": "f1"}, {"id": None}],
)
def test_good_feedback(change: dict[str, Any]) -> None:
    Feedback.model_validate(GOOD | change)


@pytest.mark.parametrize(
    "change",
    [
        {"value": float("nan")},
        {"value": float("inf")},
        {"value": -float("inf")},
        {"value": 1e13},
        {"value": "1"},
        {"value": True},
        {"value": None},
        {"value": [1]},
        {"outcome": ""},
        {"outcome": 7},
        {"variant": ""},
        {"variant": None},
        {"user": 7},
        {"id": ""},
        {"id": "x" * 201},
        {"vallue": 1},
    ],
    ids=str,
)
def test_nonsense(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Feedback.model_validate(GOOD | change)


@pytest.mark.parametrize("missing", ["variant", "outcome", "value"])
def test_what_is_needed(missing: str) -> None:
    with pytest.raises(ValidationError):
        Feedback.model_validate({key: value for key, value in GOOD.items() if key != missing})


def test_the_oldest_ids_are_forgotten() -> None:
    seen = Seen(capacity=3)
    assert [seen.add("accuracy", each) for each in "abcab"] == [True] * 3 + [False] * 2
    assert seen.add("accuracy", "d")  # and "a" is gone
    assert not seen.add("accuracy", "b")
    assert seen.add("accuracy", "a")
