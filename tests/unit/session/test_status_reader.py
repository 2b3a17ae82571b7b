"""What was counted of one split is never shown beside another."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from abctl.core.experiment import Design
from abctl.core.ledger import Entry, Ledger
from abctl.core.split import Split
from abctl.session import status
from abctl.session.session import Session
from abctl.session.status import Observed, Requests, Status, StatusReader, counted
from abctl.spec import load

FILE = Path(__file__).parents[2] / "golden/experiment.yaml"
BEFORE, AFTER = (Split(("a", "b"), shares) for shares in ((9000, 1000), (5000, 5000)))
NOTHING_YET = "requests: they count from 1970-01-01T00:00:40Z on; what comes in the first 30s"


class World:
    """An experiment that is shifted, and counters of which only those since then are told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.split, self.intent, self.now = BEFORE, None, 0.0
        self.reads = self.seen = 0
        monkeypatch.setattr(status, "as_seen", self.as_seen)
        monkeypatch.setattr(status, "counted", self.counted)
        monkeypatch.setattr(status, "status", self.status)
        monkeypatch.setattr(status, "time", SimpleNamespace(monotonic=lambda: self.now))
        session: Any = SimpleNamespace(observe=self.observe)
        self.look = StatusReader(session)

    def observe(self) -> Any:
        ledger = SimpleNamespace(desired=self.split, intent=self.intent)
        return SimpleNamespace(asked=self.split, ledger=ledger, drifted=False, unrecorded="")

    def as_seen(self, _: Any, state: Any) -> Any:
        self.seen += 1
        return state.ledger

    def counted(self, *_: Any) -> Requests:
        self.reads += 1
        if self.split == BEFORE and self.intent is None:
            return Requests({"a": 90, "b": 10})
        return Requests(why=NOTHING_YET)

    def status(self, _: Any, state: Any, counts: Any, ledger: Any) -> Status:
        assert ledger is state.ledger
        seen = counts and {name: Observed(n, n / 100, (0, 1)) for name, n in counts.items()}
        return Status(
            state.asked,
            state.asked,
            None,
            None,
            seen,
            False,
            self.intent,
            (),
            (),
        )


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_counters_are_read_every_15_seconds(world: World) -> None:
    for world.now in (0.0, 2.0, 14.0, 15.0, 17.0):
        assert world.look().observed
    # Who wrote the object may take a request: it is asked once a look.
    assert (world.reads, world.seen) == (2, 5)


def test_a_shift_is_counted_anew_at_once_and_a_word_says_that_nothing_counts(world: World) -> None:
    assert world.look().observed
    world.now, world.split = 2.0, AFTER
    found = world.look()
    assert (found.observed, found.unseen) == (None, (NOTHING_YET,))
    world.now = 4.0
    assert world.look() == found
    assert world.reads == 2


def test_a_shift_that_is_not_finished_is_no_split_to_count_for(world: World) -> None:
    assert world.look().observed
    world.intent = Entry(1.0, "me", BEFORE, AFTER, "", "intent")  # type: ignore[assignment]
    assert world.look().observed is None
    assert replace(world.look(), intent=None).unseen == (NOTHING_YET,)


@pytest.mark.parametrize("counts", [None, {"a": 0, "b": 0}])
def test_why_there_is_no_share_is_said(counts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    source = SimpleNamespace(now=lambda: now[0])
    monkeypatch.setattr(status, "source_of", lambda _: source)
    monkeypatch.setattr(status, "measured", lambda *_: None)
    monkeypatch.setattr(status, "observed", lambda *_: counts)
    monkeypatch.setattr(status, "left_out", lambda *_: None)
    monkeypatch.setattr(status, "silences", lambda *_: ())
    monkeypatch.setattr(status, "views", lambda *_: ())
    experiment = replace(load(FILE), design=Design(settle_seconds=30.0))
    now = [20.0]
    session = Session(
        None,  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        experiment,
        state_dir=Path("state"),
        clock=lambda: now[0],
    )
    started = Ledger("{}").with_entry(Entry(10.0, "me", None, BEFORE, "", "applied"))
    carrier = {"metadata": {}}
    state: Any = SimpleNamespace(carrier=carrier, ledger=started, drifted=False)
    found = counted(session, state)
    assert found.counts is None
    assert found.why.startswith(NOTHING_YET)
    now[0] = 50.0
    assert counted(session, state).why.startswith("requests: none since 1970-01-01T00:00:40Z")
    state.ledger = started.with_entry(Entry(60.0, "me", BEFORE, AFTER, "", "intent"))
    # Nobody knows since when what is asked for is in effect.
    state.asked, state.programmed, state.refusal = AFTER, None, "no routes yet"
    assert counted(session, state).why.startswith("requests: none counts until")
