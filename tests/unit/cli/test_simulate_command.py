"""`abctl simulate` says what is wrong before anything is sent."""

import json
import os
import time
from pathlib import Path

import pytest

from abctl.cli.main import run
from abctl.core.ledger import Entry, Phase
from abctl.forms.ledger import new_object
from abctl.local import stack
from abctl.local.identity import Identity
from abctl.local.stack import Process, Stack
from abctl.session import local_world
from abctl.simulate import Traffic
from abctl.simulate._tally import Summary, Tally
from abctl.spec import load


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "iris.yaml"
    assert run(["init", str(file)]) == 0
    return str(file)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--url", "http://192.0.2.1"], ["http://192.0.2.1: not on this machine", "--yes"]),
        (
            ["--url", "192.0.2.1"],
            ["'192.0.2.1' is not an http(s) address", "http://127.0.0.1:8080"],
        ),
        (["--duration", "60"], ["--duration: '60' is not a duration", "90s"]),
        (["--rate", "-1"], ["--rate -1.0, must be from 0.001 to 1,000,000"]),
        (["--requests", "0"], ["--requests 0, must be from 1 to"]),
        (["--anonymous", "30"], ["--anonymous: share '30' has no unit", "write 30%"]),
        (["--users", "1000000000000"], ["--users 1000000000000, must be from 1 to 10,000,000"]),
        (["--noise", "nan"], ["--noise nan, must be from 0 to 1,000"]),
        (["--requests", "9" * 400], ["must be from 1 to 1,000,000,000"]),
        (["--duration", f"{'9' * 400}d"], ["longer than a hundred years"]),
        (["--effect", "treatment"], ["'treatment', must be VARIANT", "treatment=+3pp"]),
        (["--effect", "treatment=+0.03"], ["'treatment=+0.03', must be VARIANT", "+3pp"]),
        (["--effect", "treatment=+3%"], ["'treatment=+3%', must be VARIANT", "+3pp"]),
        (["--effect", "treatment=lots"], ["'treatment=lots', must be VARIANT"]),
        (["--effect", "treatment=nan"], ["'treatment=nan', must be VARIANT"]),
        (["--effect", "treatment/=1pp"], ["'treatment/=1pp', must be VARIANT"]),
        (
            ["--url", "http://127.0.0.1:1", "--effect", "candidate=1pp"],
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


def test_it_never_sends_the_same_twice_unless_told_to(
    path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nothing(_: object, __: str, traffic: Traffic, **___: object) -> Summary:
        tally = Tally(("control", "treatment"))
        tally.answer("control", "alice", 0.001)
        return tally.summary(1.0, traffic.effects, (), False)

    monkeypatch.setattr("abctl.simulate.simulate", nothing)
    seeds = []
    for options in ([], [], ["--seed", "7"]):
        capsys.readouterr()
        assert run(["simulate", path, "--url", "http://127.0.0.1:1", "-o", "json", *options]) == 0
        shown = capsys.readouterr()
        seeds.append(json.loads(shown.out)["seed"])
        assert (f"--seed {seeds[-1]}" in shown.err) == (not options)
    assert len(set(seeds)) == 3
    assert seeds[-1] == 7


def test_without_one_good_answer_it_fails(
    path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def silence(*_: object, **__: object) -> Summary:
        tally = Tally(("control", "treatment"))
        tally.error("unknown", "timeout")
        return tally.summary(10.0, (), (), False)

    monkeypatch.setattr("abctl.simulate.simulate", silence)
    assert run(["simulate", path, "--url", "http://127.0.0.1:1"]) == 5
    shown = capsys.readouterr()
    assert "timeout 1" in shown.out
    assert "error: no good answer from http://127.0.0.1:1 to any of 1 requests" in shown.err


def test_the_stack_of_another_experiment_gets_nothing(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    me = Process(stack.SUPERVISOR, Identity.of(os.getpid()), "ready", tmp_path / "log")
    other = Stack("other", tmp_path, 0.0, "http://127.0.0.1:1", "", None, (), (me,))
    stack.write(other)
    assert run(["simulate", path, "--state", str(tmp_path)]) == 5
    assert "holds the stack of another experiment, 'other'" in capsys.readouterr().err


def test_without_a_stack_it_says_how_to_start_one(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["simulate", path, "--state", str(tmp_path / "none")]) == 5
    assert "abctl local up" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("ago_seconds", "phase", "said"),
    [
        (3.0, "applied", "requests count from "),
        (60.0, "applied", None),
        (60.0, "intent", "requests do not count yet"),
    ],
)
def test_requests_that_will_not_count_are_warned_of(
    *,
    path: str,
    tmp_path: Path,
    ago_seconds: float,
    phase: Phase,
    said: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def nothing(*_: object, **__: object) -> Summary:
        tally = Tally(("control", "treatment"))
        tally.answer("control", "alice", 0.001)
        return tally.summary(1.0, (), (), False)

    monkeypatch.setattr("abctl.simulate.simulate", nothing)
    experiment = load(Path(path))
    me = Process(stack.SUPERVISOR, Identity.of(os.getpid()), "ready", tmp_path / "log")
    stack.write(Stack("iris", tmp_path, 0.0, "http://127.0.0.1:1", "", None, (), (me,)))
    first = Entry(time.time() - ago_seconds, "me", None, experiment.split, "", phase)
    local_world.session(experiment, tmp_path).world.create(new_object(experiment, first))
    capsys.readouterr()
    assert run(["simulate", path, "--state", str(tmp_path), "--seed", "1"]) == 0
    err = capsys.readouterr().err
    assert err.startswith(said) if said else err == ""
