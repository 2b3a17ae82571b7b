"""`abctl controller` on a real API server: what it does, says and survives.

Pods, requests and the clock of experiments are made up (see `ramped`); objects, Leases, Events,
the CRD with its rules and the processes are real.
"""

import copy
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from threading import Thread

import pytest
import yaml
from api_server import DEADLINE_SECONDS, ROOT, wait_for
from controllers import Controllers
from ramped import FILE, World

from abctl.cli.main import run as abctl
from abctl.controller.loop import Controller, Settings
from abctl.controller.permitted import Allowed
from abctl.local.identity import die_with
from abctl.session.say import say
from abctl.sources.scrape import Scraped
from abctl.spec import crd, parse, reach

pytestmark = pytest.mark.process
NAME, KIND = "experiments.abctl.dev", "Experiment"
RBAC = (ROOT / "k8s" / "components" / "controller" / "rbac.yaml").read_text()
ABCTL = [sys.executable, "-c", "from abctl.cli.main import main; main()"]
HOST = "prometheus.test:9090"
GATED = "{steps: [5%, 20%, 50%], hold: 1m, onShip: promote, gate: [50%, promote]}"
RAMP = "{steps: [5%, 20%, 50%], hold: 1m, onShip: promote}"


@pytest.fixture(scope="module")
def installed(cluster):
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=crd.text())
    cluster.await_kinds(NAME)
    return cluster


