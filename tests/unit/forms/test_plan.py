"""What is locked is what the user wrote: new defaults change nothing for what runs."""

import json
import re
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import pytest

from abctl.core import locked as core
from abctl.core.experiment import Design, Experiment
from abctl.core.ledger import Entry, Ledger
from abctl.errors import ClusterError
from abctl.forms.ledger import ledger_of, new_object
from abctl.forms.plan import as_locked, digest_of, first_difference, locked_plan
from abctl.spec import load, parse

FORMS = Path(__file__).parents[2] / "golden/forms_2026_11"
TEXT = (FORMS / "iris.yaml").read_text()
FILE = load(FORMS / "iris.yaml")
OLD = ledger_of(json.loads((FORMS / "ledger.json").read_text()))
NEW = Ledger(locked_plan(FILE))
BOTH = pytest.mark.parametrize("ledger", [OLD, NEW], ids=["format 1", "format 2"])


def rewritten(old: str, new: str, text: str = TEXT) -> Experiment:
    assert old in text
    return parse(text.replace(old, new, 1), "iris.yaml")


@BOTH
@pytest.mark.parametrize(
    ("old", "new", "parts", "place"),
    [
        ("mde: 2pp", "mde: 3pp", ("metrics",), "metrics.0.mde.value is 0.03, was 0.02"),
        ("salt: iris-1", "salt: iris-2", ("assignment",), "assignment.salt is iris-2, was iris-1"),
        ("version: v2", "version: v3", ("variants",), "variants.1.model.version is v3, was v2"),
        ("alpha: 0.05", "alpha: 0.01", ("design",), "design.alpha is 0.01, was 0.05"),
        ("  name: iris\n", "  name: other\n", ("name",), "name is other, was iris"),
        (
            "spec:\n",
            "spec:\n  accessLog: false\n",
            ("access_log",),
            "access_log is False, was True",
        ),
    ],
)
def test_a_file_that_was_changed_is_told_by_its_parts(
    ledger: Ledger, old: str, new: str, parts: tuple[str, ...], place: str
) -> None:
    experiment = rewritten(old, new)
    assert ledger.changed_since(experiment) == parts
    assert first_difference(ledger, experiment) == place


@BOTH
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mde: 2pp", "mde: 2.0pp"),  # the same in other words
        ("alpha: 0.05", "alpha: 5e-2"),
        ("split: 90%", "split: 90.0%"),
        ("spec:", "# a comment\nspec:"),
        ("spec:", "spec:\n  source: {file: {path: elsewhere}}"),  # is only read
    ],
)
def test_what_means_the_same_and_what_may_change_is_no_change(
    ledger: Ledger, old: str, new: str
) -> None:
    experiment = rewritten(old, new)
    assert ledger.changed_since(experiment) == ()
    assert as_locked(ledger, experiment) == experiment


def test_an_access_log_that_was_not_wanted_stays_so() -> None:
    experiment = rewritten("spec:\n", "spec:\n  accessLog: false\n")
    ledger = Ledger(locked_plan(experiment))
    assert as_locked(ledger, experiment) == experiment
    assert ledger.changed_since(FILE) == ("access_log",)


def test_the_digest_is_of_what_was_written_and_not_of_what_it_means() -> None:
    plan = json.loads(NEW.plan)
    assert plan["spec"]["metrics"][0]["mde"] == "2pp"
    assert "source" not in plan["spec"]
    assert [*plan["spec"]["variants"][0]] == ["model", "name"]
    defaulted = replace(FILE, assignment=replace(FILE.assignment, buckets=128))
    other_words = rewritten("mde: 2pp", "mde: 2.0pp")
    assert digest_of(locked_plan(defaulted)) == digest_of(NEW.plan)
    assert digest_of(locked_plan(other_words)) != digest_of(NEW.plan)
    assert digest_of(OLD.plan) == json.loads((FORMS / "ledger.json").read_text())["data"]["digest"]


