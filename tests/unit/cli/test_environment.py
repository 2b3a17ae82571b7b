"""Whatever can be said by an option can be said by the environment too."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from abctl.cli._app import app
from abctl.cli._commands import COMMANDS
from abctl.cli.main import run

SAVED = Path(__file__).parents[2] / "golden/saved_evidence.json.gz"
SAID_ONCE = {"help", "version"}


def options(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for parameter in command.params:
        if parameter.param_type_name == "option" and parameter.name not in SAID_ONCE:
            yield words, parameter
    for name, part in getattr(command, "commands", {}).items():
        yield from options(part, (*words, name))


def test_every_option_has_a_twin() -> None:
    group: Any = typer.main.get_command(app)
    assert group.context_settings["auto_envvar_prefix"] == "ABCTL"
    found = [o for name in COMMANDS for o in options(group.get_command(None, name), (name,))]
    assert len(found) > 100
    assert not [(words, o.name) for words, o in found if not (o.envvar or o.allow_from_autoenv)]


def test_an_option_is_taken_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ABCTL_INIT_NAME", "tulips")
    monkeypatch.setenv("ABCTL_INIT_PLATFORM", "istio")
    assert run(["init", "new.yaml"]) == 0
    text = Path("new.yaml").read_text()
    assert "name: tulips" in text
    assert "platform: istio" in text
    monkeypatch.setenv("ABCTL_OUTPUT", "json")
    monkeypatch.setenv("ABCTL_VERSION", "anything")
    assert run(["platforms"]) == 0
    assert '"kind": "PlatformList"' in capsys.readouterr().out


def test_an_option_goes_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ABCTL_INIT_NAME", "tulips")
    assert run(["init", "new.yaml", "--name", "roses"]) == 0
    assert "name: roses" in Path("new.yaml").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["COLUMNS", "LINES"])
@pytest.mark.parametrize("size", ["0", "000", "²", "-1", "", "x", "9" * 30])
def test_a_size_of_the_screen_that_is_none_hides_nothing(
    name: str, size: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(name, raising=False)
    assert run(["analyze", "--from", str(SAVED)]) == 0
    usual = capsys.readouterr().out
    monkeypatch.setenv(name, size)
    assert run(["analyze", "--from", str(SAVED)]) == 0
    assert capsys.readouterr().out == usual


def test_a_library_that_finds_no_memory_is_no_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(_: list[str]) -> int:
        raise ImportError("libx.so: failed to map segment from shared object")

    monkeypatch.setattr("abctl.cli._app.call", load)
    assert run(["platforms"]) == 2
    assert capsys.readouterr().err.startswith("error: there is not enough memory for that\nhint: ")