class Place:
    """A namespace with experiments, and controllers of the test."""

    def __init__(self, cluster, namespace, folder):
        self.cluster, self.namespace, self.folder = cluster, namespace, folder
        self.worlds = {}

    def declare(self, name, ramp=RAMP, splits=("100%", "0"), source="", **made):
        """An object, and a world for what abctl does with it."""
        path = self.folder / f"{name}.jsonl"
        path.touch()
        text = FILE.format(name=name, namespace=self.namespace, pages=path, ramp=ramp)
        text = text.replace("100%", splits[0]).replace("split: 0", f"split: {splits[1]}")
        world = World(self.cluster, parse(text, "x"), path, text, begun=False, **made)
        self.worlds[name] = world
        file = yaml.safe_load(text)
        url = f"http://{HOST}/{name}"
        file["spec"]["source"] = {"prometheus": {"url": url}, "preset": "abctl"}
        if source is None:
            del file["spec"]["source"]
        self.apply(file)
        return world

    def apply(self, file, **how):
        words = ("apply", "--server-side", "--force-conflicts", "-f", "-")
        return self.cluster.kubectl(*words, stdin=json.dumps(file), **how)

    def adjusted(self, session):
        """The experiment's own clock; half a minute passes before each look."""
        world = self.worlds[session.experiment.name]
        world.pass_time(30.0)
        timed = {"clock": lambda: world.now, "sleep": world.pass_time, "ready": lambda _: True}
        return replace(session, world=session.audit.client, **timed)

    @contextmanager
    def controller(self, **settings):
        given = {
            "kubeconfig": self.cluster.kubeconfig,
            "namespaces": (self.namespace,),
            "interval_seconds": 0.2,
            "allowed": Allowed(frozenset([HOST])),
            "adjusted": self.adjusted,
        }
        found = []
        made = Controller(Settings(**given | settings), lambda *look: found.append(look))
        thread = Thread(target=made.run, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            made.stop()
            thread.join(DEADLINE_SECONDS)
            assert not thread.is_alive()

    def object(self, name):
        return self.cluster.read(NAME, name, "-n", self.namespace)

    def status(self, name):
        return self.object(name).get("status") or {}

    def conditions(self, name):
        return {c["type"]: c for c in self.status(name).get("conditions") or ()}

    @cached_property
    def account(self):
        """The controller's own, with the rights that k8s/ gives it and no others."""
        own = f"namespace: {self.namespace}"
        self.cluster.kubectl("apply", "-f", "-", stdin=RBAC.replace("namespace: models", own))
        words = ("create", "token", "abctl-controller", "-n", self.namespace)
        path, token = self.folder / "controller.json", self.cluster.kubectl(*words).strip()
        return self.cluster.write_kubeconfig(path, token, namespace=self.namespace)

    def command(self, name, *words):
        where = ("-n", self.namespace, "--kubeconfig", str(self.cluster.kubeconfig))
        assert abctl([name, *words, *where]) == 0

    def events(self, name):
        found = self.cluster.read("events.events.k8s.io", "-n", self.namespace)["items"]
        own = [each for each in found if each["regarding"]["name"] == name]
        return sorted((e["type"], e["reason"]) for e in own if e["regarding"]["kind"] == KIND)

    def wait(self, name, **wanted):
        """Until the status has all of it."""
        wait_for(
            lambda: wanted.items() <= self.status(name).items(),
            f"{name}: {wanted}",
            lambda: str(self.status(name)),
        )
        return self.status(name)


@pytest.fixture
def place(installed, namespace, tmp_path, monkeypatch):
    found = Place(installed, namespace, tmp_path)

    class Told(Scraped):
        def __init__(self, world):
            super().__init__(world.path)
            self.world = world

        def now(self):
            return self.world.now

    def source(options, *_):
        return Told(found.worlds[options["url"].rpartition("/")[2]])

    monkeypatch.setattr(reach, "prometheus", source)
    return found


class Process:
    """`abctl controller`, as whoever runs it has it."""

    def __init__(self, place, name):
        self.log = place.folder / f"{name}.log"
        words = ["controller", "-n", place.namespace, "--kubeconfig", place.account]
        words += ["--interval", "1s", "--timeout", "5s", "--prometheus", "http://127.0.0.1:1"]
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ABCTL_", "KUBE"))}
        with self.log.open("w") as log:
            self.running = subprocess.Popen(
                [*ABCTL, *map(str, words)],
                stdout=log,
                stderr=log,
                env={**kept, "XDG_CACHE_HOME": str(place.folder)},
                preexec_fn=die_with(os.getpid()),  # noqa: PLW1509 - whatever ends the tests ends it
            )

    def end(self, signum):
        self.running.send_signal(signum)
        return self.running.wait(DEADLINE_SECONDS)


@pytest.fixture
def begin(place):
    """Begins processes, none of which outlives the test."""
    begun = []

    def begin_one(name):
        begun.append(Process(place, name))
        return begun[-1]

    yield begin_one
    for each in begun:
        each.end(signal.SIGKILL)


def holder(place):
    found = place.cluster.read("lease", "-n", place.namespace)["items"]
    return found[0]["spec"]["holderIdentity"] if found else ""


def test_killed_in_the_middle_its_successor_finishes(place, begin):
    if not hasattr(place.cluster, "write_kubeconfig"):
        pytest.skip("NOT TESTED: needs an API server of our own, not a given cluster")
    world = place.declare("iris", splits=("90%", "10%"), source=None)
    one = begin("one")
    # Its servers are not ready yet, and nobody says so.
    place.wait("iris", phase="Starting")
    first = holder(place)
    two = begin("two")
    wait_for(lambda: "drives the experiments" in two.log.read_text(), "two", two.log.read_text)
    opened = world.ledger
    assert (opened.intent is not None, place.status("iris").get("split")) == (True, None)
    assert (one.end(signal.SIGKILL), holder(place)) == (-signal.SIGKILL, first)
    with Controllers(place.cluster, place.namespace, "deployments.apps"):
        place.wait("iris", phase="Progressing", split="90/10", verdict="invalid")
    assert holder(place) not in ("", first)
    assert world.ledger.entries[: len(opened.entries)] == opened.entries
    assert place.conditions("iris")["Trusted"]["status"] == "Unknown"
    say(world.session(), "aborted", why="enough")
    place.wait("iris", phase="Completed", split="100/0")
    assert place.conditions("iris")["Completed"]["reason"] == "Aborted"
    assert (two.end(signal.SIGTERM), holder(place)) == (0, "")
    assert "iris  Completed stop 100/0: everything" in two.log.read_text()
    assert "Traceback" not in one.log.read_text() + two.log.read_text()


def test_one_is_promoted_one_rolled_back_and_one_refused(place):
    better, worse = place.declare("better", GATED), place.declare("worse", failed=(0.01, 0.3))
    hostile = yaml.safe_load(better.text)
    hostile["metadata"]["name"] = "hostile"
    place.apply(hostile)
    place.declare("newer")
    labels = {"abctl.dev/experiment": "newer"}
    meta = {"name": "abctl-newer", "namespace": place.namespace, "labels": labels}
    data = {"plan.json": "{}", "ledger.jsonl": "", "format": "99"}
    place.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})
    stand_ins = Controllers(place.cluster, place.namespace, "deployments.apps")
    with stand_ins, place.controller():
        place.wait("better", phase="Waiting", gate="50%")
        edited = copy.deepcopy(place.object("better"))
        edited = {key: edited[key] for key in ("apiVersion", "kind", "spec")}
        edited["metadata"] = {"name": "better", "namespace": place.namespace}
        edited["spec"]["metrics"][0]["mde"] = "1pp"
        refused = place.apply(edited, check=False)
        assert refused.returncode == 1
        assert "spec.metrics is locked since the start" in refused.stderr
        place.command("approve", "abx/better", "--why", "it looks fine")
        better.done = (0.6, 0.9)
        place.wait("better", phase="Waiting", gate="promote")
        place.command("approve", "abx/better", "--why", "ship it")
        for name in ("better", "worse"):
            place.cluster.kubectl(
                *("wait", f"abx/{name}", "-n", place.namespace),
                *("--for=condition=Completed", f"--timeout={DEADLINE_SECONDS:g}s"),
            )
        place.wait("hostile", phase="Refused")
        place.wait("newer", phase="Starting")
    assert better.split["treatment"] == 10_000
    assert (worse.split["treatment"], place.status("worse")["verdict"]) == (0, "stop")
    rows = place.cluster.kubectl("get", "abx", "-n", place.namespace).splitlines()
    assert rows[0].split() == ["NAME", "PHASE", "VERDICT", "SPLIT", "AGE"]
    assert [row.split()[:4] for row in rows if row.startswith(("better", "worse"))] == [
        ["better", "Completed", "ship", "0/100"],
        ["worse", "Completed", "stop", "100/0"],
    ]
    ends = {name: place.conditions(name)["Completed"] for name in ("better", "worse")}
    assert {name: end["reason"] for name, end in ends.items()} == {
        "better": "Shipped",
        "worse": "Stopped",
    }
    assert "guardrail failed of treatment is worse" in ends["worse"]["message"]
    assert {c["status"] for k, c in place.conditions("better").items() if k != "Completed"} == {
        "True",
        "False",
    }
    newer = place.conditions("newer")["Ready"]
    assert (newer["status"], newer["reason"]) == ("False", "NotStarted")
    assert "newer" in newer["message"]
    stalled = place.conditions("hostile")["Stalled"]
    assert (stalled["status"], stalled["reason"]) == ("True", "Refused")
    assert "source.scrape: an object names no file" in stalled["message"]
    assert place.events("better") == [
        ("Normal", "Driven"),
        ("Normal", "GateWaits"),
        ("Normal", "GateWaits"),
        ("Normal", "Goes"),
        ("Normal", "Goes"),
        ("Normal", "Shipped"),
        *[("Normal", "SplitChanged")] * 4,
        ("Normal", "Trusted"),
    ]
    assert place.events("hostile") == [("Warning", "Refused")]
