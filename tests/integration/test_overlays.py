"""k8s/ on a real API server: kubectl applies what abctl renders, and pods are restricted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from api_server import KUBECTL

from abctl.cli.main import run
from abctl.core.change import Ref
from abctl.spec import load
from abctl.spec.render import render

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"
OVERLAYS = {
    "kind-envoy": K8S / "experiments" / "envoy.yaml",
    "kind-gateway": K8S / "overlays" / "kind-gateway" / "experiment.yaml",
    "kind-kserve": K8S / "experiments" / "kserve.yaml",
    "kind-seldon": K8S / "experiments" / "seldon.yaml",
}


def kustomized(folder):
    words = [KUBECTL, "kustomize", folder]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(params=OVERLAYS)
def overlay(request):
    return K8S / "overlays" / request.param


def test_what_is_rendered_is_up_to_date():
    checked = subprocess.run(
        [sys.executable, ROOT / ".ci" / "overlays", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, f"make overlays renders anew: {checked.stdout}"


def test_an_overlay_holds_what_abctl_renders(overlay):
    found = {Ref.of(obj): obj for obj in kustomized(overlay)}
    for obj in render(load(OVERLAYS[overlay.name])):
        assert found[Ref.of(obj)] == obj


def test_kserve_has_its_control_first():
    found = {Ref.of(obj): obj for obj in kustomized(K8S / "overlays" / "kind-kserve" / "baseline")}
    (control,) = render(load(OVERLAYS["kind-kserve"]), baseline=True)
    assert found[Ref.of(control)] == control


@pytest.mark.parametrize("name", sorted(path.name for path in K8S.glob("components/*")))
def test_every_component_can_be_built_and_is_accepted(name, crds, namespace, tmp_path):
    folder = tmp_path / "overlay"
    folder.mkdir()
    (tmp_path / "component").symlink_to(K8S / "components" / name)
    (folder / "kustomization.yaml").write_text("components: [../component]")
    for obj in kustomized(folder):
        if obj["kind"] not in ("Namespace", "Role", "RoleBinding", "ClusterRoleBinding"):
            obj["metadata"]["namespace"] = namespace
            words = ("apply", "--dry-run=server", "--server-side", "--validate=strict", "-f", "-")
            crds.kubectl(*words, stdin=json.dumps(obj))


def test_an_overlay_is_applied_and_abctl_finds_no_difference(overlay, crds, capsys):
    if overlay.name == "kind-kserve":
        crds.kubectl("apply", "-k", str(overlay / "baseline"))
    crds.kubectl("apply", "-k", str(overlay))
    place = ["--kubeconfig", str(crds.kubeconfig)]
    assert run(["diff", str(OVERLAYS[overlay.name]), *place]) == 0, capsys.readouterr().out


def test_every_pod_keeps_to_restricted_pod_security(overlay, crds):
    crds.kubectl("apply", "-k", str(K8S / "base" / "namespace"))
    pods = list(_pods(kustomized(overlay)))
    assert pods
    for name, spec in pods:
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "models"},
            "spec": {key: value for key, value in spec.items() if key != "serviceAccountName"},
        }
        crds.kubectl("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
        for container in spec["containers"]:
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert container["resources"]["limits"].keys() == {"memory"}
            assert "livenessProbe" in container
            # Who counts beside a proxy is not needed for an answer.
            assert ("readinessProbe" in container) == (container["name"] != "access-log")
            assert container["securityContext"]["readOnlyRootFilesystem"]


def _pods(objects):
    """What each object makes pods of."""
    for obj in objects:
        name, spec = obj["metadata"]["name"], obj.get("spec", {})
        if obj["kind"] == "Deployment":
            yield name, spec["template"]["spec"]
        if obj["kind"] == "InferenceService":
            yield name, {k: v for k, v in spec["predictor"].items() if k != "canaryTrafficPercent"}
        if obj["kind"] == "SeldonDeployment":
            for predictor in spec["predictors"]:
                yield f"{name}-{predictor['name']}", predictor["componentSpecs"][0]["spec"]


def test_an_overlay_goes_to_another_namespace_with_other_images(overlay, crds, tmp_path):
    (tmp_path / "k8s").symlink_to(K8S)
    own = tmp_path / "own"
    own.mkdir()
    lines = [
        "namespace: team-x",
        f"resources: [../k8s/overlays/{overlay.name}]",
        "components: [../k8s/components/podmonitor]",
        "images: [{name: abctl/iris, newName: registry.example.com/iris}]",
    ]
    (own / "kustomization.yaml").write_text("\n".join(lines))
    objects = kustomized(own)
    inside = [obj for obj in objects if obj["kind"] not in ("Namespace", "GatewayClass")]
    assert {obj["metadata"]["namespace"] for obj in inside} == {"team-x"}
    assert [o["metadata"]["name"] for o in objects if o["kind"] == "Namespace"] == ["team-x"]
    images = [each["image"] for _, spec in _pods(objects) for each in spec["containers"]]
    assert sum(image.startswith("registry.example.com/iris:v") for image in images) >= 1
    assert not any(image.startswith("abctl/") for image in images)
    # No name in it says where it was: a proxy asks the servers beside it.
    text = json.dumps(inside)
    assert ".models" not in text
    assert '"namespace": "models"' not in text
    crds.kubectl("apply", "-k", str(own))
    dns = {obj["metadata"]["name"] for obj in objects if obj["kind"] == "Service"}
    for host in {"iris-control", "iris-treatment"} & set(text.replace('\\"', '"').split('"')):
        assert host in dns or overlay.name in ("kind-kserve", "kind-seldon")


@pytest.mark.parametrize("name", ["job", "cronjob"])
def test_abctl_in_the_cluster_is_a_restricted_pod(name, crds):
    crds.kubectl("apply", "-k", str(K8S / "base" / "namespace"))
    path = K8S / f"{name}.yaml"
    crds.kubectl("create", "--dry-run=server", "--validate=strict", "-f", str(path))
    spec = yaml.safe_load(path.read_text())["spec"]
    spec = spec.get("jobTemplate", {"spec": spec})["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["args"][-2:] == ["--fail-on", "stop,invalid"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "models"}}
    crds.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps({**pod, "spec": spec}))


def test_a_pod_that_is_not_restricted_is_refused(crds):
    crds.kubectl("apply", "-k", str(K8S / "base" / "namespace"))
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "root", "namespace": "models"},
        "spec": {"containers": [{"name": "x", "image": "x"}]},
    }
    done = crds.kubectl("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(pod), check=False)
    assert "violates PodSecurity" in done.stderr
