"""The controller's Role: what `abctl` may, without deleting, and what is its own."""

from pathlib import Path

import yaml

K8S = Path(__file__).parents[3] / "k8s"
OWN = {
    ("abctl.dev", "experiments"): {"get", "list"},
    ("abctl.dev", "experiments/status"): {"patch"},
    ("coordination.k8s.io", "leases"): {"get", "create", "update"},
}


def rights(path, name):
    objects = yaml.safe_load_all(path.read_text())
    (role,) = [o for o in objects if o["kind"] == "Role" and o["metadata"]["name"] == name]
    return {
        (group, resource): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def test_it_has_the_rights_of_who_applies_and_deletes_nothing():
    base = rights(K8S / "base" / "namespace" / "rbac.yaml", "abctl")
    found = rights(K8S / "components" / "controller" / "rbac.yaml", "abctl-controller")
    assert found == {key: verbs - {"delete"} for key, verbs in base.items()} | OWN
