"""The local stack as a user meets it: the command line, and real servers behind it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from api_server import DEADLINE_SECONDS as SECONDS
from api_server import path_from
from own_ports import free_ports

from abctl.local.identity import wait_for

Started = Callable[[], dict[int, str]]
ABCTL = Path(sysconfig.get_path("scripts")) / "abctl"
MODELS = Path(__file__).parents[2] / "model_servers"
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
    command = [str(ABCTL), *map(str, arguments)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run(*arguments: object, code: int = 0) -> tuple[str, str]:
    return command("local", *arguments, code=code)


def command(*arguments: object, code: int = 0) -> tuple[str, str]:
    with abctl(*arguments) as process:
        out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == code, out + err
    return out, err


def state(name: str, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("status", name, "-o", "json", code=code)[0])
    return found


def pids(stack: dict[str, Any]) -> dict[str, int]:
    return {process["name"]: process["pid"] for process in stack["processes"]}


def predict(stack: dict[str, Any], user: str) -> str:
    url = f"{stack['entranceUrl']}/v2/models/iris/infer"
    answer = requests.post(
        url, timeout=SECONDS, json={"inputs": [FLOWER]}, headers={"x-user-id": user}
    )
    assert answer.status_code == 200, answer.text
    return answer.headers["x-ab-variant"]


def query(stack: dict[str, Any], promql: str) -> dict[str, float]:
    url = f"{stack['prometheusUrl']}/api/v1/query"
    found = requests.get(url, timeout=SECONDS, params={"query": promql}).json()["data"]["result"]
    return {one["metric"].get("variant", ""): float(one["value"][1]) for one in found}


def levels(name: str) -> dict[str, str]:
    """What the doctor says of each check."""
    command = [ABCTL, "doctor", f"{name}.yaml", "--users", "300", "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    return {check["name"]: check["level"] for check in json.loads(done.stdout)["checks"]}


@pytest.mark.usefixtures("_prometheus")
def test_two_stacks_side_by_side(started: Started) -> None:
    files = [experiment("red"), experiment("blue")]
    with ExitStack() as held:
        up = ("--models", MODELS)
        starting = [held.enter_context(abctl("local", "up", file, *up)) for file in files]
        for process in starting:
            _, err = process.communicate(timeout=SECONDS)
            assert process.returncode == 0, err
    red, blue = state("red"), state("blue")
    processes = [
        *("supervisor", "mlserver-control", "mlserver-treatment"),
        *("access-log", "envoy", "prometheus"),
    ]
    assert list(pids(red)) == list(pids(blue)) == processes
    assert {*pids(red).values(), *pids(blue).values()} == set(started())

    answered = [predict(red, f"user-{i}") for i in range(20)]
    counts = {name: answered.count(name) for name in ("control", "treatment")}
    assert all(counts.values())
    assert predict(blue, "user-1")
    counted = "sum by (variant) (ab_requests_total)"
    assert wait_for(lambda: query(red, counted) == counts, SECONDS)
    assert wait_for(lambda: sum(query(blue, counted).values()) == 1, SECONDS)
    # All of its own servers and nobody else's; the experiment's outcomes and no other.
    mine = 'ab_outcome_count_total{outcome="accuracy"}'
    both = {"control": 1.0, "treatment": 1.0}
    assert wait_for(lambda: query(red, 'up{job="mlserver"}') == both, SECONDS)
    assert wait_for(
        lambda: query(red, "sum by (variant) (ab_client_requests_total)") == counts, SECONDS
    )
    assert wait_for(lambda: query(red, 'count(up{job="envoy"} == 1)') == {"": 1}, SECONDS)
    assert wait_for(lambda: set(query(red, mine)) == set(counts), SECONDS)
    assert not query(red, 'ab_outcome_count_total{outcome!="accuracy"}')

    # Everything that can be examined is well, and the probe is counted nowhere.
    # A scrape may have failed, where the machine has other things to do.
    assert wait_for(lambda: set(levels("red").values()) == {"ok"}, SECONDS), levels("red")
    names = levels("red").keys()
    assert names >= {"source", "clock", "scrapes", "retention", "metric requests", "split"}
    assert names >= {f"routing: {what}" for what in ("shares", "stickiness", "assignment")}
    assert wait_for(lambda: query(red, counted) == counts, SECONDS)
    look_at_a_server_that_is_silent(pids(red)["mlserver-treatment"])
    ask_who_gets_what_after_a_shift()

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


def look_at_a_server_that_is_silent(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    try:
        out, _ = command("status", "red.yaml")
        assert "NOT READY: treatment: mlserver-treatment does not answer within 2 s" in out
        began = time.monotonic()
        out, err = command("doctor", "red.yaml", "-o", "json", code=3)
        assert time.monotonic() - began < 30.0
    finally:
        os.kill(pid, signal.SIGCONT)
    found = {check["name"]: check for check in json.loads(out)["checks"]}
    assert [name for name in found if found[name]["level"] == "error"] == [
        "variant treatment",
        "routing",
    ]
    assert found["routing"]["code"] == "requestsFailed"
    assert found["routing"]["facts"]["failure"].startswith("no answer within")
    assert list(found["routing"]["facts"]["answered"]) == ["control"]
    said = [line for line in err.splitlines() if line.endswith(" ...")]
    assert [line.split()[0] for line in said] == ["reading", "reading", "asking", "sending"]


def ask_who_gets_what_after_a_shift() -> None:
    command("shift", "red.yaml", "100/0", "--yes")
    out, err = command("assign", "red.yaml", *(f"user-{i}" for i in range(9)), "--count")
    assert err.startswith("by the ledger's split since 20")
    assert re.search(r"^treatment +0% +0 ", out, re.MULTILINE)


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
    # So say the commands that look at the experiment, and the hint that sends there.
    ended = "mlserver-treatment was ended by SIGKILL"
    assert f"NOT READY: treatment: {ended}" in command("status", file)[0]
    assert json.loads(command("status", file, "-o", "json")[0])["notReady"] == {"treatment": ended}
    plan = file.read_text()
    file.write_text(plan.replace("2pp", "3pp"))
    out, err = command("analyze", file)
    assert "\nINVALID\n" in out
    assert f"hint: treatment cannot answer: {ended}; " in err
    assert err.endswith("abctl status iris.yaml -o wide\n")
    file.write_text(plan)

    os.kill(pids(stack)["supervisor"], signal.SIGKILL)
    assert wait_for(lambda: not started(), SECONDS)
    _, err = run("status", code=5)
    assert "supervisor ended" in err
    # Nobody has stopped it; whatever is started next, what it left is kept, and can be read.
    _, err = run("up", file, "--models", "nowhere", code=5)
    (kept,) = Path(".abctl/iris/earlier").iterdir()
    assert f"its ledger, evidence and logs are kept in {kept.resolve()}\n" in err
    assert "scraped by abctl itself" in command("analyze", file, "--state", kept)[0]
    run("down")
    run("down")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_start_leaves_nothing(
    started: Started, number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_ready = tmp_path / "prometheus"
    never_ready.write_text("#!/bin/sh\nexec sleep 3600\n")
    never_ready.chmod(0o755)
    monkeypatch.setenv("ABCTL_PROMETHEUS", str(never_ready))
    with abctl("local", "up", experiment("iris"), "--models", MODELS) as process:
        # Its own process, the supervisor, two model servers, Envoy and what is never ready.
        assert wait_for(lambda: len(started()) >= 6, SECONDS)
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


@pytest.mark.usefixtures("_no_prometheus")
def test_of_two_that_want_one_port_at_once_one_has_it_and_the_other_is_told() -> None:
    (port,) = free_ports(1)
    words = ("--models", MODELS, "--port", port)
    with ExitStack() as held:
        starting = [
            held.enter_context(abctl("local", "up", experiment(name), *words))
            for name in ("red", "blue")
        ]
        said = {each.communicate(timeout=SECONDS)[1]: each.returncode for each in starting}
    assert sorted(said.values()) == [0, 5], said
    assert any(f"port {port} of 127.0.0.1 cannot be used" in err for err in said)
    (running,) = Path(".abctl").glob("*/state.json")
    assert predict(state(running.parent.name), "user-1")
    run("down", running.parent.name)


@contextmanager
def thief(*names: str) -> Iterator[list[str]]:
    """Takes a port of the first process from the first plan of a stack, and so on."""
    taken, over = list[str](), threading.Event()

    def planned(before: float) -> dict[str, Any] | None:
        while not over.wait(0.002):
            with suppress(FileNotFoundError, ValueError):  # not there, or not whole
                plan: dict[str, Any] = json.loads(Path(".abctl/iris/plan.json").read_text())
                if plan["stack"]["started"] > before:
                    return plan
        return None

    def steal() -> None:
        before = 0.0
        with ExitStack() as held:
            for name in names:
                if (plan := planned(before)) is None:
                    return
                (port,) = [c["ready_port"] for c in plan["commands"] if c["name"] == name]
                held.enter_context(socket.create_server(("127.0.0.1", port)))
                taken.append(name)
                before = plan["stack"]["started"]
            over.wait()

    thread = threading.Thread(target=steal)
    thread.start()
    try:
        yield taken
    finally:
        over.set()
        thread.join()


@pytest.mark.usefixtures("_prometheus")
def test_a_stack_whose_ports_are_taken_comes_up_on_others(started: Started) -> None:
    names = ["prometheus", "envoy", "mlserver-treatment"]
    with thief(*names) as taken:
        _, err = run("up", experiment("iris"), "--models", MODELS)
        assert taken == names
        for name in names:
            assert f"{name} found its port taken; starting all again with other ports" in err
        assert predict(state("iris"), "user-1")
        run("down")
    assert not started()


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
