"""Other Pythons test the core without the model servers' packages: no test of theirs needs them."""

import ast
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNTIME = re.compile(r"(ab_runtime|mlserver\w*|fastapi|grpc)(\.|$)")


def core() -> list[Path]:
    """The tests that `.ci/pythons` runs, by its own list."""
    listed = runpy.run_path(str(ROOT / ".ci/pythons"))["CORE"]
    rooms = [ROOT / each for each in listed if not each.startswith("--")]
    out = [ROOT / each.removeprefix("--ignore=") for each in listed if each.startswith("--")]
    found = [path for room in rooms for path in room.rglob("*.py")]
    return [path for path in found if not any(path.is_relative_to(each) for each in out)]


def imported(path: Path) -> set[str]:
    """What comes in as the file itself does: not what a function asks for when it is called."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        for node in ast.iter_child_nodes(waiting.pop()):
            if isinstance(node, ast.Import):
                found |= {each.name for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
            elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                waiting.append(node)
    return found


def reached(path: Path, aids: dict[str, Path]) -> set[str]:
    """All names that come in with a file, by way of what stands on pytest's path too."""
    found: set[str] = set()
    waiting = [path]
    while waiting:
        new = imported(waiting.pop()) - found
        found |= new
        waiting += [aids[name] for name in new if name in aids]
    return found


def test_the_cores_tests_need_no_package_of_the_model_servers(
    pytestconfig: pytest.Config,
) -> None:
    rooms = [ROOT / each for each in pytestconfig.getini("pythonpath")]
    aids = {path.stem: path for room in rooms for path in room.glob("*.py")}
    files = core()
    assert len(files) > 100
    wanting = {
        str(path.relative_to(ROOT)): names
        for path in files
        if (names := sorted(filter(RUNTIME.match, reached(path, aids))))
    }
    assert wanting == {}
