"""The collector's objects on a real API server: made, with keys that nobody sees, and kept."""

import base64
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from ab_runtime.token import Keys
from abctl.cli.main import run
from abctl.core.change import COLLECTOR, Ref
from abctl.core.collector import collector_name, is_made, keys_of
from abctl.core.outcome import Outcome
from abctl.doctor.world import examine
from abctl.session import apply as service
from abctl.session.delete import delete
from abctl.session.open import Where, open_session
from abctl.session.tree import tree
from abctl.spec import load

K8S = Path(__file__).parents[2] / "k8s"
# Of those whose servers run images; the others have a collector of their own making, or none.
IMAGES = [
    path.relative_to(K8S)
    for path in sorted((*K8S.glob("experiments/*.yaml"), *K8S.glob("overlays/*/experiment.yaml")))
    if is_made(replace(load(path), outcomes=(Outcome("accuracy", "binary"),)))
]


@pytest.fixture
def made(request, crds, namespace, tmp_path):
    """The file of an experiment with outcomes, and where it is to be."""
    crds.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    text = (K8S / getattr(request, "param", "experiments/envoy.yaml")).read_text()
    outcomes = "  outcomes: [{name: accuracy, kind: binary, maturity: 2h}]\n"
    text = re.sub("^  metrics:", f"{outcomes}  metrics:", text, flags=re.MULTILINE)
    file = tmp_path / "experiment.yaml"
    file.write_text(text.replace("namespace: models", f"namespace: {namespace}"))
    return file, Where(kubeconfig=crds.kubeconfig, namespace=namespace)


def keys(crds, session):
    ref = keys_of(session.experiment)
    return crds.read("-n", ref.namespace, "secret", ref.name)


@pytest.mark.parametrize("made", IMAGES, ids=str, indirect=True)
def test_it_is_accepted_by_every_platform_and_finds_no_difference(made, crds):
    file, where = made
    session = open_session(str(file), where)
    platform, experiment = session.platform, session.experiment
    for obj in (*platform.baseline(experiment), *session.objects):
        session.world.apply(obj)
    found = {Ref.of(o).kind for o in session.objects if COLLECTOR.items() <= _labels(o).items()}
    kinds = {"ConfigMap", "Deployment", "NetworkPolicy", "PersistentVolumeClaim", "Service"}
    assert found == kinds
    steps = service.steps(session, service.wanted(session))
    assert not [step.ref for step in steps if step.changes]


def _labels(obj):
    return obj["metadata"]["labels"]


def test_its_pod_and_those_that_know_its_keys_are_restricted(made, crds):
    file, where = made
    session = open_session(str(file), where)
    for obj in (o for o in session.objects if o["kind"] == "Deployment"):
        template = obj["spec"]["template"]
        head = {"name": "tried", "namespace": where.namespace, "labels": _labels(template)}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": head, "spec": template["spec"]}
        crds.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))


def test_keys_are_made_once_and_shown_nowhere(made, crds, capsys, tmp_path):
    file, where = made
    place = ["--kubeconfig", str(crds.kubeconfig)]
    assert run(["apply", str(file), *place, "--yes", "--no-wait"]) == 0
    session = open_session(str(file), where)
    first = keys(crds, session)
    content = _content(first)
    (tmp_path / "keys.json").write_text(content)
    token = Keys.from_file(tmp_path / "keys.json")
    assert len(token.unit) == len(token.signing["a"]) == 32
    assert run(["apply", str(file), *place, "--yes", "--no-wait"]) == 0
    assert run(["apply", str(file), *place, "--dry-run=server", "--diff", "-o", "yaml"]) == 0
    assert run(["diff", str(file), *place, "-o", "json"]) == 0
    assert run(["render", str(file)]) == 0
    printed = capsys.readouterr()
    for secret in (token.unit.hex(), token.signing["a"].hex(), first["data"]["keys.json"]):
        assert secret not in printed.out + printed.err
    assert printed.err.count("made, with new keys") == 1
    assert f"create secret generic {collector_name(session.experiment)}-keys" in printed.err
    again = keys(crds, session)
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def _content(secret):
    return base64.b64decode(secret["data"]["keys.json"]).decode()


def test_memory_and_keys_stay_unless_they_are_meant(made, crds):
    file, where = made
    session = open_session(str(file), where)
    service.apply(session, why="test", wait=False)
    gone = delete(session)
    name, world = collector_name(session.experiment), session.world
    claim = Ref("v1", "PersistentVolumeClaim", where.namespace, name)
    assert claim not in gone
    assert world.get(claim)
    before = keys(crds, session)
    assert Ref("apps/v1", "Deployment", where.namespace, name) in gone
    assert {claim, keys_of(session.experiment)} <= set(delete(session, memory=True))
    assert before["metadata"]["uid"]
    secrets = crds.read("-n", where.namespace, "secrets")["items"]
    assert not [each for each in secrets if each["metadata"]["name"] == f"{name}-keys"]


def test_one_that_is_not_ready_is_named(made, crds):
    file, where = made
    session = open_session(str(file), where)
    service.apply(session, why="test", wait=False)
    name = collector_name(session.experiment)

    def named():
        codes = {check.name: check.reason.code for check in examine(session, lambda _: None)}
        found = tree(session, session.world.get(session.target))
        (branch,) = [each for each in found.branches if each.role == "collector"]
        assert [node.ref.name for node in branch.servers] == [name]
        (proxy,) = [each for each in found.branches if each.role == "proxy"]
        assert name not in [node.ref.name for node in proxy.servers]
        return codes["collector"], branch.why is None

    assert named() == ("collectorNotReady", False)
    condition = {"type": "Available", "status": "True", "reason": "x", "message": ""}
    patch = json.dumps({"status": {"conditions": [condition]}})
    words = ("patch", f"deployment/{name}", "--subresource=status", "--type=merge", "-p", patch)
    crds.kubectl("-n", where.namespace, *words)
    assert named() == ("collectorReady", True)
