"""What docs/models.md shows works as it stands there: notebooks, commands, a verdict."""

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process
PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
SECTIONS = dict(pairwise(re.split(r"^## (.+)$", PAGE, flags=re.MULTILINE)[1:]))
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
EXAMPLES = [title for title, text in SECTIONS.items() if BLOCK.search(text)]
# Long enough for some requests after the time that is left out at the start.
DURATION = "20s"
SECONDS = 600.0
Run = Callable[[str], str]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    scripts = sysconfig.get_path("scripts")
    own = {"PATH": f"{scripts}:{os.environ['PATH']}", "ABCTL_SIMULATE_DURATION": DURATION}

    def run(command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env={**os.environ, **own},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    yield run
    for each in tmp_path.glob("*.yaml"):
        subprocess.run([f"{scripts}/abctl", "local", "down", each], cwd=tmp_path, check=False)


def notebook(code: str, folder: Path) -> None:
    """A cell: the content of a file if it begins with its name, else it runs."""
    if name := re.match(r"# (\S+/\S+\.py)\n", code):
        path = folder / name[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
        return
    done = subprocess.run(
        [sys.executable, "-W", "error::SyntaxWarning", "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("title", EXAMPLES)
def test_from_a_notebook_to_a_verdict(title: str, tmp_path: Path, run: Run) -> None:
    for kind, code in BLOCK.findall(SECTIONS[title]):
        if kind == "python":
            notebook(code, tmp_path)
            continue
        for line in code.splitlines():
            command = line.removeprefix("$ ")
            said = run(command)
            if command.startswith("abctl analyze"):
                check(json.loads(run(f"{command} -o json")), said)


def check(analysis: dict[str, Any], said: str) -> None:
    """Both variants were asked, answered without an error, and had feedback."""
    assert analysis["verdict"]["kind"] in ("continue", "stop"), said
    assert [each["name"] for each in analysis["variants"]] == ["control", "treatment"]
    for each in analysis["variants"]:
        assert each["requests"] > 0, said
        assert each["errorRatio"] == 0, said
        outcome = {*each["values"]} - {"errors", "latency"}
        assert all(each["values"][name] > 0 for name in outcome), said
        assert len(outcome) == 1


def test_the_page_has_every_kind() -> None:
    assert len(EXAMPLES) == 5
    for title in EXAMPLES:
        lines = [
            line
            for kind, code in BLOCK.findall(SECTIONS[title])
            for line in code.splitlines()
            if kind == "console"
        ]
        assert [line.split()[2] for line in lines if line.startswith("$ abctl")] == [
            "init",
            "local",
            "simulate",
            "analyze",
            "local",
        ]
