"""What the ledger makes of what was seen of the object, of intents given up, and of amendments."""

from dataclasses import replace
from typing import Any

import pytest

from abctl.core.ledger import Entry, Epoch, Ledger, Phase, Seen
from abctl.core.split import Split

NAMES = ("control", "treatment")
A, B, C = (Split(NAMES, (10_000 - bp, bp)) for bp in (1000, 3000, 5000))


def entry(at: float, before: Split | None, after: Split, phase: Phase, **more: Any) -> Entry:
    return Entry(at, "ann", before, after, "because", phase, **more)


def ledger_with(*entries: Entry, seen: Seen | None = None) -> Ledger:
    found = Ledger("{}")
    for each in (entry(0, None, A, "applied"), *entries):
        found = found.with_entry(each)
    return replace(found, seen=seen)


INTENT = entry(100, A, B, "intent")


@pytest.mark.parametrize(
    ("seen", "present", "epochs"),
    [
        (None, A, [Epoch(10, 100, A)]),
        (Seen(B, since=None), A, [Epoch(10, 100, A)]),
        (Seen(B, since=104), B, [Epoch(10, 100, A), Epoch(114, 200, B)]),
        # By a clock that is behind.
        (Seen(B, since=90), B, [Epoch(10, 100, A), Epoch(110, 200, B)]),
        # Never patched: the old split went on without a break.
        (Seen(A, since=0), A, [Epoch(10, 200, A)]),
        (Seen(A, since=104), A, [Epoch(10, 100, A), Epoch(114, 200, A)]),
        # Somebody else's.
        (Seen(C, since=104), C, [Epoch(10, 100, A), Epoch(114, 200, C)]),
    ],
)
def test_what_was_seen_stands_for_the_outcome_of_an_open_intent(seen, present, epochs) -> None:
    known = ledger_with(INTENT, seen=seen)
    assert known.present == present
    assert list(known.epochs(200, 10)) == epochs


@pytest.mark.parametrize("exact", [True, False])
def test_a_change_by_somebody_else_that_was_seen_ends_the_epoch_before(exact: bool) -> None:
    known = ledger_with(entry(100, A, B, "applied"), seen=Seen(C, since=150, exact=exact))
    ends = Epoch(110, 150, B, certain=exact)
    assert known.epochs(300, 10) == (Epoch(10, 100, A), ends, Epoch(160, 300, C))
    assert (known.present, known.desired) == (C, B)
    assert known.counts_from(10) == 160


def test_a_split_from_before_that_somebody_else_set_again_is_a_change_of_theirs() -> None:
    known = ledger_with(entry(100, A, B, "applied"), seen=Seen(A, since=150))
    doubted = Epoch(110, 150, B, certain=False)
    assert known.epochs(300, 10) == (Epoch(10, 100, A), doubted, Epoch(160, 300, A))


def test_without_an_entry_nothing_that_was_seen_is_in_effect() -> None:
    known = replace(Ledger("{}"), seen=Seen(B, since=5))
    assert (known.present, known.epochs(100, 10)) == (None, ())
    assert not Seen(B, since=5).exact


@pytest.mark.parametrize(
    ("outcome", "epochs"),
    [
        # The object never asked for anything else.
        (entry(120, B, A, "reverted", since=100), [Epoch(10, 200, A)]),
        # It may have.
        (entry(120, B, A, "reverted", since=101), [Epoch(10, 100, A), Epoch(111, 200, A)]),
        (entry(120, B, A, "reverted"), [Epoch(10, 100, A), Epoch(130, 200, A)]),
        # To another split than the one before.
        (entry(120, B, C, "reverted", since=100), [Epoch(10, 100, A), Epoch(110, 200, C)]),
        (entry(120, A, B, "applied", since=100), [Epoch(10, 100, A), Epoch(110, 200, B)]),
        (entry(120, A, A, "observed", since=90), [Epoch(10, 100, A), Epoch(110, 200, A)]),
    ],
)
def test_an_intent_that_never_reached_the_object_breaks_no_epoch(outcome, epochs) -> None:
    assert list(ledger_with(INTENT, outcome).epochs(200, 10)) == epochs


def test_an_intent_after_an_intent_is_no_split_that_was_held() -> None:
    given_up = entry(120, C, A, "reverted", since=100)
    known = ledger_with(INTENT, entry(110, B, A, "intent"), given_up)
    assert known.epochs(200, 10) == (Epoch(10, 100, A), Epoch(120, 200, A))


def test_an_intent_that_led_to_the_same_split_was_not_held() -> None:
    given_up = entry(120, C, B, "reverted", since=100)
    known = ledger_with(INTENT, entry(110, B, C, "intent"), given_up)
    assert known.epochs(200, 10) == (Epoch(10, 100, A), Epoch(120, 200, B))


def test_what_was_done_is_not_given_up() -> None:
    known = ledger_with(entry(100, A, B, "applied"), entry(120, B, A, "reverted", since=100))
    assert known.epochs(200, 10) == (Epoch(10, 100, A), Epoch(110, 200, A))


def test_a_shift_of_what_was_found_means_nothing_by_metric(make_experiment) -> None:
    found = Ledger("{}").with_entry(entry(0, None, A, "observed"))
    assert found.without_plan
    assert found.meaning_of(make_experiment()) == {}


def test_nothing_given_up_is_the_first_entry() -> None:
    given_up = entry(5, B, A, "reverted", since=0)
    known = Ledger("{}").with_entry(entry(0, None, A, "intent")).with_entry(given_up)
    assert known.epochs(100, 10) == (Epoch(10, 100, A),)


def test_only_what_follows_the_last_amendment_counts_and_each_is_kept() -> None:
    first, second = (entry(at, A, A, "amended", parts=("metrics",)) for at in (50, 80))
    known = ledger_with(first, second)
    assert known.amended_at == 80
    assert known.amendments == (first, second)
    assert known.epochs(200, 10) == (Epoch(80, 200, A),)
    assert ledger_with(INTENT).amendments == ()


@pytest.mark.parametrize(("behind", "at"), [(4.0, 100.0), (5.0, 100.0), (5.5, 94.5), (60.0, 40.0)])
def test_clocks_that_differ_by_five_seconds_are_one(behind: float, at: float) -> None:
    written = ledger_with(INTENT, entry(100 - behind, A, B, "applied", since=99.0)).entries[-1]
    assert (written.at, written.since) == (at, 99.0)
