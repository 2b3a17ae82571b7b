import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from abctl.local import stack
from abctl.local.identity import Identity
from abctl.local.stack import Process, Server, Stack


@pytest.fixture
def example(tmp_path: Path) -> Stack:
    return Stack(
        experiment="iris",
        state_dir=tmp_path,
        started=12.5,
        entrance_url="http://127.0.0.1:1",
        envoy_admin_url="http://127.0.0.1:2",
        prometheus_url=None,
        servers=(Server("control", "iris", 3, 4, 5),),
        processes=(
            Process("supervisor", Identity(6, "a"), "ready", tmp_path / "supervisor.log"),
            Process("envoy", Identity(7, "b"), "dead", tmp_path / "envoy.log", -9),
        ),
    )


def test_as_it_is_written_and_back(example: Stack) -> None:
    assert stack.stack_of(stack.form_of(example), {}) == example


def test_the_state_file_says_its_version_and_leaves_nothing_beside_it(example: Stack) -> None:
    stack.write(example)
    (path,) = example.state_dir.iterdir()
    assert json.loads(path.read_text())["apiVersion"] == "abctl.dev/v1"


def test_without_its_supervisor_what_does_not_run_is_dead(example: Stack) -> None:
    stack.write(example)
    assert [p.name for p in stack.read(example.state_dir).dead] == ["supervisor", "envoy"]


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [(None, "ended"), (0, "ended with exit code 0"), (-15, "was ended by SIGTERM")],
)
def test_an_ending_in_words(example: Stack, exit_code: int | None, words: str) -> None:
    assert replace(example.processes[1], exit_code=exit_code).ending == words


def test_a_server_says_where_it_is(example: Stack) -> None:
    (server,) = example.servers
    assert server.url == "http://127.0.0.1:3"
    assert server.metrics_url == "http://127.0.0.1:5/metrics"


def test_how_a_process_ended_is_waited_for_even_if_it_dies_while_it_is_looked_at(
    example: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = Identity.of(os.getpid())
    supervisor, envoy = (replace(p, identity=me, status="ready") for p in example.processes)
    envoy = replace(envoy, identity=Identity(7, "b"), exit_code=None)
    running = replace(example, processes=(supervisor, envoy))
    stack.write(running)
    looks = []

    def born(pid: int) -> str:
        """It dies after the first look at it, and the supervisor notes that after the second."""
        if pid == me.pid:
            return me.born
        looks.append(pid)
        if len(looks) == 3:
            stack.write(running.with_status("envoy", "dead", -9))
        return "b" if len(looks) == 1 else ""

    monkeypatch.setattr("abctl.local.identity._born", born)
    assert stack.read(example.state_dir).ready
    (dead,) = stack.read(example.state_dir).dead
    assert dead.ending == "was ended by SIGKILL"
