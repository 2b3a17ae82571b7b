"""An application that reports only conversions, late and twice: rates are those it has counted."""

import csv
import json
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from api_server import DEADLINE_SECONDS as SECONDS

from abctl.cli.main import run
from abctl.core.analysis import Analysis
from abctl.local.identity import wait_for
from abctl.session import ledger, local_stack, local_world
from abctl.session.analyze import analyze
from abctl.session.session import Session
from abctl.spec import parse
from abctl.stats.estimate import Estimate

pytestmark = pytest.mark.process
MODELS = Path(__file__).parents[2] / "model_servers"
FLOWER = {"name": "predict", "shape": [1, 4], "datatype": "FP32", "data": [5.1, 3.5, 1.4, 0.2]}
MATURITY_SECONDS = 30
CAP = 8.0
AFTER_SECONDS = 1.0
EARLY = MATURITY_SECONDS - 1
TEXT = f"""
apiVersion: abctl.dev/v1alpha1
kind: Experiment
metadata: {{name: late}}
spec:
  platform: envoy
  assignment: {{unit: user, key: x-user-id, salt: late-1}}
  variants:
    - {{name: control,   split: 50%, model: {{name: iris, version: v1}}}}
    - {{name: treatment, split: 50%, model: {{name: iris, version: v2}}}}
  outcomes:
    - {{name: click, kind: binary, maturity: {MATURITY_SECONDS}s, EARLY}}
    - {{name: spent, kind: number, times: many, cap: {CAP}, maturity: {MATURITY_SECONDS}s, EARLY}}
    - {{name: back, kind: return, after: {AFTER_SECONDS:g}s, maturity: {MATURITY_SECONDS}s}}
  metrics:
    - {{name: clicks, role: primary, kind: proportion, of: click, per: request, direction: UP}}
    - {{name: clickers, role: secondary, kind: proportion, of: click, per: user, direction: UP}}
    - {{name: revenue, role: secondary, kind: mean, of: spent, per: user, direction: UP}}
    - {{name: basket, role: secondary, kind: ratio, of: spent, over: click, direction: UP}}
    - {{name: retained, role: secondary, kind: retention, of: back, direction: UP}}
    - {{name: reported, role: secondary, kind: proportion, of: click, direction: UP}}
  log: {{inputs: [predict]}}
  design: {{minDuration: 5s, maxDuration: 1h, settle: 2s}}
""".replace("UP", "increase").replace("EARLY", f"early: [{EARLY}s]")


