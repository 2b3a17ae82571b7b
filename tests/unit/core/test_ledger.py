"""The ledger and its epochs."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abctl.core import ledger
from abctl.core.ledger import Entry, Epoch, Ledger
from abctl.core.split import Split
from abctl.errors import ClusterError
from abctl.forms.ledger import ledger_of, new_object, with_ledger

NAMES = ("control", "treatment")


def split(treatment_bp):
    return Split(NAMES, (10_000 - treatment_bp, treatment_bp))


A, B, C = split(1000), split(3000), split(5000)


def entry(at, before, after, phase, *, actor="ann"):
    return Entry(at, actor, before, after, "because", phase)


def ledger_with(*entries):
    found = Ledger("{}")
    for each in entries:
        found = found.with_entry(each)
    return found


STARTED = (entry(0, None, A, "intent"), entry(2, None, A, "applied"))
SPLITS = st.integers(0, 10_000).map(split)
ENTRIES = st.builds(
    Entry,
    at=st.floats(0, 4e9).map(lambda at: round(at, 3)),
    actor=st.text(max_size=9),
    before=st.none() | SPLITS,
    after=SPLITS,
    why=st.text(max_size=9),
    phase=st.sampled_from(["intent", "applied", "reverted", "observed"]),
)


@given(st.lists(ENTRIES, min_size=1, max_size=8))
def test_what_is_written_is_read(entries):
    written = ledger_with(*entries)
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "abctl-iris"}}
    read = ledger_of(json.loads(json.dumps(with_ledger(obj, written))))
    assert read == written
    assert "data" not in obj


@given(st.lists(ENTRIES, min_size=1, max_size=8), st.floats(0, 4e9), st.floats(0, 1e6))
def test_epochs_never_overlap_nor_hold_unsettled_or_unknown_time(entries, end, settle):
    known = ledger_with(*entries)
    found = known.epochs(end, settle)
    assert all(epoch.start < epoch.end <= max(end, known.entries[-1].at) for epoch in found)
    assert all(one.end <= two.start for one, two in pairwise(found))
    for one, two in pairwise(known._dated):
        assert one.at <= two.at
        unknown = (one.at, two.at) if one.phase == "intent" else (one.at, one.at + settle)
        for epoch in found:
            assert epoch.end <= unknown[0] or epoch.start >= min(unknown[1], two.at)


def test_a_shift_ends_one_epoch_at_its_intent_and_opens_the_next_when_settled():
    known = ledger_with(*STARTED, entry(100, A, B, "intent"), entry(103, A, B, "applied"))
    assert known.epochs(200, 10) == (Epoch(12, 100, A), Epoch(113, 200, B))
    assert (known.desired, known.intent, known.expected) == (B, None, (B,))


def test_an_open_intent_means_that_nobody_knows():
    known = ledger_with(*STARTED, entry(100, A, B, "intent"))
    assert known.epochs(200, 10) == (Epoch(12, 100, A),)
    assert known.intent == entry(100, A, B, "intent")
    assert (known.desired, known.wanted, known.expected) == (A, B, (A, B))


def test_a_reverted_intent_opens_a_new_epoch_of_the_old_split():
    known = ledger_with(*STARTED, entry(100, A, B, "intent"), entry(120, B, A, "reverted"))
    assert known.epochs(200, 10) == (Epoch(12, 100, A), Epoch(130, 200, A))


def test_an_intent_may_take_the_place_of_another():
    known = ledger_with(
        *STARTED,
        entry(100, A, B, "intent"),
        entry(110, B, C, "intent"),
        entry(111, B, C, "applied"),
    )
    assert known.epochs(200, 10) == (Epoch(12, 100, A), Epoch(121, 200, C))


def test_a_change_behind_the_back_is_an_epoch_of_its_own_and_casts_doubt_on_the_one_before():
    known = ledger_with(*STARTED, entry(100, A, C, "observed", actor="unknown"))
    assert known.epochs(200, 10) == (Epoch(12, 100, A, certain=False), Epoch(110, 200, C))


def test_a_clock_that_was_far_ahead_is_told_by_the_next_entry():
    ahead = (entry(3700, A, B, "intent"), entry(3702, A, B, "applied"))
    later = (entry(300, B, C, "intent"), entry(303, B, C, "applied"))
    known = ledger_with(*STARTED, *ahead, *later)
    assert [each.at for each in known.entries] == [0, 2, 3700, 3702, 300, 303]
    assert known.epochs(900, 10) == (Epoch(12, 300, A, certain=False), Epoch(313, 900, C))
    assert (known.began, known.counts_from(10)) == (0, 313)


def test_a_clock_that_is_a_little_behind_makes_no_entry_earlier():
    known = ledger_with(*STARTED, entry(100, A, B, "intent"), entry(97, A, B, "applied"))
    assert known.epochs(200, 10) == (Epoch(12, 100, A), Epoch(110, 200, B))


def test_a_period_that_never_settles_is_no_epoch():
    known = ledger_with(*STARTED, entry(11, A, B, "intent"), entry(12, A, B, "applied"))
    assert known.epochs(20, 10) == ()


def test_before_the_first_entry_nothing_is_in_effect():
    known = Ledger("{}")
    assert (known.intent, known.desired, known.expected) == (None, None, (None,))
    assert (known.counts_from(10), known.without_plan) == (None, False)


@pytest.mark.parametrize(
    ("entries", "counts_from", "since"),
    [
        (STARTED[:1], None, 0),
        (STARTED, 12, 0),
        ((*STARTED, entry(100, A, B, "intent")), None, 100),
        ((*STARTED, entry(100, A, B, "intent"), entry(103, A, B, "applied")), 113, 100),
        ((*STARTED, entry(100, A, C, "observed")), 110, 100),
        ((*STARTED, entry(100, A, C, "observed"), entry(200, A, C, "observed")), 210, 200),
        ((*STARTED, entry(100, A, B, "intent"), entry(200, A, C, "intent")), None, 100),
    ],
)
def test_a_change_began_with_its_intent_and_requests_count_when_it_is_settled(
    entries, counts_from, since
):
    known = ledger_with(*entries)
    assert (known.counts_from(10), known.changing_since) == (counts_from, since)


@pytest.mark.parametrize("phase", ["observed", "intent"])
@pytest.mark.parametrize("form", ['{"resolved": {"metrics": %s}}', '{"metrics": %s}'])
def test_only_a_shift_of_what_was_found_locks_no_plan(make_experiment, phase, form):
    found, shifted = entry(0, None, A, phase), entry(9, A, B, "applied")
    bare, planned = (
        Ledger(form % metrics).with_entry(found).with_entry(shifted) for metrics in ("[]", "[1]")
    )
    assert (bare.without_plan, planned.without_plan) == (phase == "observed", False)
    if bare.without_plan:
        assert bare.changed_since(make_experiment()) == ()


def test_clocks_that_differ_do_not_turn_time_back():
    known = ledger_with(*STARTED, entry(1, A, B, "intent"))
    assert known.intent.at == 2
    assert ledger_with(entry(2.34567, None, A, "intent")).entries[0].at == 2.346


def test_the_plan_is_locked_but_the_split_and_the_source_are_not(make_experiment):
    experiment = make_experiment()
    obj = new_object(experiment, STARTED[0])
    known = ledger_of(obj)
    assert obj["metadata"]["labels"] == {"abctl.dev/experiment": "iris"}
    assert known.changed_since(replace(experiment, split=B, source=None)) == ()
    salted = replace(experiment, assignment=replace(experiment.assignment, salt="another"))
    assert known.changed_since(salted) == ("assignment",)


def damaged(obj, key, text):
    return {**obj, "data": {**obj["data"], key: text}}


def test_damage_is_reported_with_its_place(make_experiment):
    obj = new_object(make_experiment(), STARTED[0])
    line = obj["data"]["ledger.jsonl"]
    for text in ("nonsense\n", line.replace("intent", "dream"), line.replace('"at"', '"when"')):
        with pytest.raises(ClusterError, match=r"configmap/abctl-iris: ledger.jsonl line 2"):
            ledger_of(damaged(obj, "ledger.jsonl", line + text))
    with pytest.raises(ClusterError, match="altered"):
        ledger_of(damaged(obj, "plan.json", obj["data"]["plan.json"].replace("salt-1", "salt-2")))
    for others in ({}, {"colour": "blue"}):
        with pytest.raises(ClusterError, match=r"configmap/abctl-iris is no ledger"):
            ledger_of({**obj, "data": others})


def test_the_file_format_stays(make_experiment):
    obj = new_object(make_experiment(), entry(1_800_000_000.1234, None, A, "intent"))
    assert obj["data"]["ledger.jsonl"] == (
        '{"at": "2027-01-15T08:00:00.123Z", "actor": "ann", "from": null, '
        '"to": {"control": 9000, "treatment": 1000}, "why": "because", "phase": "intent", '
        '"chain": "d9b0a59589a05f6d"}\n'
    )
    assert ledger.ledger_ref(make_experiment()).name == "abctl-iris"


@pytest.mark.parametrize(("text", "words"), [("", "is empty"), ("[" * 100_000, "is damaged")])
def test_a_ledger_without_entries_is_none(make_experiment, text, words):
    obj = damaged(new_object(make_experiment(), STARTED[0]), "ledger.jsonl", text)
    with pytest.raises(ClusterError, match=words):
        ledger_of(obj)
