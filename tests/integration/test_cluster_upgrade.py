"""What an abctl of before has started, today's goes on with; what is newer is refused in words.

Ledgers, objects and a tombstone are those of `tests/golden`, as the abctl of that month wrote them.
"""

import json
import time
from pathlib import Path

import pytest
from controllers import Controllers
from prometheus_server import serving
from requests_history import requests

from abctl.cli.main import run
from abctl.core.time import format_moment, parse_moment

GOLDEN = Path(__file__).parents[1] / "golden"
NOVEMBER = GOLDEN / "forms_2026_11" / "clusters" / "istio.yaml"
DECEMBER = GOLDEN / "forms_2026_12" / "gateway.yaml"
PLAYED = ("deployments", "httproutes", "inferenceservices")
LEDGER = "configmap/abctl-iris"
KINDS = "configmaps,httproutes,virtualservices"


class Before:
    """An experiment as it stands in a cluster, for today's commands."""

    def __init__(self, cluster, file, capsys):
        self.cluster, self.file, self.capsys = cluster, file, capsys
        self.kept = json.loads(file.with_suffix(".json").read_text())
        target, ledger = self.kept["target"], self.kept["ledger"]
        self.namespace = ledger["metadata"]["namespace"]
        self.target = f"{target['kind'].lower()}/{target['metadata']['name']}"
        self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        for label in ("abctl.dev/experiment", "abctl.dev/ended"):  # of an earlier test
            self.cluster.kubectl("-n", self.namespace, "delete", KINDS, "-l", label)
        self.create(target)
        if said := ledger["data"].get("target"):
            # Here the object is another one than then.
            uid = self.read(self.target)["metadata"]["uid"]
            ledger["data"]["target"] = json.dumps({**json.loads(said), "uid": uid})

    def create(self, obj):
        words = ("apply", "--server-side", "--field-manager=abctl", "-f", "-")
        self.cluster.kubectl(*words, stdin=json.dumps(obj))

    def read(self, what):
        return self.cluster.read("-n", self.namespace, what)

    def run(self, command, *more, code=0, file=None):
        """What it prints on stdout, as JSON if asked; of a refusal what it says."""
        where = ("--kubeconfig", str(self.cluster.kubeconfig), "-n", self.namespace)
        what = [] if command == "list" else [str(file or self.file)]
        self.capsys.readouterr()
        got = run([command, *what, *more, *where])
        out, err = self.capsys.readouterr()
        assert got == code, err
        return json.loads(out) if "json" in more else out + err

    def with_renamed(self, folder):
        """The file of another experiment, with the same salt."""
        path = folder / "other.yaml"
        path.write_text(
            self.file.read_text().replace("metadata: {name: iris,", "metadata: {name: o,")
        )
        return path


@pytest.fixture
def before(crds, capsys):
    def made(file):
        return Before(crds, file, capsys)

    return made


def an_hour_ago(ledger):
    """The same entries with the same distances; lines of that form have no digest."""
    lines = [json.loads(line) for line in ledger["data"]["ledger.jsonl"].splitlines()]
    later = time.time() - 3600 - parse_moment(lines[-1]["at"])
    for line in lines:
        line["at"] = format_moment(parse_moment(line["at"]) + later)
    data = {**ledger["data"], "ledger.jsonl": "".join(f"{json.dumps(each)}\n" for each in lines)}
    return {**ledger, "data": data}


def test_an_experiment_of_the_first_forms_is_gone_on_with(before, tmp_path):
    now = before(NOVEMBER)
    first = now.kept["ledger"]["data"]
    now.create(an_hour_ago(now.kept["ledger"]))
    with Controllers(now.cluster, now.namespace, *PLAYED):
        # The way of the runbook: the objects as today's abctl has them, the split as it is.
        now.run("apply", "--yes")
        seen = now.run("status", "-o", "json")
        assert (seen["asked"], seen["intent"]) == ({"control": 0.7, "treatment": 0.3}, None)
        told = requests(time.time() - 3000, time.time(), "control", "treatment")
        with serving(tmp_path / "prometheus", history=told) as url:
            analysis = now.run("analyze", "--prometheus", url, "-o", "json")
        assert analysis["verdict"]["kind"] in ("invalid", "continue")
        assert analysis["epochs"][-1]["split"] == {"control": 0.7, "treatment": 0.3}
        now.run("shift", "treatment=50%", "--yes", "--actor", "carl")
        log = now.run("log", "-o", "json")["entries"]
        assert [each["actor"] for each in log] == ["ann", "ann", "bob", "bob", "carl", "carl"]
        now.run("rollback", "--yes")
        data = now.read(LEDGER)["data"]
        assert (data["plan.json"], data["digest"]) == (first["plan.json"], first["digest"])
        now.run("delete", "--yes")
    (ended,) = now.run("list", "--all", "-o", "json")["experiments"]
    assert ended["name"] == "iris"


def test_an_experiment_of_december_and_its_tombstone(before, tmp_path):
    now = before(DECEMBER)
    now.create(now.kept["ledger"])
    with Controllers(now.cluster, now.namespace, *PLAYED):
        now.run("apply", "--yes")
        now.run("shift", "treatment=50%", "--yes")
        now.run("rollback", "--yes")
        entries = now.run("log", "-o", "json")["entries"]
        assert [each["actor"] for each in entries][:4] == ["ann", "ann", "bob", "bob"]
        now.run("delete", "--yes")
        now.cluster.kubectl("-n", now.namespace, "delete", "cm", "-l", "abctl.dev/ended")
        now.create(now.kept["tombstone"])
        said = now.run("apply", "--dry-run=server", file=now.with_renamed(tmp_path), code=5)
        assert "salt 'iris-1' was used by iris" in said


@pytest.mark.parametrize("file", [NOVEMBER, DECEMBER], ids=["november", "december"])
def test_a_newer_ledger_is_refused_and_nothing_is_written(before, file, tmp_path):
    now = before(file)
    ledger = now.kept["ledger"]
    newer = {**ledger["data"], "format": "99", "writtenBy": "abctl 9.0.0"}
    now.create({**ledger, "data": newer})
    changed = tmp_path / "iris.yaml"
    changed.write_text(file.read_text().replace("mde: 2pp", "mde: 3pp"))

    def state():
        found = (now.read(LEDGER), now.read(now.target))
        return [each["metadata"]["resourceVersion"] for each in found]

    there = state()
    for command, *more in (
        ("log",),
        ("analyze", "--prometheus", "http://127.0.0.1:1"),
        ("shift", "treatment=50%", "--yes"),
        ("promote", "treatment", "--yes"),
        ("apply", "--yes"),
        ("diff",),
        ("adopt", "--yes", "--why", "x"),
        ("delete", "--yes"),
    ):
        said = now.run(command, *more, code=5)
        assert "written by abctl 9.0.0 as format 99" in said, command
        assert "use a newer abctl" in said, command
    # What the object says needs no ledger.
    said = now.run("status")
    assert "NOT SEEN: the ledger" in said
    assert "written by abctl 9.0.0 as format 99" in said
    said = now.run("amend", "--why", "x", "--yes", file=changed, code=5)
    assert "written by abctl 9.0.0 as format 99" in said
    assert state() == there
    # All but the way back; no pods are played here.
    with Controllers(now.cluster, now.namespace, "httproutes"):
        said = now.run("rollback", "--yes", "--force")
    assert "written by abctl 9.0.0" in said
    assert now.read(LEDGER)["metadata"]["resourceVersion"] == there[0]
    assert now.read(now.target)["metadata"]["resourceVersion"] != there[1]
