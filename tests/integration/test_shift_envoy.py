"""Shifts and status by the real command line on a real Envoy.

Behind each variant's cluster is a listener of the same Envoy that answers with the variant's name.
"""

import http.client
import json
import os
import statistics
import subprocess
import threading
import time
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
from api_server import DEADLINE_SECONDS
from own_ports import free_ports

from abctl.cli.main import run
from abctl.core.assignment import explain
from abctl.core.ledger import ledger_ref
from abctl.core.split import Split
from abctl.errors import NotReadyError
from abctl.forms.ledger import ledger_of
from abctl.local import stack
from abctl.local.envoy import command
from abctl.local.identity import Identity
from abctl.local.stack import HOST, SUPERVISOR, Process, Server, Stack
from abctl.platforms import _envoy_bootstrap, envoy
from abctl.session import local_world
from abctl.session.apply import create, start
from abctl.session.shift import shift
from abctl.spec import parse

NAMES = ("control", "treatment")
USERS = [f"user-{i}" for i in range(500)]
EXPERIMENT = """
apiVersion: abctl.dev/v1alpha1
kind: Experiment
metadata: {name: iris}
spec:
  platform: envoy
  assignment: {unit: user, key: x-user-id, salt: shift-1, override: x-force}
  variants:
    - {name: control,   split: 70%, model: {name: iris, version: v1}}
    - {name: treatment, split: 30%, model: {name: iris, version: v2}}
  metrics:
    - {name: accuracy, role: primary, kind: proportion, of: accuracy, direction: increase, mde: 2pp}
"""


class Gateway:
    """A started experiment with a real Envoy; `dead` variants have nobody behind them."""

    def __init__(self, folder, dead=()):
        self.folder = folder
        self.file = folder / "iris.yaml"
        self.file.write_text(EXPERIMENT)
        self.experiment = parse(EXPERIMENT, "iris.yaml")
        self.port, self.admin, *behind = free_ports(4)
        ports = dict(zip(NAMES, behind, strict=True))
        found = local_world.session(self.experiment, folder)
        # Who is dead is what some of the tests are about.
        settings = {"ready": lambda _: True, "timeout_seconds": DEADLINE_SECONDS}
        self.session, self.client = replace(found, actor="test", **settings), found.world
        create(self.session, why="")
        static = envoy.bootstrap(
            self.experiment,
            listen=self.port,
            admin=self.admin,
            upstreams={name: (HOST, port) for name, port in ports.items()},
            routes_dir=str(folder / local_world.WORLD / "mounts" / "iris-envoy"),
        )
        alive = [_answering(*pair) for pair in ports.items() if pair[0] not in dead]
        static["static_resources"]["listeners"] += alive
        stack.write(
            Stack(
                experiment="iris",
                state_dir=folder,
                started=time.time(),
                entrance_url=f"http://{HOST}:{self.port}",
                envoy_admin_url=f"http://{HOST}:{self.admin}",
                prometheus_url=None,
                servers=tuple(Server(name, "iris", port, 0, 0) for name, port in ports.items()),
                # Whoever runs the test stands in for the supervisor.
                processes=(Process(SUPERVISOR, Identity.of(os.getpid()), "ready", folder / "log"),),
            )
        )
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(command(static, self.admin, folder).argv, stderr=log)

    def start(self):
        start(self.session, why="")
        return self

    def stop(self):
        self.process.terminate()
        self.process.wait(DEADLINE_SECONDS)

    def run(self, name, *words):
        return run([name, str(self.file), *words, "--state", str(self.folder)])

    def connect(self):
        return http.client.HTTPConnection(HOST, self.port, timeout=DEADLINE_SECONDS)

    def ask(self, path="/v2/models/iris/infer", **headers):
        connection = self.connect()
        try:
            return _ask(connection, path, headers)
        finally:
            connection.close()

    def variants(self):
        """Who answers each user."""
        connection = self.connect()
        try:
            return [_ask(connection, "/v2", {"x-user-id": user})[1] for user in USERS]
        finally:
            connection.close()

    def expected(self, split):
        rules = self.experiment.assignment
        return [explain(rules, split, {"x-user-id": user}).variant for user in USERS]

    @property
    def steps(self):
        return [e.phase for e in ledger_of(self.client.get(ledger_ref(self.experiment))).entries]


def _ask(connection, path, headers):
    connection.request("POST", path, b"{}", headers)
    response = connection.getresponse()
    body = response.read().decode()
    return response.status, response.getheader("x-ab-variant"), body


def _answering(name, port):
    types = "type.googleapis.com/envoy.extensions.filters"
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{types}.http.router.v3.Router"},
    }
    answer = {
        "match": {"prefix": "/"},
        "direct_response": {"status": 200, "body": {"inline_string": name}},
    }
    connections = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": f"behind_{name}",
        "http_filters": [router],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}]},
    }
    manager = {"name": "envoy.filters.network.http_connection_manager", "typed_config": connections}
    return {
        "name": f"behind_{name}",
        "address": {"socket_address": {"address": HOST, "port_value": port}},
        "filter_chains": [{"filters": [manager]}],
    }


