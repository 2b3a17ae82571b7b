"""`abctl demo` as a newcomer runs it: real servers, a verdict, nothing left."""

import json
import os
import signal
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from abctl.local.identity import wait_for

Started = Callable[[], dict[int, str]]
ABCTL = Path(sysconfig.get_path("scripts")) / "abctl"
MODELS = Path(__file__).parents[2] / "model_servers"
STATE = Path(".abctl/demo/state.json")
SECONDS = 280.0


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@contextmanager
def demo(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [str(ABCTL), "demo", "--models", str(MODELS), *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def analysis(*arguments: str) -> dict[str, Any]:
    with demo("-o", "json", *arguments) as process:
        answer, remarks = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, remarks
    found: dict[str, Any] = json.loads(answer)
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize("prometheus", [True, False])
def test_the_worse_candidate_is_stopped_and_every_metric_is_estimable(
    started: Started, monkeypatch: pytest.MonkeyPatch, *, prometheus: bool
) -> None:
    if not prometheus:
        monkeypatch.delenv("ABCTL_PROMETHEUS", raising=False)
        monkeypatch.setenv("PATH", "/nowhere")
    found = analysis("--candidate", "v3" if prometheus else "v2")

    assert found["kind"] == "Analysis"
    assert found["verdict"]["kind"] == "stop"
    harm = found["verdict"]["reasonCodes"][0]
    assert (harm["code"], harm["facts"]["metric"]) == ("harmProven", "accuracy")
    effects = [m["comparisons"][0]["effect"] for m in found["metrics"]]
    assert [e["reason"] for e in effects if "reason" in e] == []
    assert len(found["epochs"]) == 3  # the split that it began with, and two shifts
    assert ("scraped by abctl" in found["source"]) is not prometheus
    assert not started()


@pytest.mark.timeout(300)
def test_a_server_that_dies_in_the_middle_is_named_and_leaves_nothing(started: Started) -> None:
    with demo() as process:
        _until_shifted(process)
        state = json.loads(STATE.read_text())
        (victim,) = [p for p in state["processes"] if p["name"] == "mlserver-treatment"]
        os.kill(victim["pid"], signal.SIGKILL)
        _, remarks = process.communicate(timeout=SECONDS)

    assert process.returncode == 5
    assert "error: in the middle of the demo: mlserver-treatment was ended by SIGKILL" in remarks
    assert "Traceback" not in remarks
    assert not started()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_a_demo_that_is_ended_leaves_nothing(started: Started, sent: signal.Signals) -> None:
    with demo() as process:
        _until_shifted(process)
        process.send_signal(sent)
        _, remarks = process.communicate(timeout=SECONDS)

    assert process.returncode == (130 if sent is signal.SIGINT else -signal.SIGKILL)
    assert "Traceback" not in remarks
    assert wait_for(lambda: not started(), 30.0)


def _until_shifted(process: subprocess.Popen[str]) -> None:
    assert process.stderr
    assert any(line.startswith("shifted to") for line in process.stderr)
