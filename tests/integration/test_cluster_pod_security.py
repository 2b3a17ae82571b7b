"""Pods that platforms make themselves, in namespaces with pod security: which take them, and why.

The security contexts are those of the upstream releases: Seldon Core 1.17.1, KServe 0.20.0.
"""

import json
from dataclasses import replace

import pytest
import yaml
from api_server import ROOT

from abctl.core.experiment import Model
from abctl.platforms import platform
from abctl.spec import load

K8S = ROOT / "k8s"
DROP = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
SECCOMP = {"seccompProfile": {"type": "RuntimeDefault"}}
STORED = Model("iris", "v1", uri="s3://models/iris", format="sklearn")
EXECUTOR = {"allowPrivilegeEscalation": False, "runAsUser": 8888}
ROUTER = {**DROP, "privileged": False, "runAsNonRoot": True, "readOnlyRootFilesystem": True}
RUNTIME = {**DROP, "privileged": False, "runAsNonRoot": True}


@pytest.fixture(scope="module")
def spaces(crds):
    for level in ("restricted", "baseline"):
        labels = {"pod-security.kubernetes.io/enforce": level}
        meta = {"name": f"security-{level}", "labels": labels}
        text = json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
        crds.kubectl("apply", "-f", "-", stdin=text)
    return crds


def taken(spaces, level, spec):
    meta = {"name": "pod", "namespace": f"security-{level}"}
    text = json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
    done = spaces.kubectl("apply", "--dry-run=server", "-f", "-", stdin=text, check=False)
    assert not done.returncode or "violates PodSecurity" in done.stderr, done.stderr
    return not done.returncode


def container(name, security, **more):
    return {"name": name, "image": "x", "securityContext": security, **more}


def documented():
    """The security context of the storage initializer in docs/platforms.md."""
    page = (K8S.parent / "docs" / "platforms.md").read_text()
    blocks = [block.partition("```")[0] for block in page.split("```yaml\n")[1:]]
    (found,) = [yaml.safe_load(b) for b in blocks if "kind: ClusterStorageContainer" in b]
    return found["spec"]["container"]["securityContext"]


def rendered(name, **model):
    """The pod that abctl renders for the control, or what it adds to that of the platform."""
    experiment = load(K8S / "experiments" / f"{name}.yaml")
    if model:
        given = Model("iris", "v1", **model)
        variants = tuple(replace(each, model=given) for each in experiment.variants)
        experiment = replace(experiment, variants=variants)
    for obj in platform(name).objects(experiment):
        if obj["kind"] == "SeldonDeployment":
            return obj["spec"]["predictors"][0]["componentSpecs"][0]["spec"]
        if obj["kind"] == "InferenceService":
            return obj["spec"]["predictor"]
    raise AssertionError(name)


def test_seldons_executor_takes_baseline(spaces):
    pod = rendered("seldon")
    assert taken(spaces, "restricted", pod)
    whole = {**pod, "containers": [*pod["containers"], container("executor", EXECUTOR)]}
    assert not taken(spaces, "restricted", whole)
    assert taken(spaces, "baseline", whole)
    # Nothing that can be said of the pod mends it: capabilities are a container's own.
    whole["securityContext"] = {"runAsNonRoot": True, **SECCOMP}
    assert not taken(spaces, "restricted", whole)


def test_the_router_of_an_inferencegraph_takes_baseline(spaces):
    router = {"containers": [container("router", ROUTER)]}
    assert not taken(spaces, "restricted", router)
    assert taken(spaces, "baseline", router)
    assert taken(spaces, "restricted", {**router, "securityContext": SECCOMP})


@pytest.mark.parametrize("name", ["kserve", "inferencegraph", "gateway"])
def test_a_model_that_kserve_loads_is_restricted_but_for_what_loads_it(spaces, name):
    predictor = rendered(name, uri=STORED.uri, format=STORED.format)
    own = predictor["model"]["securityContext"]
    pod = {key: value for key, value in predictor.items() if key == "securityContext"}
    server = container("kserve-container", {**RUNTIME, **own})
    assert not taken(spaces, "restricted", {"containers": [container("x", RUNTIME)]})
    assert taken(spaces, "restricted", {**pod, "containers": [server]})
    # Upstream's ClusterStorageContainer says nothing of security; docs/platforms.md gives it some.
    loads = {**pod, "initContainers": [{"name": "loads", "image": "x"}], "containers": [server]}
    assert not taken(spaces, "restricted", loads)
    assert taken(spaces, "baseline", loads)
    loads["initContainers"] = [container("loads", documented())]
    assert taken(spaces, "restricted", loads)


@pytest.mark.parametrize("name", ["kserve", "inferencegraph"])
def test_images_of_ones_own_are_restricted(spaces, name):
    spec = {k: v for k, v in rendered(name).items() if k not in ("canaryTrafficPercent", "model")}
    assert taken(spaces, "restricted", spec)
