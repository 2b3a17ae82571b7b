"""Notebooks and pages with examples say what comes out; no kernel is needed.

Run with `ABCTL_GOLDEN=write` to write the outputs of the notebooks anew.
"""

import ast
import contextlib
import doctest
import io
import json
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(ROOT.glob("docs/*.ipynb"))
PAGES = [path for path in sorted(ROOT.glob("docs/*.md")) if "\n>>> " in path.read_text()]


def run(source: str, names: dict) -> str:
    """What a cell prints, and what its last expression is."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "cell", "exec"), names)
        if last is not None:
            found = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
            if found is not None:
                printed.write(f"{found!r}\n")
    return printed.getvalue()


def kept(cell: dict) -> str:
    return "".join("".join(each["text"]) for each in cell["outputs"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_says_what_its_cells_print(path: Path) -> None:
    book, names = json.loads(path.read_text()), {"__name__": "__main__"}
    cells = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert cells
    printed = [run("".join(cell["source"]), names) for cell in cells]
    if os.environ.get("ABCTL_GOLDEN") == "write":
        for cell, text in zip(cells, printed, strict=True):
            stream = {"name": "stdout", "output_type": "stream", "text": text.splitlines(True)}
            cell["outputs"] = [stream] if text else []
        path.write_text(json.dumps(book, indent=1, ensure_ascii=False) + "\n")
    assert [
        kept(cell) for cell in json.loads(path.read_text())["cells"] if cell in cells
    ] == printed


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_says_what_its_examples_print(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = doctest.testfile(str(path), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert found.attempted
    assert found.failed == 0
