"""`abctl simulate` says what is wrong before anything is sent."""

from pathlib import Path

import pytest

from abctl.cli.main import run


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "iris.yaml"
    assert run(["init", str(file)]) == 0
    return str(file)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--url", "http://192.0.2.1"], ["http://192.0.2.1: not on this machine", "--yes"]),
        (["--url", "192.0.2.1"], ["'192.0.2.1' is no entrance", "http://127.0.0.1:8080"]),
        (["--duration", "60"], ["'60' is not a duration", "90s"]),
        (["--requests", "0"], ["requests 0, must be over 0"]),
        (["--anonymous", "30"], ["anonymous_ratio 30, must be from 0 to 1"]),
        (["--effect", "treatment"], ["'treatment', must be VARIANT", "treatment=+0.03"]),
        (["--effect", "treatment=lots"], ["'treatment=lots', must be VARIANT"]),
        (["--effect", "treatment=nan"], ["'treatment=nan', must be VARIANT"]),
        (["--effect", "treatment/=1"], ["'treatment/=1', must be VARIANT"]),
        (
            ["--url", "http://127.0.0.1:1", "--effect", "candidate=1"],
            ["effect on 'candidate': no such variant", "variants: control, treatment"],
        ),
    ],
)
def test_bad_options_are_one_error_and_a_hint(
    path: str, options: list[str], said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run(["simulate", path, *options]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert all(words in shown.err for words in said)


def test_without_a_stack_it_says_how_to_start_one(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["simulate", path, "--state", str(tmp_path / "none")]) == 5
    assert "abctl local up" in capsys.readouterr().err
