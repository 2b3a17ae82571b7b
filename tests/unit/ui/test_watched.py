"""An experiment is looked at once per interval, whoever asks."""

import threading
from pathlib import Path

import pytest

import abctl
from abctl.errors import SourceError
from abctl.ui.watched import Watched

SAVED = Path(__file__).parents[2] / "golden" / "saved_evidence.json.gz"


class World:
    """A clock that stands, and looks that are counted and may be held up."""

    def __init__(self, found: abctl.Findings) -> None:
        self.now, self.looks, self.fails = 0.0, 0, False
        self.found, self.goes_on = found, threading.Event()
        self.goes_on.set()

    def clock(self) -> float:
        return self.now

    def look(self) -> abctl.Findings:
        self.looks += 1
        assert self.goes_on.wait(60)
        if self.fails:
            raise SourceError("it is away", "wait")
        return self.found

    def watched(self) -> Watched:
        return Watched("iris.yaml", self.look, 60.0, self.clock)


@pytest.fixture(scope="module")
def found() -> abctl.Findings:
    return abctl.judge(SAVED)


@pytest.mark.slow
def test_it_is_looked_at_once_per_interval_and_only_when_asked(found: abctl.Findings) -> None:
    world = World(found)
    watched = world.watched()
    assert world.looks == 0
    assert [watched.seen(None).looks for _ in range(3)] == [1, 1, 1]
    world.now = 59.9
    assert watched.seen(None).looks == 1
    world.now = 60.0
    assert watched.seen(None).looks == world.looks == 2


def test_many_who_ask_at_once_wait_for_one_look(found: abctl.Findings) -> None:
    world = World(found)
    watched = world.watched()
    world.goes_on.clear()
    assert watched.seen(0.0).found is None
    told: list[int] = []
    asking = [
        threading.Thread(target=lambda: told.append(watched.seen(60).looks)) for _ in range(20)
    ]
    for each in asking:
        each.start()
    world.goes_on.set()
    for each in asking:
        each.join()
    assert told == [1] * 20
    assert world.looks == 1


def test_what_fails_is_told_beside_what_was_found_before(found: abctl.Findings) -> None:
    world = World(found)
    watched = world.watched()
    assert watched.seen(None).found is found
    world.fails, world.now = True, 60.0
    seen = watched.seen(None)
    assert seen.found is found
    assert seen.failure is not None
    assert seen.failure.message == "it is away"
    world.fails, world.now = False, 120.0
    assert watched.seen(None).failure is None


def test_a_bug_is_told_and_the_next_look_is_made(found: abctl.Findings) -> None:
    world = World(found)
    world.found = None  # type: ignore[assignment]

    def look() -> abctl.Findings:
        raise ZeroDivisionError(found.verdict.kind)

    watched = Watched("iris.yaml", look, 60.0, world.clock)
    failure = watched.seen(None).failure
    assert failure is not None
    assert "bug in abctl: ZeroDivisionError continue" in failure.message
    world.now = 60.0
    assert watched.seen(None).looks == 2
