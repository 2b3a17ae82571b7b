"""What a template says of pods is taken by the API server as every platform renders it."""

from dataclasses import replace
from pathlib import Path

import pytest
from api_server import ROOT

from abctl import plugins
from abctl.core.change import Ref
from abctl.core.experiment import Model
from abctl.errors import ClusterError
from abctl.platforms import platform
from abctl.session.open import Where, open_session
from abctl.spec import parse

EXAMPLES = ROOT / "k8s" / "experiments"
NAMES = [name for name in plugins.names("abctl.platforms") if platform(name).CAPABILITIES.images]
STORED = Model("iris", "v1", uri="s3://models/iris", format="sklearn")
# What teams ask for: more pods, other limits, GPUs, a registry with a password, an account, nodes
# of their own, variables, a sidecar, a volume.
EVERY = """
  template:
    replicas: 2
    metadata: {labels: {team: x}, annotations: {example.com/cost: "7"}}
    spec:
      imagePullSecrets: [{name: registry}]
      serviceAccountName: reader
      priorityClassName: high
      terminationGracePeriodSeconds: 60
      nodeSelector: {gpu: true, cores: 8}
      tolerations: [{key: gpu, operator: Exists, effect: NoExecute, tolerationSeconds: 30}]
      affinity:
        podAntiAffinity:
          preferredDuringSchedulingIgnoredDuringExecution:
            - weight: 100
              podAffinityTerm:
                topologyKey: kubernetes.io/hostname
                labelSelector: {matchLabels: {team: x}}
      containers:
        - name: mlserver
          env:
            - {name: OMP_NUM_THREADS, value: 4}
            - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
          resources: {requests: {cpu: 2}, limits: {memory: 4Gi, nvidia.com/gpu: 1}}
"""
OWN = (
    ", template: {spec: {volumes: [{name: cache, emptyDir: {sizeLimit: 1Gi}}], containers: ["
    "{name: mlserver, volumeMounts: [{name: cache, mountPath: /cache}]}, "
    "{name: logger, image: example.com/logger, ports: [{containerPort: 9000}]}]}}}"
)


@pytest.fixture(params=NAMES)
def session(request, crds, namespace, tmp_path):
    text = (EXAMPLES / f"{request.param}.yaml").read_text()
    last = text.index("  - {name: treatment") if "  - {name: treatment" in text else -1
    end = text.index("\n", last) - 1
    assert text[end] == "}"
    text = text[:end] + OWN + text[end + 1 :]
    path = tmp_path / "iris.yaml"
    path.write_text(text.replace("spec:", f"spec:{EVERY.rstrip()}", 1))
    return open_session(str(path), Where(kubeconfig=crds.kubeconfig, namespace=namespace))


def dry_run(session, experiment):
    carrier = session.platform
    objects = [*carrier.baseline(experiment), *carrier.objects(experiment)]
    return {Ref.of(obj): session.world.apply(obj, dry_run=True) for obj in objects}


def pods(objects):
    for obj in objects.values():
        spec = obj.get("spec", {})
        if "abctl.dev/variant" in obj["metadata"]["labels"] and obj["kind"] == "Deployment":
            yield spec["template"]["spec"]
        if obj["kind"] == "InferenceService":
            yield spec["predictor"]
        if obj["kind"] == "SeldonDeployment":
            yield from (each["componentSpecs"][0]["spec"] for each in spec["predictors"])


def test_the_server_takes_every_field_and_keeps_it(session):
    for model in (None, STORED):
        experiment = session.experiment
        if model:
            variants = tuple(replace(v, model=model) for v in experiment.variants)
            experiment = replace(experiment, variants=variants)
            if session.platform.misfits(experiment):
                continue  # it loads no models
        found = list(pods(dry_run(session, experiment)))
        assert found
        for pod in found:
            assert pod["imagePullSecrets"] == [{"name": "registry"}]
            assert pod["nodeSelector"] == {"gpu": "true", "cores": "8"}
            assert pod["tolerations"][0]["tolerationSeconds"] == 30
            server = pod.get("model") or pod["containers"][0]
            assert server["resources"]["limits"]["nvidia.com/gpu"] == "1"
            assert {"name": "OMP_NUM_THREADS", "value": "4"} in server["env"]
        assert any("/cache" in str(pod) and "logger" in str(pod) for pod in found)


def test_what_the_server_refuses_is_said_before_anything_is_written(crds, namespace, tmp_path):
    """Such as a field that only it knows to be wrong."""
    text = (EXAMPLES / "envoy.yaml").read_text()
    wrong = "spec:\n  template: {spec: {tolerations: [{key: gpu, operator: Perhaps}]}}"
    path = Path(tmp_path / "iris.yaml")
    path.write_text(text.replace("spec:", wrong, 1))
    assert parse(path.read_text(), "iris.yaml").templates.every.spec
    session = open_session(str(path), Where(kubeconfig=crds.kubeconfig, namespace=namespace))
    with pytest.raises(ClusterError, match="operator"):
        dry_run(session, session.experiment)
