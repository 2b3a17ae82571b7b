"""Simulated traffic through real Envoy and real model servers: what was sent is what they count."""

import json
import signal
import subprocess
import sys
import threading
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from api_server import DEADLINE_SECONDS
from own_ports import free_ports
from prometheus_client.parser import text_string_to_metric_families
from sklearn.datasets import load_iris

from abctl.cli.main import run
from abctl.core.assignment import point, variant_at
from abctl.session import local_stack, local_world
from abctl.session.shift import shift
from abctl.simulate import Traffic, simulate
from abctl.simulate._traffic import Rows, plan
from abctl.spec import parse

MODELS = Path(__file__).parents[2] / "model_servers"
TEXT = """
apiVersion: abctl.dev/v1alpha1
kind: Experiment
metadata: {name: simulated}
spec:
  platform: envoy
  assignment: {unit: user, key: x-user-id, salt: simulated-1}
  variants:
    - {name: control,   split: 70%, model: {name: iris, version: v1}}
    - {name: treatment, split: 30%, model: {name: iris, version: v2}}
  metrics:
    - {name: accuracy, role: primary, kind: proportion, of: accuracy, direction: increase, mde: 2pp}
    - {name: revenue, role: secondary, kind: mean, of: revenue, direction: increase}
"""
EXPERIMENT = parse(TEXT, "simulated.yaml")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[local_stack.Stack]:
    state_dir = tmp_path_factory.mktemp("simulated") / "stack"
    try:
        yield local_stack.up(
            EXPERIMENT, state_dir=state_dir, models_dir=MODELS, tied=True, report=lambda _: None
        )
    finally:
        local_stack.down(state_dir)


def counted(stack: local_stack.Stack) -> Counter[tuple[str, ...]]:
    """Counters of all model servers, summed over what the test does not ask for."""
    found: Counter[tuple[str, ...]] = Counter()
    for server in stack.servers:
        with urllib.request.urlopen(server.metrics_url, timeout=DEADLINE_SECONDS) as page:
            families = text_string_to_metric_families(page.read().decode())
        for sample in (sample for family in families for sample in family.samples):
            labels = sample.labels
            if sample.name == "ab_requests_total":
                stranger = "stranger" if labels["bucket"] == "none" else "user"
                found["requests", labels["variant"], labels["code"], stranger] += int(sample.value)
            elif sample.name in {"ab_outcome_count_total", "ab_outcome_sum_total"}:
                key = sample.name, labels["variant"], labels["outcome"]
                found[key] += sample.value
    return found


def foreseen(traffic: Traffic) -> tuple[Counter[tuple[str, str]], Counter[str]]:
    """Requests by variant and whether they have a user, and right answers, without a server.

    By abctl's own arithmetic and the models themselves; strangers go to the control.
    """
    models = {
        variant.name: joblib.load(MODELS / variant.model.version / "model.joblib")
        for variant in EXPERIMENT.variants
    }
    requests: Counter[tuple[str, str]] = Counter()
    asked: defaultdict[str, list[tuple[Any, int]]] = defaultdict(list)
    for each in plan(traffic, Rows(*load_iris(return_X_y=True)), 2):
        variant = EXPERIMENT.control.name
        if each.user is not None:
            at = point(EXPERIMENT.assignment.salt, each.user)
            variant = variant_at(EXPERIMENT.split, at)
        requests[variant, "user" if each.user else "stranger"] += 1
        asked[variant].append((each.features, each.label))
    right: Counter[str] = Counter()
    for variant, rows in asked.items():
        features, labels = zip(*rows, strict=True)
        predicted = models[variant].predict(np.array(features, np.float32))
        right[variant] = int((predicted == np.array(labels)).sum())
    return requests, right


