"""No error without a hint: whoever is told what is wrong is told what to do."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from abctl import errors
from abctl.core.reasons import HINTS, WORDS
from abctl.platforms import Misfit
from abctl.spec.shape import Problem

ROOT = Path(__file__).parents[2]
KINDS = {
    name: kind
    for name, kind in vars(errors).items()
    if inspect.isclass(kind) and issubclass(kind, errors.AbctlError)
}
# mypy proves that whoever makes one of these gives a hint.
TOLD = [*KINDS.values(), Problem, Misfit]


@pytest.mark.parametrize("kind", TOLD, ids=lambda kind: kind.__name__)
def test_none_can_be_made_without_a_hint(kind: type) -> None:
    assert inspect.signature(kind).parameters["hint"].default is inspect.Parameter.empty


def hints(path: Path) -> Iterator[ast.expr]:
    """What stands where a hint is given, and what is called so below the command line."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[_, given, *_]) if name in KINDS:
                yield given
            case ast.keyword(arg="hint", value=given):
                yield given
            case ast.Assign(targets=[ast.Name(id="hint")], value=given) if "cli" not in path.parts:
                yield given


def test_no_hint_is_empty() -> None:
    assert not [
        f"{path}:{given.lineno}"
        for path in (ROOT / "abctl").rglob("*.py")
        for given in hints(path)
        if any(isinstance(n, ast.Constant) and n.value == "" for n in ast.walk(given))
    ]


def checks(path: Path) -> Iterator[str]:
    """The codes of what the doctor says is wrong."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(
                func=ast.Name(id="error" | "warning" | "found"),
                args=[_, ast.Constant(value=code), *_],
            ):
                yield code


def test_whatever_the_doctor_says_is_wrong_has_a_hint() -> None:
    codes = {code for path in (ROOT / "abctl" / "doctor").glob("*.py") for code in checks(path)}
    assert len(codes) > 25
    assert not codes - HINTS.keys()
    assert not HINTS.keys() - WORDS.keys()