def test_a_default_that_is_another_by_now_changes_nothing_for_what_runs() -> None:
    """As if `buckets` and `power` were left out, and meant something else today."""
    bare = re.sub(r"(?m)^ +(buckets|power):.*\n", "", TEXT)
    then = parse(bare, "iris.yaml")
    assert (then.assignment.buckets, then.design.power) == (64, 0.8)
    assignment, design = replace(then.assignment, buckets=256), replace(then.design, power=0.9)
    today = replace(then, assignment=assignment, design=design)
    ledger = Ledger(locked_plan(then))
    assert ledger.changed_since(today) == ()
    assert as_locked(ledger, today) == then
    assert as_locked(ledger, today).written == today.written
    # A part that is written otherwise is as it is written.
    salted = replace(rewritten("salt: iris-1", "salt: iris-2", bare), design=design)
    assert as_locked(ledger, salted).assignment.salt == "iris-2"
    assert as_locked(ledger, salted).design == then.design


@dataclass(frozen=True)
class Later(Design):
    """A design that has come to hold more."""

    tail: str = "today's"
    ends: tuple[str, ...] = field(default_factory=lambda: ("a", "b"))


@pytest.mark.parametrize(
    ("more", "parts"),
    [
        ({}, ()),
        ({"tail": "today's", "ends": ("a", "b")}, ()),
        ({"tail": "another"}, ("design",)),
        ({"ends": ("a",)}, ("design",)),
    ],
)
def test_a_plan_of_before_lacks_what_was_not_there_yet(
    more: dict[str, Any], parts: tuple[str, ...]
) -> None:
    known = {each.name: getattr(FILE.design, each.name) for each in fields(FILE.design)}
    assert OLD.changed_since(replace(FILE, design=Later(**known, **more))) == parts


def test_without_a_file_the_meaning_is_compared() -> None:
    made_up = replace(FILE, written=None, metrics=(), entrance=None)
    ledger = Ledger(locked_plan(made_up))
    assert json.loads(ledger.plan)["spec"] is None
    assert ledger.changed_since(made_up) == ()
    assert ledger.changed_since(replace(made_up, platform="nginx")) == ("platform",)
    assert as_locked(ledger, made_up) == made_up


@pytest.mark.parametrize("plan", ["{}", "[]", '{"format": 2, "resolved": 7}', '{"resolved": {}}'])
def test_a_plan_that_is_none_is_damaged(plan: str) -> None:
    with pytest.raises(ClusterError, match="the locked plan of iris is damaged"):
        as_locked(Ledger(plan), FILE)


@pytest.mark.parametrize("where", ["spec", "resolved", "meaning"])
def test_a_plan_that_was_altered_is_noticed(where: str) -> None:
    meaning = {"accuracy": {"test": "ratio_sequence"}}
    obj: Any = new_object(FILE, Entry(1.0, "ann", None, FILE.split, "", "intent"), meaning)
    plan = json.loads(obj["data"]["plan.json"])
    plan[where] = {**plan[where], "name": "another"}
    with pytest.raises(ClusterError, match="altered"):
        ledger_of({**obj, "data": {**obj["data"], "plan.json": json.dumps(plan)}})


def test_no_part_is_forgotten() -> None:
    """What a spec calls a part is what the experiment calls it."""
    parts = {each.name for each in fields(Experiment)} - core.NOT_LOCKED - {"name", "namespace"}
    of_file = {"platform", "assignment", "variants", "metrics", "outcomes"}
    of_file |= {"design", "entrance", "shadow", "access_log", "flag_file", "ramp"}
    assert parts == of_file


def test_a_part_that_is_written_as_it_was_is_the_same_whatever_it_meant() -> None:
    plan = json.loads(NEW.plan)
    plan["resolved"]["variants"][1]["model"]["service"] = "of-before"
    assert Ledger(json.dumps(plan)).changed_since(FILE) == ()
    # Without a file of today only the meaning is left.
    assert Ledger(json.dumps(plan)).changed_since(replace(FILE, written=None)) == ("variants",)


@pytest.mark.parametrize(
    ("part", "locked"),
    [("metrics", None), ("shadow", []), ("metrics", []), ("assignment", None)],
)
def test_a_part_of_another_kind_is_another_part(part: str, locked: Any) -> None:
    made_up = replace(FILE, written=None)
    plan = json.loads(locked_plan(made_up))
    plan["resolved"][part] = locked
    assert Ledger(json.dumps(plan)).changed_since(made_up) == (part,)


def test_neither_the_first_split_nor_the_source_is_locked() -> None:
    spec = {
        "source": "x",
        "split": "y",
        "platform": "envoy",
        "variants": [{"name": "a", "split": 1}],
    }
    assert core.locked_words(spec) == {"platform": "envoy", "variants": [{"name": "a"}]}
