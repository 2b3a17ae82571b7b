"""Replicas die, keys change, a volume is lost: rates are those that the application has counted.

Its reports come late and twice, and only of what happened. Everything is a real process, scraped
as in a cluster, and judged as it is there.
"""

import csv
import itertools
import json
import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from api_server import DEADLINE_SECONDS
from model_server import SERVERS, Server, plain, wait
from prometheus_server import serving
from real_collector import RealCollector

from abctl.analysis.judge import judge
from abctl.cli.main import run
from abctl.core.analysis import Analysis
from abctl.core.experiment import Experiment
from abctl.core.ledger import Entry, Ledger
from abctl.core.server import environment
from abctl.forms.plan import locked_plan
from abctl.session.analyze import gather, telemetry
from abctl.sources.prometheus import Prometheus
from abctl.spec import load
from abctl.stats.estimate import Estimate, NotEstimable

pytestmark = pytest.mark.process
BUCKETS = 64
TEXT = """
apiVersion: abctl.dev/v1alpha1
kind: Experiment
metadata: {name: replicas}
spec:
  platform: envoy
  assignment: {unit: user, key: x-user-id, salt: replicas-1, buckets: 64}
  source: {prometheus: {url: "http://unused"}, preset: abctl}
  variants:
    - {name: control,   split: 50%, model: {name: iris, version: v1}}
    - {name: treatment, split: 50%, model: {name: iris, version: v1}}
  outcomes:
    - {name: click, kind: binary, maturity: MATURITY}
    - {name: spent, kind: number, times: many, maturity: MATURITY}
  metrics:
    - {name: clicks, role: primary, kind: proportion, of: click, per: request, direction: UP}
    - {name: clickers, role: secondary, kind: proportion, of: click, per: user, direction: UP}
    - {name: reported, role: secondary, kind: mean, of: spent, direction: UP}
  design: {minDuration: 5s, maxDuration: 1d, settle: 2s}
""".replace("UP", "increase")
SCRAPES = """
global: {scrape_interval: 1s}
scrape_configs:
  - {job_name: models, static_configs: [SERVERS]}
  - {job_name: collector, honor_labels: true, static_configs: [COLLECTOR]}
"""
# Each: the processes of a variant. The control has two replicas.
PLACES = ("control", "control", "treatment")


def target(port: str | int, **more: str) -> str:
    labels = {"experiment": "replicas", "namespace": "default", **more}
    return json.dumps({"targets": [f"127.0.0.1:{port}"], "labels": labels})


