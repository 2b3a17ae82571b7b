"""What people say to a ramp stands in the ledger, and changes nothing of what was in effect."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from laws import law
from ramps import ledger, said, split

from abctl.core.change import Ref
from abctl.core.ledger import WORDS, Entry, Ledger
from abctl.core.next_action import Said
from abctl.errors import ClusterError
from abctl.forms.ledger import FORMAT, ledger_of, new_object, with_ledger

PHASES = ["intent", "applied", "reverted", "observed", "amended"]


@st.composite
def histories(draw: st.DrawFn) -> Ledger:
    found, at, now = ledger(split(100)), 3600.0, split(100)
    for _ in range(draw(st.integers(0, 8))):
        at += draw(st.floats(0.001, 1000.0))
        after = split(draw(st.integers(0, 10_000)))
        phase = draw(st.sampled_from(PHASES))
        entry = Entry(at, "ann", now, now if phase == "amended" else after, "", phase)
        found, now = found.with_entry(entry), entry.after
    return found


def with_words(known: Ledger, places: list[tuple[int, Any]]) -> Ledger:
    """The same, where people said something after some entries."""
    found = Ledger("{}")
    for i, entry in enumerate(known.entries):
        found = found.with_entry(entry)
        for place, word in places:
            if place == i:
                now = found.wanted
                found = found.with_entry(Entry(entry.at, "bob", now, now, "", word, parts=("25%",)))
    return found


@given(histories(), st.lists(st.tuples(st.integers(0, 8), st.sampled_from(sorted(WORDS)))))
@law(200)
def test_words_change_nothing_of_what_was_in_effect(known: Ledger, places: Any) -> None:
    other = with_words(known, places)
    for name in ("intent", "desired", "present", "wanted", "expected", "began", "amended_at"):
        assert getattr(other, name) == getattr(known, name)
    assert other.epochs(1e6, 10.0) == known.epochs(1e6, 10.0)
    assert other.counts_from(10.0) == known.counts_from(10.0)
    assert len(other.words) == sum(place < len(known.entries) for place, _ in places)


def test_they_are_written_and_read(make_experiment: Any) -> None:
    known = said(said(ledger(split(100)), "approved", "25%", why="fine"), "paused", why="a holiday")
    obj = new_object(make_experiment(), known.entries[0], target=Ref("v1", "ConfigMap", "n", "x"))
    plan = ledger_of(obj).plan
    written = with_ledger(obj, replace(known, plan=plan))
    found = ledger_of(written)
    assert found.entries == known.entries
    assert Said.of(found).approved == {"25%"}
    assert written["data"]["format"] == str(FORMAT) == "4"
    assert json.loads(written["data"]["ledger.jsonl"].splitlines()[-1])["phase"] == "paused"
    newer = {**written, "data": written["data"] | {"format": "5"}}
    with pytest.raises(ClusterError, match="format 5"):
        ledger_of(newer)


def test_a_ledger_without_them_is_written_as_before(make_experiment: Any) -> None:
    obj = new_object(make_experiment(), ledger(split(100)).entries[0])
    more = ledger_of(obj).with_entry(replace(ledger(split(100)).entries[0], at=9.0))
    assert with_ledger(obj, more)["data"]["format"] in (None, "2")
