"""Commands are shown as abctl was called, and the help has every exit code."""

import re
import sys
from pathlib import Path

import pytest

from abctl import errors
from abctl.cli.main import run
from abctl.errors import EXIT_CODES

ROOT = Path(__file__).parents[3]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One that lies in a folder below this one, which the PATH does not name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    path = tmp_path / "venv/bin/abctl"
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("on_path", [True, False])
@pytest.mark.parametrize("absolute", [True, False])
def test_a_command_that_is_shown_can_be_copied(
    program: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    on_path: bool,
    absolute: bool,
) -> None:
    monkeypatch.setattr(sys, "argv", [str(program) if absolute else "venv/bin/abctl"])
    if on_path:
        monkeypatch.setenv("PATH", str(program.parent))
    shown = "abctl" if on_path else "venv/bin/abctl"
    assert run(["init", "iris.yaml"]) == 0
    assert f"then {shown} lint iris.yaml" in capsys.readouterr().err
    assert run(["status", "iris.yaml"]) == 5
    assert f"{shown} local up" in capsys.readouterr().err


def test_what_is_no_command_keeps_its_name(
    program: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(program)])
    Path("evidence.json").write_text("{")
    assert run(["analyze", "--from", "evidence.json"]) == 6
    assert run(["nothing"]) == 2
    assert "venv/bin/abctl" not in capsys.readouterr().err.replace("venv/bin/abctl analyze", "")


@pytest.mark.parametrize("words", [["--help"], ["analyze", "--help"]])
def test_the_help_has_every_exit_code(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 0
    [line] = re.findall(r"Exit codes:(.*)", " ".join(capsys.readouterr().out.split()))
    known = {e.exit_code for e in vars(errors).values() if isinstance(e, type)} | {0, 3}
    assert set(map(int, re.findall(r"\d+", line))) == known | set(EXIT_CODES.values())
    documented = re.findall(r"^\| (\d+) \|", (ROOT / "docs/cli.md").read_text(), re.MULTILINE)
    assert set(map(int, documented)) == known | set(EXIT_CODES.values())