@dataclass
class Application:
    """Users who each ask once, and what came of it: what it was told, it counts."""

    servers: list[Server]
    tokens: dict[str, tuple[str, str]] = field(default_factory=dict)  # by user
    asked: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PLACES, 0))
    clicks: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PLACES, 0))
    spent: dict[str, list[float]] = field(default_factory=lambda: {each: [] for each in PLACES})

    def ask(self, name: str, users: int) -> None:
        """Users of both variants; where a replica does not answer, the other one is asked."""
        for i in range(users):
            variant = ("control", "treatment")[i % 2]
            mine = [s for s in self.servers if s.environment["AB_VARIANT"] == variant]
            user, answer = f"{name}-{i}", None
            for server in itertools.islice(itertools.cycle(mine), i // 2 % 2, i // 2 % 2 + 2):
                try:
                    answer = server.infer(plain(), x_user_id=user)
                except requests.ConnectionError:
                    continue
                break
            assert answer is not None
            assert answer.status_code == 200
            self.asked[variant] += 1
            self.tokens[user] = variant, answer.headers["x-ab-token"]

    def signed(self, key: str) -> list[str]:
        """Tokens that were signed with a key."""
        return [token for _, token in self.tokens.values() if token.startswith(f"1.{key}.")]

    def happened(self) -> list[dict[str, Any]]:
        """Reports on every third of the users, and nothing of the others."""
        found = []
        for i, (_, token) in enumerate(self.tokens.values()):
            if i % 3 == 0:
                found.append({"token": token, "outcome": "click", "value": 1, "id": ""})
                found += [
                    {"token": token, "outcome": "spent", "value": float(i % 7), "id": f"e{event}"}
                    for event in range(i // 6 % 4)  # as many of each variant
                ]
        return found

    def counts(self, reports: list[dict[str, Any]]) -> None:
        """Those that were taken."""
        whose = {token: variant for variant, token in self.tokens.values()}
        for each in reports:
            if each["outcome"] == "click":
                self.clicks[whose[each["token"]]] += 1
            else:
                self.spent[whose[each["token"]]].append(each["value"])

    def send(self, to: str, reports: list[dict[str, Any]]) -> list[dict[str, Any]]:
        answer = requests.post(to, json={"items": reports}, timeout=DEADLINE_SECONDS)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["items"])


@dataclass
class World:
    """The processes, and who reads them."""

    folder: Path
    collector: RealCollector
    servers: list[Server]
    source: Prometheus
    experiment: Experiment
    ledger: Ledger

    def known_users(self) -> int:
        memory = sqlite3.connect(f"file:{self.folder}/collector/memory.db?mode=ro", uri=True)
        (found,) = memory.execute("SELECT count(*) FROM users").fetchone()
        memory.close()
        return int(found)

    def scraped(self, name: str, where: str = "") -> float:
        now = self.source.now()
        found = self.source.series(f"{name}{{{where}}}", now - 600, now)
        return sum(float(each.values[-1]) for each in found)

    def keys(self, change: Callable[[dict[str, Any]], None]) -> None:
        path = self.collector.folder / "keys.json"
        keys = json.loads(path.read_text())
        change(keys)
        path.write_text(json.dumps(keys))
        self.collector.kill()
        self.collector.start()

    def judged(self) -> Analysis:
        asked = telemetry(self.experiment)
        return judge(gather(self.experiment, self.ledger, self.source, asked))

    def effects(self) -> dict[str, Estimate | NotEstimable]:
        return {each.name: each.comparisons[0].effect for each in self.judged().metrics}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    (tmp_path / "collector").mkdir()
    collector = RealCollector(tmp_path / "collector", 3600, buckets=BUCKETS)
    own = {"AB_COLLECTOR": collector.url, "AB_KEYS": str(collector.folder / "keys.json")}
    with ExitStack() as running:
        running.callback(collector.kill)
        began, servers = time.monotonic(), []
        for i, variant in enumerate(PLACES):
            shutil.copytree(SERVERS / "v1", tmp_path / str(i))
            given = {**environment(experiment(tmp_path, 60), variant), **own}
            servers.append(Server(tmp_path / str(i), environment=given))
        for each in servers:  # all at once
            each.process = each.start()
            running.callback(ended, each)
        wait(lambda: all(each.ready() for each in servers))
        # One of them starts again before its reports are sent: that is in time on any machine.
        maturity_seconds = 15 + 2 * round(time.monotonic() - began)
        collector.matures_in(maturity_seconds)
        places = zip(servers, PLACES, strict=True)
        pages = ", ".join(target(each.ports[2], variant=name) for each, name in places)
        page = target(collector.url.rpartition(":")[2])
        config = SCRAPES.replace("SERVERS", pages).replace("COLLECTOR", page)
        url = running.enter_context(serving(tmp_path / "prometheus", config=config))
        asked = experiment(tmp_path, maturity_seconds)
        ledger, source = Ledger(locked_plan(asked)), Prometheus(url)
        made = World(tmp_path, collector, servers, source, asked, ledger)
        wait(lambda: made.scraped("up") == len(PLACES) + 1)
        now = time.time()
        made.ledger = ledger.with_entry(Entry(now, "me", None, asked.split, "begins", "applied"))
        wait(lambda: time.time() > now + 2 + 1.5)
        yield made


def experiment(folder: Path, maturity_seconds: float) -> Experiment:
    path = folder / "replicas.yaml"
    path.write_text(TEXT.replace("MATURITY", f"{maturity_seconds}s"))
    return load(path)


def ended(server: Server) -> None:
    assert server.process is not None
    server.process.kill()
    server.process.wait()


def test_rates_are_exact_though_a_replica_dies_and_keys_change(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    application, (_, second, _) = Application(world.servers), world.servers

    def settled() -> bool:
        counted = world.scraped("ab_requests_total", 'code="2xx"')
        asked = sum(application.asked.values())
        return counted == asked and world.known_users() == asked

    application.ask("before", 120)
    wait(settled)
    # A new key is known to the collector before anybody signs with it.
    world.keys(lambda keys: keys["signing"].update(b=secrets.token_hex(32)))
    world.keys(lambda keys: keys.update(current="b"))
    ended(second)  # kill -9
    application.ask("without", 48)
    second.process = second.start()
    wait(second.ready)
    application.ask("after", 72)
    signers = {token.split(".")[1] for _, token in application.tokens.values()}
    assert signers == {"a", "b"}
    report_late_and_twice(world, application, capsys)
    rates_are_those_of(world, application)
    without_the_old_key(world, application)
    without_the_volume(world, application)


def report_late_and_twice(
    world: World, application: Application, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half of it twice and by servers that did not answer, the rest in a file."""
    first, second, treatment = (each.url("/feedback") for each in world.servers)
    reports = application.happened()
    half = len(reports) // 2
    told = [application.send(url, reports[:half]) for url in (treatment, second)]
    assert not any(each["counted"] for each in told[1])
    pairs = zip(reports, told[0], strict=False)
    application.counts([report for report, each in pairs if each["counted"]])
    labels = world.folder / "labels.csv"
    with labels.open("w", newline="") as file:
        table = csv.DictWriter(file, ("token", "outcome", "value", "id"))
        table.writeheader()
        table.writerows(reports[half:])
    command = ["feedback", str(world.folder / "replicas.yaml"), str(labels), "-o", "json"]
    code = run([*command, "--url", first.removesuffix("/feedback")])
    found = json.loads(capsys.readouterr().out)
    # A slow machine is late with the oldest of them, and they are in order.
    late = sum(each["count"] for each in found["refused"])
    assert code == (3 if late else 0)
    assert found["counted"] + late == len(reports) - half
    application.counts(reports[half + late :])


def rates_are_those_of(world: World, application: Application) -> None:
    users = sum(application.asked.values())

    def mature() -> bool:
        found = world.effects()
        known = all(isinstance(each, Estimate) for each in found.values())
        # Each metric has a maturity of its own.
        return known and {sum(found[name].n) for name in ("clicks", "clickers")} == {users}

    wait(mature)
    effects = world.effects()
    for i, name in enumerate(("control", "treatment")):
        clicks, clickers, spent = (
            (each.control, each.treatment)[i]
            for each in map(effects.__getitem__, ("clicks", "clickers", "reported"))
            if isinstance(each, Estimate)
        )
        share = application.clicks[name] / application.asked[name]
        assert (clicks, clickers) == pytest.approx((share, share))
        assert spent == pytest.approx(sum(application.spent[name]) / len(application.spent[name]))


def without_the_old_key(world: World, application: Application) -> None:
    """After the longest maturity it goes, and nothing of it is believed any more."""
    world.keys(lambda keys: keys["signing"].pop("a"))
    assert "key that is not known" in refusal(world, application.signed("a")[0])


def without_the_volume(world: World, application: Application) -> None:
    """What was predicted before is refused by name, and nothing is estimated."""
    application.ask("lost", 12)
    world.collector.kill()
    for each in world.collector.folder.glob("memory.db*"):
        each.unlink()
    world.collector.start()
    assert "older than the collector's memory" in refusal(world, application.signed("b")[-1])

    def forgotten() -> bool:
        found = world.effects().values()
        return {e.why.code if isinstance(e, NotEstimable) else "" for e in found} == {"memoryLost"}

    wait(forgotten)
    wait(lambda: "collectorLost" in {note.code for note in world.judged().notes})


def refusal(world: World, token: str) -> str:
    report = {"token": token, "outcome": "click", "value": 1}
    answer = requests.post(world.servers[0].url("/feedback"), json=report, timeout=DEADLINE_SECONDS)
    assert answer.status_code == 422, answer.text
    return str(answer.json()["refused"])
