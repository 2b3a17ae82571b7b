"""The house keeps its own rules: sizes, names, floors."""

import ast
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = sorted([*ROOT.glob("abctl/**/*.py"), *ROOT.glob("model_servers/**/*.py")])
SHIPPED = [path for path in SHIPPED if "build" not in path.parts]


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_is_longer_than_a_reader_holds(path: Path) -> None:
    assert lines(path) <= 350


def test_the_median_file_is_about_a_hundred_lines() -> None:
    assert statistics.median(map(lines, (p for p in SHIPPED if p.name != "__init__.py"))) <= 120


def test_no_room_is_called_by_a_name_that_says_nothing() -> None:
    empty = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
    assert not [p for p in SHIPPED if p.stem.strip("_") in empty]


def test_every_module_says_what_it_is() -> None:
    assert not [p for p in SHIPPED if not ast.get_docstring(ast.parse(p.read_text()))]