def split(treatment_bp):
    return Split(NAMES, (10_000 - treatment_bp, treatment_bp))


@pytest.fixture
def gateway(tmp_path):
    found = Gateway(tmp_path)
    try:
        yield found.start()
    finally:
        found.stop()


def test_a_shift_takes_effect_for_every_user(gateway, capsys):
    assert gateway.variants() == gateway.expected(split(3000))
    assert gateway.run("shift", "treatment=80%", "--why", "test", "--yes", "-o", "json") == 0
    # The command has waited: from the first request on it is so.
    assert gateway.variants() == gateway.expected(split(8000))
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert (answer["kind"], answer["changed"], answer["confirmed"]) == ("Shift", True, True)
    assert answer["from"] == {"control": 0.7, "treatment": 0.3}
    assert answer["to"] == {"control": 0.2, "treatment": 0.8}
    assert "50% of all users move from control to treatment" in printed.err
    assert gateway.steps == ["intent", "applied", "intent", "applied"]
    assert gateway.run("shift", "--to", "20/80") == 0
    assert "nothing to do" in capsys.readouterr().err
    assert gateway.steps == ["intent", "applied", "intent", "applied"]


def test_100_shifts_under_load_lose_no_request(gateway):
    finished = threading.Event()
    answers = [Counter() for _ in range(3)]

    def load(count):
        connection = gateway.connect()
        while not finished.is_set() or not count:
            for user in USERS[:50]:
                status, stamped, body = _ask(connection, "/v2", {"x-user-id": user})
                count[status, stamped == body] += 1
        connection.close()

    threads = [threading.Thread(target=load, args=(count,)) for count in answers]
    for thread in threads:
        thread.start()
    durations_ms = []
    try:
        for number in range(100):
            began = time.perf_counter()
            wanted = split(1000 + 4000 * (number % 2) + number)
            shift(gateway.session, wanted, why="")
            durations_ms.append((time.perf_counter() - began) * 1000)
    finally:
        finished.set()
        for thread in threads:
            thread.join(DEADLINE_SECONDS)
    total = sum(answers, Counter())
    median = statistics.median(durations_ms)
    print(f"shift: median {median:.0f} ms, max {max(durations_ms):.0f} ms, {total}")  # noqa: T201 - for -s
    assert set(total) == {(200, True)}
    assert gateway.variants() == gateway.expected(wanted)
    assert gateway.steps.count("applied") == 101


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda text: text.replace('"cluster": "treatment"', '"cluster": "nobody"'), "rejected"),
        (lambda text: text.replace('"num_retries": 5', '"num_retries": "many"'), "failure"),
    ],
    ids=["unknown cluster", "no number"],
)
def test_routes_that_envoy_refuses_are_reported_and_the_old_stay(gateway, spoil, reason, capsys):
    def with_split(obj, wanted):
        good = envoy.with_split(obj, wanted)
        text = spoil(good["data"]["routes.json"])
        return {**good, "data": {**good["data"], "routes.json": text}}

    spoiling = SimpleNamespace(**{**vars(envoy), "with_split": with_split})
    late = []

    def pause(seconds):
        """Time is up when Envoy has refused them, however long that takes."""
        time.sleep(seconds)
        status = gateway.client.get(envoy.target(gateway.experiment))["status"]
        if "refused" in status.get("refusal", ""):
            late.append(2 * DEADLINE_SECONDS)

    patience = {"sleep": pause, "clock": lambda: time.time() + sum(late)}
    session = replace(gateway.session, platform=spoiling, **patience)
    with pytest.raises(NotReadyError, match=f"Envoy has refused routes .update_{reason}"):
        shift(session, split(8000), why="")
    assert gateway.variants() == gateway.expected(split(3000))
    assert gateway.run("status") == 0
    shown = capsys.readouterr().out
    assert "NOT IN EFFECT" in shown
    assert "not finished" in shown
    assert gateway.run("shift", "70/30", "--yes") == 0
    assert gateway.steps[-2:] == ["intent", "reverted"]
    capsys.readouterr()
    assert gateway.run("status", "-o", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["programmed"] == found["desired"] == {"control": 0.7, "treatment": 0.3}
    assert (found["intent"], found["drifted"]) == (None, False)


def test_nobody_shifts_without_consent_and_a_dry_run_changes_nothing(gateway, capsys):
    assert gateway.run("shift", "treatment=50%") == 2
    assert "--yes" in capsys.readouterr().err
    assert gateway.run("shift", "treatment=50%", "--dry-run=server") == 0
    assert gateway.run("shift") == 2
    assert gateway.run("shift", "treatment=200%", "--yes") == 2
    assert gateway.run("shift", "other=20%", "--yes") == 2
    assert gateway.steps == ["intent", "applied"]
    assert gateway.variants() == gateway.expected(split(3000))


def test_a_gateway_that_is_gone_is_an_error_with_its_address(gateway, capsys):
    gateway.stop()
    assert gateway.run("shift", "70/30", "--yes", "--timeout", "0.2") == 5
    assert f"{HOST}:{gateway.admin}" in capsys.readouterr().err
    assert gateway.run("status") == 0
    assert "does not answer" in capsys.readouterr().out


def test_a_variant_that_is_down_gets_no_weight_and_its_failures_bear_its_name(tmp_path, capsys):
    gateway = Gateway(tmp_path, dead=["treatment"])
    try:
        gateway.start()
        assert gateway.run("shift", "treatment=50%", "--yes") == 5
        assert "treatment is not ready" in capsys.readouterr().err
        assert gateway.steps == ["intent", "applied"]
        # What Envoy answers in its stead is a failure of the treatment, not of nobody.
        assert gateway.ask(**{"x-force": "treatment"})[:2] == (503, "treatment")
        assert gateway.run("shift", "100/0", "--yes") == 0
        assert set(gateway.variants()) == {"control"}
    finally:
        gateway.stop()


def test_feedback_goes_to_the_variant_that_answered(gateway):
    for name in NAMES:
        headers = {"x-ab-variant": name, "x-user-id": "u"}
        assert gateway.ask("/feedback", **headers) == (200, name, name)
    status, stamped, body = gateway.ask("/feedback", **{"x-user-id": "u"})
    assert (status, stamped) == (400, None)
    assert "x-ab-variant" in body


def test_a_connection_that_lasts_too_long_ends_with_an_answer(tmp_path, monkeypatch):
    """Else a pod that leaves would take the requests with it that just then arrive."""
    (other,), original = free_ports(1), envoy.bootstrap

    def with_another_entrance(*args, **kwargs):
        """It is no different, but that it closes connections without a word."""
        static = original(*args, **kwargs)
        listeners = static["static_resources"]["listeners"]
        (filter_,) = listeners[0]["filter_chains"][-1]["filters"]
        config = filter_["typed_config"]
        config |= {"drain_timeout": "0.5s"}  # instead of 5 s
        plain = {k: v for k, v in config.items() if k != "http1_safe_max_connection_duration"}
        address = {"socket_address": {"address": HOST, "port_value": other}}
        filters = [{**filter_, "typed_config": plain}]
        chains = [{"filters": filters}]
        listeners.append({"name": "other", "address": address, "filter_chains": chains})
        return static

    monkeypatch.setattr(_envoy_bootstrap, "_CONNECTION_DURATION", "1s")
    monkeypatch.setattr(envoy, "bootstrap", with_another_entrance)
    gateway = Gateway(tmp_path)
    try:
        connection = gateway.start().connect()
        later = http.client.HTTPConnection(HOST, other, timeout=DEADLINE_SECONDS)
        for each in (connection, later):
            while each.sock is None:  # where an answer takes as long, it is the last one
                assert _ask(each, "/v2", {})[0] == 200
        assert later.sock.recv(1) == b"", "it was to be closed"
        later.close()
        assert _ask(connection, "/v2", {})[0] == 200
        assert connection.sock is None, "it goes on"
    finally:
        gateway.stop()


def test_what_is_not_started_is_an_error_with_a_hint(tmp_path, capsys):
    path = tmp_path / "iris.yaml"
    path.write_text(EXPERIMENT)
    for name, *words in (("status",), ("shift", "50/50", "--yes")):
        assert run([name, str(path), *words, "--state", str(tmp_path / "none")]) == 5
        printed = capsys.readouterr().err
        assert "iris was not started" in printed
        assert "hint: abctl local up" in printed


def test_an_interrupted_shift_says_how_to_go_on(gateway, capsys, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("abctl.session.shift.wait_until_in_effect", interrupted)
    assert gateway.run("shift", "50/50", "--yes") == 130
    assert "the same command finishes it" in capsys.readouterr().err
    monkeypatch.undo()
    assert gateway.steps[-1] == "intent"
    assert gateway.run("shift", "50/50", "--yes") == 0
    assert "was not finished" in capsys.readouterr().err
    assert gateway.steps[-1] == "applied"


def test_watching_answers_again_only_when_something_changed(gateway, capsys, monkeypatch):
    def pause(_):
        steps = gateway.steps
        if len(steps) == 6:
            raise KeyboardInterrupt
        # At every other look nothing has happened.
        if pause.looks % 2:
            shift(session, split(1000 * pause.looks), why="")
        pause.looks += 1

    pause.looks, session = 0, replace(gateway.session, sleep=lambda _: None)
    watch = SimpleNamespace(time=time.time, monotonic=time.monotonic, sleep=pause)
    monkeypatch.setattr("abctl.cli._watch.time", watch)
    assert gateway.run("status", "--watch") == 130
    shown = capsys.readouterr().out
    assert [line.split()[3] for line in shown.splitlines() if "treatment" in line] == [
        "30%",
        "10%",
        "30%",
    ]
