"""The runbook's way out: its own commands, one after the other, leave nothing but what it names."""

import re
import shlex
from pathlib import Path

import pytest
from controllers import Controllers

from abctl.cli.main import run

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
UNINSTALL = PAGE[PAGE.index("## Uninstall") :]
RBAC = ROOT / "k8s" / "base" / "namespace" / "rbac.yaml"
KINDS = (
    "configmaps,secrets,services,serviceaccounts,deployments,statefulsets,poddisruptionbudgets,"
    "networkpolicies,roles,rolebindings,httproutes,grpcroutes,referencegrants,"
    "backendtrafficpolicies,virtualservices,destinationrules,events.events.k8s.io"
)
# What Kubernetes itself makes in each namespace.
ITS_OWN = {"configmap/kube-root-ca.crt", "serviceaccount/default"}


def commands():
    block = re.search(r"```console\n(.*?)```", UNINSTALL, re.DOTALL)[1]
    return [shlex.split(line.removeprefix("$ "), comments=True) for line in block.splitlines()]


@pytest.fixture
def place(crds, make_namespace):
    return crds, make_namespace(crds)


def what_is_left(cluster, namespace):
    names = cluster.kubectl("get", KINDS, "-n", namespace, "-o", "name").split()
    found = {re.sub(r"^(\w+)[\w.]*/", r"\1/", each) for each in names}
    return {each for each in found if not each.startswith("event/")} - ITS_OWN


def test_the_commands_of_the_runbook_leave_a_tombstone_alone(place, tmp_path, capsys):
    cluster, namespace = place
    text = (ROOT / "k8s" / "experiments" / "gateway.yaml").read_text()
    text = text.replace("iris.example.com", f"{namespace}.example.com")
    file = tmp_path / "iris.yaml"
    file.write_text(text.replace("namespace: models", f"namespace: {namespace}"))
    where = ["--kubeconfig", str(cluster.kubeconfig)]
    cluster.kubectl("apply", "-n", namespace, "-f", str(RBAC))
    with Controllers(cluster, namespace, "deployments", "httproutes", "inferenceservices"):
        assert run(["apply", str(file), "-n", namespace, "--yes", *where]) == 0
        assert len(what_is_left(cluster, namespace)) > 5
        for program, *words in commands():
            assert program == "abctl"
            asked = [str(file) if word == "iris.yaml" else word for word in words]
            place_of = [] if "-A" in asked else ["-n", namespace]
            assert run([*asked, *place_of, *where]) == 0, capsys.readouterr().err
    (kept,) = re.findall(r"`kubectl (delete -n prod -f \S+)`", UNINSTALL)
    cluster.kubectl(*kept.replace("prod", namespace).replace("k8s/", f"{ROOT}/k8s/").split())
    (left,) = what_is_left(cluster, namespace)
    assert left.startswith("configmap/abctl-ended-iris")
    capsys.readouterr()
    assert run(["list", "-A", "--all", *where]) == 0
    assert "iris" in capsys.readouterr().out
