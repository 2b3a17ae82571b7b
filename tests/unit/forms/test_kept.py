"""What a newer abctl has added to a form is there after an older one has read and written it."""

import gzip
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abctl import forms
from abctl.core.ledger import Entry
from abctl.evidence import saved
from abctl.forms.ledger import ledger_of, new_object, with_ledger
from abctl.forms.plan import as_locked
from abctl.local import stack
from abctl.sources import file
from abctl.spec import load

FORMS = Path(__file__).parents[2] / "golden/forms_2026_11"
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
# No name of today's.
names = st.text(max_size=5).map(lambda text: f"new {text}")
Additions = list[tuple[int, str, Any]]
additions = st.lists(st.tuples(st.integers(0, 2**16), names, plain), min_size=1, max_size=6)
one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def mappings(document: Any, free: tuple[str, ...]) -> list[dict[str, Any]]:
    """Every mapping whose keys are fields; not those of `free` fields, which users name."""
    found: list[dict[str, Any]] = []
    if isinstance(document, dict):
        found.append(document)
        for key, value in document.items():
            if key not in free:
                found += mappings(value, free)
    elif isinstance(document, list):
        for each in document:
            found += mappings(each, free)
    return found


def add(document: Any, added: Additions, *free: str) -> None:
    there = mappings(document, free)
    for place, name, value in added:
        there[place % len(there)].setdefault(name, value)


@pytest.fixture
def started() -> dict[str, Any]:
    experiment = load(FORMS / "iris.yaml")
    first = Entry(1.8e9, "ann", None, experiment.split, "because", "intent")
    obj = new_object(experiment, first, {"accuracy": {"test": "ratio_sequence"}})
    return dict(with_ledger(obj, ledger_of(obj).with_entry(replace(first, phase="applied"))))


@one_folder
@given(additions)
def test_in_a_ledger(started: dict[str, Any], added: Additions) -> None:
    lines = [json.loads(line) for line in started["data"]["ledger.jsonl"].splitlines()]
    for line in lines:
        del line["chain"]  # of another abctl, which has none or another
    add(lines, added, "from", "to")
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    newer = {**started, "data": {**started["data"], "ledger.jsonl": text, "more": "kept"}}
    known = ledger_of(newer)
    again = with_ledger(newer, known.with_entry(replace(known.entries[-1], why="once more")))
    assert again["data"]["ledger.jsonl"].startswith(text)
    assert len(ledger_of(again).entries) == len(lines) + 1
    assert {**again["data"], "ledger.jsonl": text} == newer["data"]


@one_folder
@given(additions)
def test_in_a_plan(started: dict[str, Any], added: Additions) -> None:
    experiment = load(FORMS / "iris.yaml")
    plan = json.loads(started["data"]["plan.json"])
    add(plan, added, "spec", "selectors", "meaning")
    text = json.dumps(plan)
    whole = hashlib.sha256(text.encode()).hexdigest()
    newer = {**started, "data": {**started["data"], "plan.json": text, "plan.sha256": whole}}
    known = ledger_of(newer)
    assert known.changed_since(experiment) == ()
    assert as_locked(known, experiment) == experiment
    assert with_ledger(newer, known) == newer


@one_folder
@given(additions)
def test_in_the_state_of_a_stack(tmp_path: Path, added: Additions) -> None:
    document = json.loads((FORMS / "stack_state.json").read_text())
    add(document, added)
    path = tmp_path / stack.STATE_FILE
    path.write_text(json.dumps(document))
    stack.write(replace(stack.read(tmp_path), state_dir=tmp_path))
    again = json.loads(path.read_text())
    for process in document["processes"]:
        process["status"] = "dead"  # of a machine that is long gone
    assert {**again, **document, "state_dir": str(tmp_path)} == again


@one_folder
@given(additions)
def test_in_saved_evidence(tmp_path: Path, added: Additions) -> None:
    document = json.loads(gzip.decompress((FORMS / "saved_evidence.json.gz").read_bytes()))
    del document["sha256"]
    arrays = document.pop("arrays")
    of_users = ("found", "named", "outcome", "remarks", "names", "selectors", "labels")
    add(document, added, *of_users, "writtenBy")
    # A new field may name an array that no other does.
    document["evidence"]["samples"]["new series"] = len(arrays)
    document["arrays"] = [*arrays, {"$float64": [7.5]}]
    path, again = tmp_path / "newer.json.gz", tmp_path / "again.json.gz"
    head = json.dumps(document)[:-1].encode() + b",\n"
    digest = file._digest(head + file._DIGEST).encode()
    path.write_bytes(gzip.compress(head + file._DIGEST + digest + b'"}', 1))
    saved.save(again, saved.load(path))
    found = json.loads(gzip.decompress(again.read_bytes()))
    assert {**found, **document, "writtenBy": found["writtenBy"]} == found


@given(plain, plain)
def test_what_is_unknown_is_put_back_where_it_was(document: Any, known: Any) -> None:
    kept = forms.unknown(document, known)
    written = forms.with_unknown(json.loads(json.dumps(known)), kept)
    assert forms.unknown(document, written) == {}
    assert forms.unknown(known, written) == {}


def test_what_was_of_something_that_is_gone_goes_with_it() -> None:
    kept = {("list", 1, "new"): 1, ("gone", "new"): 2, ("new",): 3}
    assert forms.with_unknown({"list": [{}]}, kept) == {"list": [{}], "new": 3}
