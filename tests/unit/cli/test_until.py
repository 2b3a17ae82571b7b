"""`abctl status --until` ends when it is reached, or in time; `kubectl abctl` is completed."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from abctl.cli._kubectl import candidates
from abctl.cli.main import run
from abctl.core.ledger import Epoch
from abctl.core.split import Split
from abctl.errors import UnreachableError
from abctl.session.status import Status

NAMES = ("control", "treatment")
HALF, ALL, NONE = (Split(NAMES, (10_000 - bp, bp)) for bp in (5_000, 10_000, 0))
WAIT = ["status", "iris.yaml", "--state", "state", "-o", "json", "--until"]
Looks = Callable[..., None]


def found(split: Split, programmed: Split | None = None) -> Status:
    taken = programmed or split
    return Status(split, split, taken, None, None, False, None, (Epoch(0.0, 60.0, HALF),), ())


@pytest.fixture
def looks(start_experiment: Any, monkeypatch: pytest.MonkeyPatch) -> Looks:
    """Says what is seen, look by look; the clock goes on by each wait."""
    metric = "name: accuracy, kind: proportion, of: accuracy, role: primary"
    start_experiment(f"  metrics: [{{{metric}, direction: increase, mde: 5pp}}]\n", 0.0)
    clock = [0.0]

    def wait(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr(time, "sleep", wait)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def show(*seen: Status | Exception) -> None:
        rest = list(seen)

        def look() -> Status:
            one = rest.pop(0) if len(rest) > 1 else rest[0]
            if isinstance(one, Exception):
                raise one
            return one

        monkeypatch.setattr("abctl.session.status.StatusReader", lambda _: look)

    return show


def test_it_waits_for_the_split_that_is_wanted(
    looks: Looks, capsys: pytest.CaptureFixture[str]
) -> None:
    away = UnreachableError("nobody answers", "wait")
    looks(found(ALL, HALF), away, found(ALL, HALF), found(ALL))
    assert run([*WAIT, "in-effect"]) == 0
    out, err = capsys.readouterr()
    answers = out.replace("}\n{", "}\0{").split("\0")
    assert [json.loads(each)["programmed"]["treatment"] for each in answers] == [0.5, 1.0]
    assert "nobody answers; looking again" in err


def test_it_ends_by_what_the_experiment_ended_with(looks: Looks) -> None:
    looks(found(HALF), found(ALL))
    assert run([*WAIT, "completed"]) == 0
    looks(found(HALF), found(NONE))
    assert run([*WAIT, "completed", "--timeout", "2h"]) == 11


def test_it_ends_in_time(looks: Looks, capsys: pytest.CaptureFixture[str]) -> None:
    looks(found(HALF))
    assert run([*WAIT, "completed", "--timeout", "1m"]) == 5
    err = capsys.readouterr().err
    assert "error: not completed after 1m: control 50%, treatment 50%\nhint: " in err
    looks(found(HALF), UnreachableError("nobody answers", "wait"))
    assert run([*WAIT, "completed", "--timeout", "10"]) == 5


@pytest.mark.parametrize("words", [["--timeout", "1m"], ["--until", "completed", "--watch"]])
def test_options_that_say_nothing_are_refused(looks: Looks, words: list[str]) -> None:
    looks(found(HALF))
    assert run([*WAIT[:6], *words]) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stat"], "status\tSay which split"),
        (["status", "--unti"], "--until\tWait until"),
        (["status", "--until", "comp"], "completed\n:4\n"),
        (["status", "iris.yaml", "--until", ""], "in-effect\ncompleted\n:4\n"),
        (["status", ""], ":0\n"),
        (["status", 'it\'s "a" name', "--state", ""], ":0\n"),
        ([], "init\tWrite"),
    ],
)
def test_kubectl_gets_candidates(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "_ABCTL_COMPLETE",
        "_TYPER_COMPLETE_ARGS",
        "_TYPER_COMPLETE_FISH_ACTION",
        "COLUMNS",
    ):
        monkeypatch.setenv(name, "")
    text = candidates(words)
    assert text.startswith(said)
    assert text.splitlines()[-1] in (":0", ":4")
    assert all("\t" not in line or len(line.split("\t")) == 2 for line in text.splitlines())
