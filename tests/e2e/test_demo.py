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
from pages import parsed, require_sound, values

from abctl.local.identity import wait_for
from abctl.session import ledger, local_world
from abctl.spec import load

Started = Callable[[], dict[int, str]]
ABCTL = Path(sysconfig.get_path("scripts")) / "abctl"
MODELS = Path(__file__).parents[2] / "model_servers"
STATE = Path(".abctl/demo/state.json")
SECONDS = 800.0


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


@pytest.mark.parametrize(
    ("versions", "prometheus", "kind", "harm"),
    [
        (("v1", "v2"), False, "stop", {"accuracy"}),
        (("v1", "v3"), True, "stop", {"latency"}),
        (("v2", "v1"), True, "ship", set[str]()),
    ],
)
def test_every_candidate_has_its_ending(
    started: Started,
    monkeypatch: pytest.MonkeyPatch,
    versions: tuple[str, str],
    *,
    prometheus: bool,
    kind: str,
    harm: set[str],
) -> None:
    if not prometheus:
        monkeypatch.delenv("ABCTL_PROMETHEUS", raising=False)
        monkeypatch.setenv("PATH", "/nowhere")
    found = analysis("--control", versions[0], "--candidate", versions[1])

    assert found["kind"] == "Analysis"
    verdict = found["verdict"]
    assert verdict["kind"] == kind
    proven = {
        each["facts"]["metric"] for each in verdict["reasonCodes"] if each["code"] == "harmProven"
    }
    # Where clients of both wait for a machine with other work, latency may stay open; never more.
    assert harm <= proven or (harm == {"latency"} and proven == {"accuracy"})
    within = {
        metric["name"]
        for metric in found["metrics"]
        for each in metric["comparisons"]
        for claim in each["claims"]
        if claim["says"] == "non-inferior" and claim["proven"]
    }
    assert not (_much_slower(found) and "latency" in within)
    (accuracy,) = [metric for metric in found["metrics"] if metric["name"] == "accuracy"]
    (mature,) = [each for each in accuracy["remarkCodes"] if each["code"] == "matures"]
    assert mature["facts"]["maturitySeconds"] > 0  # its labels came late
    assert len(found["epochs"]) == 3  # the split that it began with, and two shifts
    assert ("scraped by abctl" in found["source"]) is not prometheus
    page = parsed(Path(".abctl/demo.html").read_text())
    require_sound(page)
    assert values(page)["analysis"]["verdict"] == verdict
    assert "the demo's ramp" in {each["why"] for each in values(page)["ledger"]}
    pictures = {str(each.get("aria-labelledby")).partition("-t")[0] for each in page.iter("svg")}
    assert {"effect-0", "split", "traffic", "latency"} <= pictures
    assert last_split() == ("0/100" if kind == "ship" else "50/50")
    assert not started()


def _much_slower(found: dict[str, Any]) -> bool:
    """Whether the treatment's p95 is far over the margin, which is twice the control's."""
    control, treatment = (each["latencyP95Seconds"] for each in found["variants"])
    return bool(treatment > 3.0 * control)


def last_split() -> str:
    """What the ledger says that the demo has asked for."""
    session = local_world.session(load(Path(".abctl/demo.yaml")), STATE.parent)
    return ledger.read(session.world, session.experiment).ledger.entries[-1].after.short


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
