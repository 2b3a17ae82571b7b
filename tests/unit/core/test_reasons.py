"""Codes are a closed set: what is constructed is documented, and what is documented constructed."""

import ast
import doctest
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from abctl.core import reasons
from abctl.core.reasons import WORDS, Reason

ROOT = Path(__file__).parents[3]
# Where a code stands among the arguments of what makes a reason.
MAKERS = {"Reason": 0, "Remark": 0, "ok": 1, "warning": 1, "error": 1, "found": 1, "told": 1}


def constructed(path: Path) -> Iterator[str]:
    """The codes that a module names where it makes a reason, or chooses which one it makes."""
    tree = ast.parse(path.read_text())
    values = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    named = {each for each in values if isinstance(each, str)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            place = MAKERS.get(node.func.id, len(node.args))
            if place < len(node.args):
                yield from texts(node.args[place], named)


def texts(code: ast.expr, named: set[str]) -> Iterator[str]:
    """A code, or either of two; of one that is chosen elsewhere, all that the module names."""
    match code:
        case ast.IfExp():
            yield from (*texts(code.body, named), *texts(code.orelse, named))
        case ast.Constant():
            yield str(code.value)
        case ast.JoinedStr(values=[ast.FormattedValue(), ast.Constant(value=end)]):
            yield from {each + str(end) for each in named} & set(WORDS)
        case _:
            yield from named & set(WORDS)


@pytest.mark.slow
def test_every_code_that_is_constructed_is_known_and_every_known_one_constructed() -> None:
    rooms = (
        "core",
        "stats",
        "forms",
        "metrics",
        "spec",
        "evidence",
        "tables",
        "analysis",
        "doctor",
    )
    paths = [path for room in rooms for path in (ROOT / "abctl" / room).rglob("*.py")]
    assert {code for path in paths for code in constructed(path)} == set(WORDS)


@pytest.mark.parametrize(
    ("code", "facts", "said"),
    [
        ("noSuchThing", {}, "must be one of"),
        ("noShare", {}, "facts of noShare: none, must be variant"),
        ("noShare", {"variant": "a", "more": 1}, "facts of noShare: more, variant, must be"),
        ("labelsKept", {"variant": "a"}, "must be none"),
    ],
)
def test_a_code_has_its_facts_and_no_others(code: str, facts: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Reason(code, facts)


def test_reasons_are_equal_by_code_and_facts() -> None:
    one, other = (Reason("noShare", {"variant": name}) for name in "ab")
    assert one == Reason("noShare", {"variant": "a"})
    assert one != other
    assert len({one, other, Reason("noShare", {"variant": "a"})}) == 2


def test_what_is_infinite_is_null_for_machines() -> None:
    facts = {"kept_seconds": float("inf"), "max_duration_seconds": np.float64(60.0)}
    found = Reason("retentionEnough", facts).document()["facts"]
    assert found == {"keptSeconds": None, "maxDurationSeconds": 60.0}
    assert type(found["maxDurationSeconds"]) is float


def test_the_example_in_the_docstring() -> None:
    found = doctest.testmod(reasons)
    assert found.failed == 0
    assert found.attempted > 0
