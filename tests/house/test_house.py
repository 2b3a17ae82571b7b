"""The house keeps its own rules: sizes, names, floors."""

import ast
import re
import statistics
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHIPPED = sorted([*ROOT.glob("abctl/**/*.py"), *ROOT.glob("model_servers/**/*.py")])
SHIPPED = [path for path in SHIPPED if "build" not in path.parts]


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_no_file_is_longer_than_a_reader_holds() -> None:
    assert not [f"{path}: {lines(path)} lines" for path in SHIPPED if lines(path) > 350]


def test_the_median_file_is_short() -> None:
    assert statistics.median(map(lines, (p for p in SHIPPED if p.name != "__init__.py"))) <= 130


def test_no_room_is_called_by_a_name_that_says_nothing() -> None:
    empty = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
    assert not [p for p in SHIPPED if p.stem.strip("_") in empty]


def test_every_module_says_what_it_is() -> None:
    assert not [p for p in SHIPPED if not ast.get_docstring(ast.parse(p.read_text()))]


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Of a function, those too that can only be named; not the object of a method."""
    given = [each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return [name for name in given if name not in ("self", "cls")]


def test_no_function_takes_more_than_a_reader_holds() -> None:
    """What goes together is one value: a session, a group of options, a plan."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    assert not [
        f"{path}: {node.name} takes {len(parameters(node))}"
        for path in SHIPPED
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, functions) and len(parameters(node)) > 8
    ]


def fixed_waits(node: ast.AST, looping: bool = False) -> list[int]:
    """The lines that sleep for some time, and not between two looks."""
    looping = looping or isinstance(node, ast.While)
    below = [line for each in ast.iter_child_nodes(node) for line in fixed_waits(each, looping)]
    sleeps = isinstance(node, ast.Call) and ast.unparse(node.func).endswith("sleep")
    if sleeps and not looping and isinstance(node.args[0], ast.Constant):
        below.append(node.lineno)
    return below


def test_no_test_waits_for_a_time_instead_of_what_it_needs() -> None:
    found = {path: fixed_waits(ast.parse(path.read_text())) for path in ROOT.glob("tests/**/*.py")}
    assert not {path: lines for path, lines in found.items() if lines}


def test_profiles_decide_on_how_many_examples_a_law_is_tried() -> None:
    """What a test says itself goes before the profile: it says it by `law` of tests/evidence."""
    allowed = {ROOT / "tests/conftest.py", ROOT / "tests/evidence/laws.py", Path(__file__)}
    others = set(ROOT.glob("tests/**/*.py")) - allowed
    assert not {p for p in others if re.search("max_examples=|derandomize=", p.read_text())}