class Application:
    """What it asked for, and what happened then, by variant."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: list[tuple[str, str, str]] = []  # variant, user, token
        self.clicks: dict[str, int] = defaultdict(int)
        self.clickers: dict[str, set[str]] = defaultdict(set)
        self.spent: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self.paid: dict[str, float] = defaultdict(float)

    def ask(self, users: int, times: int) -> None:
        infer = f"{self.url}/v2/models/iris/infer"
        with requests.Session() as session:
            for i in range(users * times):
                user = f"u{i % users}"
                answer = session.post(
                    infer, json={"inputs": [FLOWER]}, headers={"x-user-id": user}, timeout=30
                )
                assert answer.status_code == 200
                headers = answer.headers
                self.answers.append((headers["x-ab-variant"], user, headers["x-ab-token"]))

    def happened(self) -> list[dict[str, Any]]:
        """Reports of what happened; nothing of what did not."""
        rng, reports = random.Random(1), list[dict[str, Any]]()
        for variant, user, token in self.answers:
            if rng.random() < 0.3:
                self.clicks[variant] += 1
                self.clickers[variant].add(user)
                reports.append({"token": token, "outcome": "click", "value": 1})
            for event in range(rng.randrange(3)):
                value = round(rng.uniform(1, 9), 2)
                self.spent[variant][user] += value
                self.paid[variant] += min(value, CAP)
                reports.append(
                    {"token": token, "outcome": "spent", "value": value, "id": f"e{event}"}
                )
        return reports

    def requests(self, variant: str) -> int:
        return sum(name == variant for name, _, _ in self.answers)

    def users(self, variant: str) -> int:
        return len({user for name, user, _ in self.answers if name == variant})


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Session, str, Path]]:
    folder = tmp_path_factory.mktemp("late")
    experiment, state_dir = parse(TEXT, "late.yaml"), folder / "late"
    (folder / "late.yaml").write_text(TEXT)
    try:
        found = local_stack.up(
            experiment,
            state_dir=state_dir,
            models_dir=MODELS,
            tied=True,
            report=lambda _: None,
        )
        yield local_world.session(experiment, state_dir), found.entrance_url, folder
    finally:
        local_stack.down(state_dir)


def effect(found: Analysis, name: str) -> Estimate:
    (metric,) = [metric for metric in found.metrics if metric.name == name]
    result = metric.comparisons[0].effect
    assert isinstance(result, Estimate), result
    return result


def test_rates_are_those_of_the_application(
    stack: tuple[Session, str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    session, url, folder = stack
    begins = ledger.read(session.world, session.experiment).ledger.counts_from(2.0)
    assert begins is not None
    assert wait_for(lambda: session.clock() > begins + 1.5, SECONDS)
    application = Application(url)
    began = time.monotonic()
    application.ask(users=240, times=1)
    time.sleep(AFTER_SECONDS)  # of the users' own: who comes again later than that has returned
    application.ask(users=40, times=1)
    reports = application.happened()
    assert time.monotonic() - began < MATURITY_SECONDS - 3, "too slow to report in time"
    # Half of it at once and twice; the rest from a file, some of which was sent already.
    half = len(reports) // 2
    for _ in range(2):
        # Whichever server takes it passes it on.
        sent = requests.post(f"{url}/feedback", json={"items": reports[:half]}, timeout=30)
        assert sent.status_code == 200, sent.text
    labels = folder / "labels.csv"
    with labels.open("w", newline="") as file:
        table = csv.DictWriter(file, ("token", "outcome", "value", "id"))
        table.writeheader()
        table.writerows(reports[half - 10 :])
    assert run(["feedback", str(folder / "late.yaml"), str(labels), "--url", url]) == 0
    assert f"{len(reports) - half:,} counted, 10 reported before" in capsys.readouterr().out

    def mature() -> bool:
        wanted = {
            "clicks": len(application.answers),
            "clickers": sum(application.users(name) for name in ("control", "treatment")),
        }
        found = {metric.name: metric.comparisons[0].effect for metric in analyze(session).metrics}
        return all(
            isinstance(result := found[name], Estimate) and sum(result.n) == count
            for name, count in wanted.items()
        )

    assert wait_for(mature, SECONDS)
    found = analyze(session)
    for i, name in enumerate(("control", "treatment")):
        measured = ("clicks", "clickers", "revenue", "basket", "retained")
        clicks, clickers, revenue, basket, retained = (
            (e.control, e.treatment)[i] for e in (effect(found, each) for each in measured)
        )
        assert clicks == pytest.approx(application.clicks[name] / application.requests(name))
        users = application.users(name)
        assert clickers == pytest.approx(len(application.clickers[name]) / users)
        sums = [min(each, CAP) for each in application.spent[name].values()]
        assert revenue == pytest.approx(sum(sums) / users)
        assert basket == pytest.approx(application.paid[name] / application.clicks[name])
        again = {user for variant, user, _ in application.answers[240:] if variant == name}
        assert retained == pytest.approx(len(again) / users)
    # An earlier look is at the same predictions, with what had come by then.
    look, last = effect(found, f"clicks@{EARLY}s"), effect(found, "clicks")
    assert look.n == last.n
    assert look.control <= last.control
    assert look.treatment <= last.treatment
    # The log of predictions knows each of them, and its token.
    assert run(["logs", str(folder / "late.yaml"), "--state", str(folder / "late")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2 * 20
    logged = local_stack.log_of_predictions(folder / "late", lines=1000)
    known = [json.loads(line) for _, line in logged]
    tokens = {each["token"]: each["variant"] for each in known}
    assert tokens == {token: name for name, _, token in application.answers}
    assert all(each["inputs"] == {"predict": FLOWER["data"]} for each in known)
    # Per report everything is 100%, which is told.
    assert "fewReports" in [note.code for note in found.notes]


def test_what_is_wrong_in_a_file_of_labels_has_its_place(
    stack: tuple[Session, str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    _, url, folder = stack
    for text, said in (
        ("", "token and value"),
        ("token,value\n", "no rows"),
        ("token,outcome,value\na,click,yes\n", "line 2: value 'yes'"),
        ("token,outcome,value\na,clack,1\n", "line 2: outcome 'clack'"),
        ("token,value\na,1\n", "line 2: has no outcome"),
        ("token,value,weight\na,1,2\n", "line 2: weight"),
    ):
        (folder / "bad.csv").write_text(text)
        command = ["feedback", str(folder / "late.yaml"), str(folder / "bad.csv"), "--url", url]
        assert run(command) == 2
        assert said in capsys.readouterr().err
    (folder / "forged.csv").write_text("token,outcome,value\n1.a.Zm9yZ2Vk,click,1\n")
    assert run([*command[:2], str(folder / "forged.csv"), "--url", url]) == 3
    assert "refused 1: token" in capsys.readouterr().err
