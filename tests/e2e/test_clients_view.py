"""What clients of the real local stack get is what abctl says, whatever the servers count."""

import hashlib
import os
import shutil
import signal
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import joblib
import pytest
import requests
from api_server import DEADLINE_SECONDS as SECONDS
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from abctl.core.analysis import Analysis
from abctl.core.reasons import Reason
from abctl.doctor import examine
from abctl.evidence.absence import silences
from abctl.local.identity import wait_for
from abctl.session import local_stack, local_world
from abctl.session.analyze import analyze, source_of, telemetry
from abctl.session.session import Session
from abctl.session.status import StatusReader
from abctl.spec import parse

pytestmark = pytest.mark.process
MODELS = Path(__file__).parents[2] / "model_servers"
FLOWER = {"name": "predict", "shape": [1, 4], "datatype": "FP32", "data": [5.1, 3.5, 1.4, 0.2]}
TEXT = """
apiVersion: abctl.dev/v1alpha1
kind: Experiment
metadata: {name: NAME}
spec:
  platform: envoy
  assignment: {unit: user, key: x-user-id, salt: NAME-1}
  variants:
    - {name: control,   split: 50%, model: {name: iris, version: v1}}
    - {name: treatment, split: 50%, model: {name: iris, version: v2}}
  metrics:
    - {name: errors, role: primary, kind: proportion, of: errors, direction: decrease}
    - name: latency
      role: guardrail
      kind: quantile
      quantile: 0.95
      of: latency
      direction: decrease
      margin: 50%
  design: {minDuration: 5s, maxDuration: 1h, settle: 2s}
"""


@dataclass
class Driver:
    """Clients that ask one after the other, and remember what they got."""

    url: str
    inputs: list[dict[str, Any]] = field(default_factory=lambda: [{"inputs": [FLOWER]}])
    statuses: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def ask(self, user: int, session: requests.Session) -> None:
        body = self.inputs[user % len(self.inputs)]
        began = time.monotonic()
        answer = session.post(self.url, json=body, headers={"x-user-id": f"u{user}"}, timeout=30)
        variant = answer.headers["x-ab-variant"]
        self.seconds[variant].append(time.monotonic() - began)
        self.statuses[variant].append(answer.status_code)

    def ask_at(self, rate: float, seconds: float) -> None:
        """Requests that come whether or not earlier ones were answered, as those of many users."""
        began = time.monotonic()

        def one(user: int) -> None:
            with requests.Session() as session:
                self.ask(user, session)

        workers = [threading.Thread(target=one, args=(i,)) for i in range(int(rate * seconds))]
        for i, each in enumerate(workers):
            time.sleep(max(0.0, began + i / rate - time.monotonic()))
            each.start()
        for each in workers:
            each.join()

    @contextmanager
    def asking(self, threads: int, pause_seconds: float = 0.02) -> Iterator[None]:
        over = threading.Event()

        def work(first: int) -> None:
            with requests.Session() as session:
                user = first
                while not over.is_set():
                    self.ask(user, session)
                    user += threads
                    over.wait(pause_seconds)

        workers = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
        for each in workers:
            each.start()
        try:
            yield
        finally:
            over.set()
            for each in workers:
                each.join()


@contextmanager
def running(
    name: str, folder: Path, models: Path = MODELS
) -> Iterator[tuple[local_stack.Stack, Session, int]]:
    experiment = parse(TEXT.replace("NAME", name), f"{name}.yaml")
    state_dir = folder / name
    try:
        stack = local_stack.up(
            experiment, state_dir=state_dir, models_dir=models, tied=True, report=lambda _: None
        )
        pid = next(p.pid for p in stack.processes if p.name == "mlserver-treatment")
        yield stack, local_world.session(experiment, state_dir), pid
    finally:
        local_stack.down(state_dir)


def infer(stack: Any) -> str:
    return f"{stack.entrance_url}/v2/models/iris/infer"


