"""What is waited for is reached when it is in effect, and not when it is only wanted."""

from dataclasses import replace

from abctl.core.ledger import Entry, Epoch
from abctl.core.split import Split
from abctl.session.reached import in_effect, winner
from abctl.session.status import Status

NAMES = ("control", "b", "c")
HALF = Split(NAMES, (5_000, 2_500, 2_500))
B, CONTROL = Split(NAMES, (0, 10_000, 0)), Split(NAMES, (10_000, 0, 0))


def status(split: Split, *before: Split) -> Status:
    epochs = tuple(Epoch(60.0 * i, 60.0 * (i + 1), each) for i, each in enumerate(before))
    return Status(split, split, split, None, None, False, None, epochs, ())


def test_a_split_is_in_effect_once_everybody_says_so() -> None:
    found = status(HALF)
    assert in_effect(found)
    assert in_effect(replace(found, programmed=None))  # a platform that cannot say it
    intent = Entry(0.0, "ann", HALF, B, "", "intent")
    for change in (
        {"desired": None},
        {"desired": B},
        {"programmed": B},
        {"refusal": "no listener"},
        {"drifted": True},
        {"intent": intent},
    ):
        other = replace(found, **change)  # type: ignore[arg-type]
        assert not in_effect(other)
        assert winner(other) is None


def test_the_one_that_gets_everything_in_the_end_is_the_winner() -> None:
    assert winner(status(HALF, HALF)) is None
    assert winner(status(B, HALF, B)) == "b"
    assert winner(status(CONTROL, CONTROL, HALF, CONTROL)) == "control"
    # It begins so; the first share comes later.
    assert winner(status(CONTROL, CONTROL)) is None
    assert winner(replace(status(B, HALF), programmed=HALF)) is None
