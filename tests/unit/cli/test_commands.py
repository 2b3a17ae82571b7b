"""The list of commands and the commands themselves agree."""

from pathlib import Path

import pytest

import abctl.cli
from abctl.cli._commands import COMMANDS
from abctl.cli.main import run

FILES = {p.stem for p in Path(abctl.cli.__file__).parent.glob("[a-z]*.py")} - {"main"}


def test_every_module_is_a_command_and_the_other_way_round() -> None:
    assert set(COMMANDS) == FILES


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert f"{name} [OPTIONS]" in capsys.readouterr().out


def test_the_help_lists_every_command_with_its_whole_summary(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert all(f"{name} {summary}" in shown for name, summary in COMMANDS.items())


def test_an_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["shfit"]) == 2
    assert capsys.readouterr().err == "error: no command 'shfit'\nhint: did you mean abctl shift?\n"
    assert run(["quux"]) == 2
    assert capsys.readouterr().err.endswith("hint: abctl --help\n")


@pytest.mark.parametrize("words", [[], ["local"]])
def test_without_a_command_there_is_the_help(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    said = capsys.readouterr()
    assert said.err.startswith("Usage: ")
    assert "error:" not in said.err
    assert not said.out


def test_a_wrong_option_points_to_the_help_of_its_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in (["rollback", "iris.yaml", "--dry-run"], ["rollback", "iris.yaml", "-o", "xml"]):
        assert run(words) == 2
        said = capsys.readouterr().err
        assert said.endswith("hint: abctl rollback --help\n")
        assert "Value error" not in said


@pytest.mark.parametrize(
    "words",
    [
        ["plan", "--baseline=5%", "--mde=2pp", "--alpha=0.0{}"],
        ["plan", "--baseline=5%", "--mde=2pp", "--treatments={}"],
        ["local", "up", "iris.yaml", "--port=80{}"],
        ["shift", "iris.yaml", "50/50", "--timeout={}"],
    ],
)
@pytest.mark.parametrize("odd", ["２", "1_1"])
def test_only_digits_of_ascii_are_a_number(
    words: list[str], odd: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([word.format(odd) for word in words]) == 2
    said = capsys.readouterr().err
    assert words[-1].partition("=")[0] in said
    assert odd in said


@pytest.mark.parametrize(
    "words",
    [
        ["analyze", "--events", "a.csv", "--events", "b.csv", "--variant", "model"],
        ["analyze", "--from", "a", "--from", "b"],
        ["report", "--events=a.csv", "--events=b.csv", "--variant", "model"],
        ["why", "--from", "a", "--from", "a"],
    ],
)
def test_no_file_is_left_unread_unseen(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    assert " is given twice" in capsys.readouterr().err


def test_what_may_be_given_again_may_be(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["analyze", "-v", "-v", "--events", "no.csv", "--variant", "model"]
    assert run([*words, *(["--metric", "a: mean(b)"] * 2)]) == 2
    assert "metric 'a' is given twice" in capsys.readouterr().err  # by what reads metrics