@pytest.mark.parametrize("prometheus", [True, False])
def test_a_killed_server_is_told_within_ten_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, prometheus: bool
) -> None:
    if not prometheus:
        monkeypatch.delenv("ABCTL_PROMETHEUS", raising=False)
        monkeypatch.setenv("PATH", "/nowhere")
    with running("killed", tmp_path) as (stack, session, pid), Driver(infer(stack)).asking(4):
        assert wait_for(lambda: _good(analyze(session)) > 50, SECONDS)
        assert StatusReader(session)().silent == ()
        os.kill(pid, signal.SIGKILL)
        killed = time.time()

        told: dict[str, Callable[[], Iterable[Reason]]] = {
            "analyze": lambda: _told(analyze(session)),
            "status": lambda: StatusReader(session)().silent,
            "doctor": lambda: (check.reason for check in examine(session, users=1)),
        }
        for where, reasons in told.items():

            def named(reasons: Callable[[], Iterable[Reason]] = reasons) -> bool:
                found = {(r.code, r.facts.get("variant")) for r in reasons()}
                return ("noGoodAnswer", "treatment") in found

            assert wait_for(named, SECONDS), where
        # How long the commands take is the machine's affair; what they read was there by then.
        source, asked = source_of(session), telemetry(session.experiment, session.world)
        shares = session.experiment.split.ratios
        in_time = silences(source, asked, shares, killed + 10.0)
        assert [each.variant for each in in_time] == ["treatment"]
        assert wait_for(lambda: analyze(session).verdict.kind == "stop", SECONDS)
        answers = analyze(session).variants[1].answers
        assert answers is not None
        assert answers.view == "clients"
        assert answers.unanswered == answers.failed > 0


def _good(found: Analysis) -> float:
    answers = found.variants[1].answers
    return answers.good if answers else 0.0


def _told(found: Analysis) -> tuple[Reason, ...]:
    return (*found.verdict.reasons, *found.notes)


def test_what_a_model_refuses_and_the_other_answers_is_shown_and_never_ships(
    tmp_path: Path,
) -> None:
    """LinearSVC has no predict_proba, which a fifth of the clients asks for."""
    models = tmp_path / "models"
    data = load_iris(return_X_y=True)
    for version, model in (("v1", LogisticRegression(max_iter=500)), ("v2", LinearSVC())):
        folder = models / version
        shutil.copytree(MODELS / version, folder)
        joblib.dump(model.fit(*data), folder / "model.joblib")
        digest = hashlib.sha256((folder / "model.joblib").read_bytes()).hexdigest()
        (folder / "model.joblib.sha256").write_text(f"{digest}  model.joblib\n")
    with running("refusing", tmp_path, models) as (stack, session, _):
        plain = {"inputs": [FLOWER]}
        bodies = [{**plain, "outputs": [{"name": "predict_proba"}]}, *[plain] * 4]
        driver = Driver(infer(stack), bodies)
        with driver.asking(4, pause_seconds=0.0):
            assert wait_for(lambda: any(each.differ for each in analyze(session).refusals), 120.0)
        found = analyze(session)
    share = driver.statuses["treatment"].count(400) / len(driver.statuses["treatment"])
    control, treatment = (variant.answers for variant in found.variants)
    assert 400 not in driver.statuses["control"]
    assert control.refused == 0.0
    assert treatment.refused_ratio == pytest.approx(share, rel=0.2)
    assert found.verdict.kind != "ship"
    assert [r.facts["treatment"] for r in _told(found) if r.code == "refusalsDiffer"] == [
        "treatment"
    ]


def test_latency_is_what_clients_waited_for(tmp_path: Path) -> None:
    """The treatment's server stands still for 1.2 of every 3.8 seconds."""
    with running("pausing", tmp_path) as (stack, session, pid):
        driver, over = Driver(infer(stack)), threading.Event()

        def pause() -> None:
            while not over.wait(2.6):
                os.kill(pid, signal.SIGSTOP)
                over.wait(1.2)
                os.kill(pid, signal.SIGCONT)

        pausing = threading.Thread(target=pause)
        pausing.start()
        try:
            driver.ask_at(25.0, seconds=40.0)
        finally:
            over.set()
            pausing.join()
        asked = sum(map(len, driver.seconds.values()))
        # Those around the start do not count.
        assert wait_for(lambda: _requests(analyze(session)) > 0.8 * asked, SECONDS)
        found = analyze(session)
    waited = statistics.quantiles(driver.seconds["treatment"], n=20)[-1]
    control, treatment = found.variants
    assert waited > 0.5
    assert treatment.latency_p95_seconds == pytest.approx(waited, rel=0.2)
    assert control.latency_p95_seconds < 0.5 * waited
    [latency] = [metric for metric in found.metrics if metric.name == "latency"]
    assert not latency.comparisons[0].proven("non-inferior")
    assert found.verdict.kind != "ship"


def _requests(found: Analysis) -> float:
    return sum(variant.requests or 0.0 for variant in found.variants)