def test_what_was_sent_is_what_the_servers_count_and_who_should_answer_does(
    stack: local_stack.Stack,
) -> None:
    traffic = Traffic(
        requests=1200,
        duration_seconds=DEADLINE_SECONDS,
        users=300,
        anonymous_ratio=0.1,
        noise=0.5,
        feedback_delay_seconds=0.1,
    )
    before = counted(stack)
    summary = simulate(EXPERIMENT, stack.entrance_url, traffic)
    after = counted(stack)
    after.subtract(before)
    expected, right = foreseen(traffic)
    assert summary.errors == 0
    assert summary.moved_users == 0
    assert {key[1:]: n for key, n in after.items() if key[0] == "requests" and n} == {
        (variant, "2xx", kind): n for (variant, kind), n in expected.items()
    }
    for each in summary.variants:
        requests = sum(n for (variant, _), n in expected.items() if variant == each.variant)
        assert each.requests == requests
        assert (each.feedback_sent, each.feedback_lost) == (2 * requests, 0)
        for outcome in ("accuracy", "revenue"):
            assert after["ab_outcome_count_total", each.variant, outcome] == requests
        found = after["ab_outcome_sum_total", each.variant, "accuracy"]
        assert 0 < found == right[each.variant] < requests


def test_users_move_only_to_the_treatment_that_grows_while_traffic_flows(
    stack: local_stack.Stack,
) -> None:
    session = replace(
        local_world.session(EXPERIMENT, stack.state_dir),
        ready=lambda _: True,
        actor="test",
        timeout_seconds=DEADLINE_SECONDS,
    )
    flowing, shifted, enough = threading.Event(), threading.Event(), threading.Event()
    failed: list[BaseException] = []
    after: list[int] = []

    def grow() -> None:
        try:
            assert flowing.wait(DEADLINE_SECONDS)
            wanted = session.observe().asked.parse_change(("treatment=60%",))
            shift(session, wanted, why="")
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            failed.append(error)
        shifted.set()

    def report(done: int, _: int) -> None:
        """Several requests of each user before the shift, and after it."""
        if done > 300:
            flowing.set()
        if shifted.is_set():
            after.append(done)
            if done > after[0] + 300:
                enough.set()

    # One connection: answers come in the order of the requests.
    traffic = Traffic(10**6, DEADLINE_SECONDS, users=50, concurrency=1, seed=1)
    thread = threading.Thread(target=grow)
    thread.start()
    summary = simulate(EXPERIMENT, stack.entrance_url, traffic, report=report, stop=enough)
    flowing.set()
    thread.join()
    assert not failed
    assert summary.errors == 0
    assert set(summary.moves) == {("control", "treatment")}
    assert summary.moved_users == sum(summary.moves.values()) > 0


def test_interrupted_the_command_still_says_what_was_done(
    stack: local_stack.Stack, tmp_path: Path
) -> None:
    path = tmp_path / "simulated.yaml"
    path.write_text(TEXT)
    options = ["--state", str(stack.state_dir), "--requests", "1000000", "-o", "json"]
    options += ["--duration", "1h"]
    command = [sys.executable, "-c", "from abctl.cli.main import main; main()"]
    command += ["simulate", str(path), *options]

    def requests() -> int:
        return sum(int(n) for key, n in counted(stack).items() if key[0] == "requests")

    before = requests()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        # More than may be on their way at once: some of them have arrived.
        while requests() < before + 100:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 130, err
    document = json.loads(out)
    assert document["kind"] == "Simulation"
    assert document["interrupted"] is True
    assert 0 < document["requests"] < 1_000_000
    assert "interrupted" in err


def test_the_table_names_every_variant_and_what_was_made_up(
    stack: local_stack.Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "simulated.yaml"
    path.write_text(TEXT)
    options = ["--url", stack.entrance_url, "--requests", "200", "--effect", "treatment=+10pp"]
    assert run(["simulate", str(path), *options]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for words in (
        "control",
        "treatment",
        "200 requests",
        "0 of them saw more than one variant",
        "SYNTHETIC effect of +0.1 on accuracy of treatment",
        "SYNTHETIC outcomes: revenue",
    ):
        assert words in shown


def test_a_dead_entrance_is_one_clear_error(
    stack: local_stack.Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "simulated.yaml"
    path.write_text(TEXT)
    (port,) = free_ports(1)
    assert run(["simulate", str(path), "--url", f"http://127.0.0.1:{port}"]) == 5
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"error: no answer from http://127.0.0.1:{port}")
    assert "hint: " in said.err
