"""The local stack as a user meets it: the command line, and real servers behind it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from api_server import path_from

from abctl.local.identity import wait_for

Started = Callable[[], dict[int, str]]
ABCTL = Path(sysconfig.get_path("scripts")) / "abctl"
MODELS = Path(__file__).parents[2] / "model_servers"
SECONDS = 90.0
# A dozen commands and up to four model servers, on a machine that may have other things to do.
pytestmark = pytest.mark.timeout(400)
FLOWER = {"name": "predict", "shape": [1, 4], "datatype": "FP32", "data": [5.1, 3.5, 1.4, 0.2]}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: Started) -> None:
    monkeypatch.chdir(tmp_path)
    # What a shell may hold of other servers must not reach these.
    monkeypatch.setenv("MLSERVER_HTTP_PORT", "1")
    monkeypatch.setenv("MLSERVER_PARALLEL_WORKERS", "2")
    monkeypatch.setenv("AB_OUTCOMES", "nonsense")


@pytest.fixture
def _prometheus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABCTL_PROMETHEUS", path_from("debian", "prometheus"))


@pytest.fixture
def _no_prometheus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ABCTL_PROMETHEUS", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")


def experiment(name: str) -> Path:
    variants = [
        {"name": n, "split": "50%", "model": {"name": "iris", "version": v}}
        for n, v in (("control", "v1"), ("treatment", "v2"))
    ]
    accuracy = {"name": "accuracy", "role": "primary", "kind": "proportion", "of": "accuracy"}
    spec = {
        "platform": "envoy",
        "assignment": {"unit": "user", "key": "x-user-id", "salt": name, "buckets": 8},
        "variants": variants,
        "metrics": [accuracy | {"direction": "increase", "mde": "2pp"}],
    }
    path = Path(f"{name}.yaml")
    head = {"apiVersion": "abctl.dev/v1alpha1", "kind": "Experiment", "metadata": {"name": name}}
    path.write_text(yaml.safe_dump(head | {"spec": spec}))
    return path


@contextmanager
def abctl(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [str(ABCTL), "local", *map(str, arguments)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run(*arguments: object, code: int = 0) -> tuple[str, str]:
    with abctl(*arguments) as process:
        out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == code, err
    return out, err


def state(name: str, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("status", name, "-o", "json", code=code)[0])
    return found


def pids(stack: dict[str, Any]) -> dict[str, int]:
    return {process["name"]: process["pid"] for process in stack["processes"]}


def predict(stack: dict[str, Any], user: str) -> str:
    url = f"{stack['entranceUrl']}/v2/models/iris/infer"
    answer = requests.post(url, timeout=10, json={"inputs": [FLOWER]}, headers={"x-user-id": user})
    assert answer.status_code == 200, answer.text
    return answer.headers["x-ab-variant"]


def query(stack: dict[str, Any], promql: str) -> dict[str, float]:
    url = f"{stack['prometheusUrl']}/api/v1/query"
    found = requests.get(url, timeout=10, params={"query": promql}).json()["data"]["result"]
    return {one["metric"].get("variant", ""): float(one["value"][1]) for one in found}


@pytest.mark.usefixtures("_prometheus")
def test_two_stacks_side_by_side(started: Started) -> None:
    files = [experiment("red"), experiment("blue")]
    with ExitStack() as held:
        starting = [held.enter_context(abctl("up", file, "--models", MODELS)) for file in files]
        for process in starting:
            _, err = process.communicate(timeout=SECONDS)
            assert process.returncode == 0, err
    red, blue = state("red"), state("blue")
    names = ["supervisor", "mlserver-control", "mlserver-treatment", "envoy", "prometheus"]
    assert list(pids(red)) == list(pids(blue)) == names
    assert {*pids(red).values(), *pids(blue).values()} == set(started())

    answered = [predict(red, f"user-{i}") for i in range(20)]
    counts = {name: answered.count(name) for name in ("control", "treatment")}
    assert all(counts.values())
    assert predict(blue, "user-1")
    counted = "sum by (variant) (ab_requests_total)"
    assert wait_for(lambda: query(red, counted) == counts, SECONDS)
    assert wait_for(lambda: sum(query(blue, counted).values()) == 1, SECONDS)
    # All of its own servers and nobody else's; the experiment's outcomes and no other.
    assert query(red, 'up{job="mlserver"}') == {"control": 1, "treatment": 1}
    assert query(red, 'count(up{job="envoy"} == 1)') == {"": 1}
    assert set(query(red, 'ab_outcome_count_total{outcome="accuracy"}')) == set(counts)
    assert not query(red, 'ab_outcome_count_total{outcome!="accuracy"}')

    # Everything that can be examined is well, and the probe is counted nowhere.
    before = query(red, counted)
    diagnosis = subprocess.run(
        [ABCTL, "doctor", "red.yaml", "--users", "300", "-o", "json"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    checks = json.loads(diagnosis.stdout)["checks"]
    assert [check["message"] for check in checks if check["level"] != "ok"] == []
    names = {check["name"] for check in checks}
    assert names >= {"source", "clock", "scrapes", "retention", "metric requests", "split"}
    assert names >= {f"routing: {what}" for what in ("shares", "stickiness", "assignment")}
    assert query(red, counted) == before

    _, err = run("up", "red.yaml", "--models", MODELS)
    assert "already" in err
    assert pids(state("red")) == pids(red)

    file = files[0].read_text()
    files[0].write_text(file.replace("version: v2", "version: v3"))
    _, err = run("up", "red.yaml", "--models", MODELS, code=5)
    assert "runs red already, but with other variants than the file" in err
    assert "abctl local down" in err
    assert pids(state("red")) == pids(red)
    files[0].write_text(file)

    _, err = run("status", code=2)
    assert "blue, red" in err
    run("down", "red.yaml")
    assert set(started()) == set(pids(blue).values())
    assert predict(blue, "user-1")
    run("down", "blue", "--purge")
    assert not Path(".abctl/blue").exists()
    assert "mlserver.rest" in run("logs", "red", "--process", "mlserver-control", "--tail", 99)[0]
    run("down", "red")


@pytest.mark.usefixtures("_no_prometheus")
def test_dead_processes_are_reported_and_cleaned_up(started: Started) -> None:
    file = experiment("iris")
    out, err = run("up", file)  # without a folder of models
    assert "trained the example models: v1" in err
    assert "none: abctl scrapes by itself" in out
    stack = state("iris")
    assert stack["prometheusUrl"] is None

    os.kill(pids(stack)["mlserver-treatment"], signal.SIGKILL)
    state_file = Path(".abctl/iris/state.json")
    assert wait_for(
        lambda: any(p["status"] == "dead" for p in json.loads(state_file.read_text())["processes"]),
        SECONDS,
    )
    out, err = run("status", code=5)
    assert "dead: was ended by SIGKILL" in out
    assert "mlserver-treatment was ended by SIGKILL" in err
    (dead,) = [p for p in state("iris", code=5)["processes"] if p["status"] == "dead"]
    assert (dead["name"], dead["ending"]) == ("mlserver-treatment", "was ended by SIGKILL")

    os.kill(pids(stack)["supervisor"], signal.SIGKILL)
    assert wait_for(lambda: not started(), SECONDS)
    _, err = run("status", code=5)
    assert "supervisor ended" in err
    run("down")
    run("down")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_start_leaves_nothing(started: Started, number: signal.Signals) -> None:
    with abctl("up", experiment("iris"), "--models", MODELS) as process:
        # Its own process, the supervisor, two model servers and Envoy.
        assert wait_for(lambda: len(started()) >= 5, SECONDS)
        process.send_signal(number)
        _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == (130 if number == signal.SIGINT else -number), err
    if number == signal.SIGINT:
        assert "interrupted" in err
        assert not started()
    assert wait_for(lambda: not started(), SECONDS)


def test_a_missing_model_says_how_to_make_it() -> None:
    _, err = run("up", experiment("iris"), "--models", "nowhere", code=5)
    assert "nowhere/v1/model-settings.json does not exist" in err
    assert "--models names the folder" in err


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        _, err = run("up", experiment("iris"), "--models", MODELS, "--port", port, code=5)
    assert f"port {port} of 127.0.0.1 cannot be used" in err


def test_a_folder_of_other_things_is_left_alone() -> None:
    Path("mine").mkdir()
    Path("mine/logs").touch()
    for command in (["up", experiment("iris")], ["down", "--purge"]):
        _, err = run(*command, "--state", "mine", code=2)
        assert "mine" in err
    assert Path("mine/logs").exists()


@pytest.mark.usefixtures("_no_prometheus")
def test_a_server_that_will_not_start_shows_its_last_lines(
    tmp_path: Path, started: Started
) -> None:
    for version in ("v1", "v2"):
        shutil.copytree(MODELS / version, tmp_path / "models" / version)
    with (tmp_path / "models" / "v2" / "model.joblib").open("ab") as file:
        file.write(b"!")
    _, err = run("up", experiment("iris"), "--models", "models", code=5)
    assert "mlserver-treatment" in err
    assert "model.joblib was altered" in err
    assert "mlserver-treatment.log" in err
    assert not started()
