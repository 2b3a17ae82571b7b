"""`abctl doctor`: it says what it is doing, and every command that it recommends can be run."""

import json
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from abctl.cli.main import run
from abctl.cluster.directory import DirectoryClient
from abctl.core.change import Ref
from abctl.core.experiment import Experiment
from abctl.core.ledger import Entry
from abctl.core.split import Split
from abctl.local import stack
from abctl.local.identity import Identity
from abctl.local.stack import Process, Server, Stack
from abctl.platforms import platform
from abctl.session import local_world
from abctl.spec import load

METRICS = """\
  metrics:
    - {name: errors, role: primary, kind: proportion, of: errors, direction: decrease}
"""
NAMES = ("control", "treatment")
EVEN, MORE = Split(NAMES, (5000, 5000)), Split(NAMES, (6667, 3333))
DOCTOR = ["doctor", "iris.yaml", "--state", "state", "-o", "json"]


@pytest.fixture
def started(start_experiment: Callable[..., None]) -> Callable[..., Experiment]:
    """Starts an experiment whose object asks for its first split."""

    def start(*later: Entry) -> Experiment:
        start_experiment(METRICS, time.time() - 60, *later)
        experiment, carrier = load(Path("iris.yaml")), platform("envoy")
        target = carrier.target(experiment)
        obj = next(o for o in carrier.objects(experiment) if Ref.of(o) == target)
        DirectoryClient(Path("state") / local_world.WORLD).create(obj)
        return experiment

    return start


def recommended(out: str) -> Iterator[list[str]]:
    """The commands in the hints that change or look at the split."""
    for check in json.loads(out)["checks"]:
        for part in check["hint"].split(", "):
            words = shlex.split(part)
            if words[:2] in (["abctl", "shift"], ["abctl", "status"]):
                yield [word for word in words[1:] if word not in ("finishes", "reverts", "it")]


def test_an_open_shift_is_finished_or_reverted_by_the_commands_of_the_hint(
    started: Callable[..., Experiment], capsys: pytest.CaptureFixture[str]
) -> None:
    started(Entry(time.time() - 30, "ann", EVEN, MORE, "", "intent"))
    assert run(DOCTOR) == 3
    out, err = capsys.readouterr()
    assert "reading the split and the variants ...\n" in err
    commands = list(recommended(out))
    assert [words for words in commands if words[0] == "shift"] == [
        ["shift", "iris.yaml", "66.67/33.33"],
        ["shift", "iris.yaml", "50/50"],
    ]
    for words in commands:
        dry = ["--dry-run=client"] if words[0] == "shift" else []
        assert run([*words, "--state", "state", *dry]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("shares", [(5000, 5000), (1, 9999), (3333, 3333, 3334), (0, 10_000)])
def test_a_split_in_short_is_read_back(shares: tuple[int, ...]) -> None:
    split = Split(tuple("abc"[: len(shares)]), shares)
    assert split.parse_change((split.short,)) == split


def test_a_variant_that_the_stack_lacks_is_said_and_no_crash(
    started: Callable[..., Experiment],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    started()
    me = Process(stack.SUPERVISOR, Identity.of(1), "ready", tmp_path / "log")
    running = Stack(
        experiment="iris",
        state_dir=tmp_path / "state",
        started=0.0,
        entrance_url="http://127.0.0.1:1",
        envoy_admin_url="http://127.0.0.1:1",
        prometheus_url=None,
        servers=(Server("control", "iris", 1, 1, 1),),
        processes=(me,),
    )
    stack.write(running)
    assert run(DOCTOR) == 3
    found = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert "runs no server of it, only of control" in found["variant treatment"]["message"]
    assert run(["status", "iris.yaml", "--state", "state", "-o", "json"]) == 0
    lacking = json.loads(capsys.readouterr().out)["notReady"]
    assert set(lacking) == {"control", "treatment"}
