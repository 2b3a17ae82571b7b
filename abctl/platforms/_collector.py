"""The collector in a cluster: one pod with a volume, its Service, and who may reach it.

Its keys are in a Secret, which is nowhere here: what is rendered can be kept in git.
"""

import hashlib
import json
from collections.abc import Iterator

from abctl.core.change import COLLECTOR, EXPERIMENT, Object, Ref
from abctl.core.collector import (
    KEYS,
    MEMORY,
    Place,
    collector_name,
    is_made,
    settings,
)
from abctl.core.experiment import Experiment
from abctl.platforms._policies import CLIENT, PROMETHEUS
from abctl.platforms._templates import patched
from abctl.platforms._workload import (
    COLLECTS,
    GROUP,
    KEYS_MOUNT,
    READ_BY_GROUP,
    SCRATCH,
    SECURITY,
    Json,
    head,
    keys_volume,
    labels,
    probes,
    servers,
    startup,
)

_MOUNT, _FILE = "/etc/collector", "collector.json"
_MEMORY_MOUNT = "/var/lib/collector"
_SIZE = "1Gi"
_RESOURCES = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}
# Where the pods of gateways are, besides where a Gateway is.
_GATEWAYS = ("envoy-gateway-system", "istio-system")


def with_servers(experiment: Experiment) -> Iterator[Object]:
    """The collector, and the servers of all variants that are made from images."""
    yield from objects(experiment)
    for variant in experiment.served:
        yield from servers(experiment, variant)


def objects(experiment: Experiment) -> Iterator[Object]:
    """The collector of an experiment; nothing where its variants have none."""
    if not is_made(experiment):
        return
    yield _policy(experiment)
    place = Place(
        keys=f"{KEYS_MOUNT['mountPath']}/{KEYS}",
        memory=f"{_MEMORY_MOUNT}/{MEMORY}",
        host="0.0.0.0",  # noqa: S104 - inside a pod, where the network policy decides
        port=COLLECTS,
    )
    text = json.dumps(settings(experiment, place), indent=1)
    yield {**_head(experiment, "v1", "ConfigMap"), "data": {_FILE: text}}
    yield {
        **_head(experiment, "v1", "PersistentVolumeClaim"),
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": _SIZE}},
        },
    }
    yield {
        **_head(experiment, "apps/v1", "Deployment"),
        "spec": {
            # Its memory has one writer.
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": _labels(experiment)},
            "template": patched(
                {
                    "metadata": {
                        "labels": _labels(experiment),
                        # It reads its settings only at the start.
                        "annotations": {"abctl.dev/config": _digest(text)},
                    },
                    "spec": _pod(experiment),
                },
                [experiment.templates.every],
                {},
            ),
        },
    }
    yield {
        **_head(experiment, "v1", "Service"),
        "spec": {
            "selector": _labels(experiment),
            "ports": [{"name": "http", "port": COLLECTS, "targetPort": "http"}],
        },
    }


def _pod(experiment: Experiment) -> Json:
    name = collector_name(experiment)
    container = {
        "name": "collector",
        "image": next(each.model.image for each in experiment.served if each.model.image),
        "command": ["python", "-m", "ab_runtime.collector", f"{_MOUNT}/{_FILE}"],
        "ports": [{"name": "http", "containerPort": COLLECTS}],
        **startup("/ready", COLLECTS),
        **probes("/ready", "/ready", COLLECTS),
        "resources": _RESOURCES,
        "securityContext": SECURITY,
        "volumeMounts": [
            {"name": "config", "mountPath": _MOUNT, "readOnly": True},
            KEYS_MOUNT,
            {"name": "memory", "mountPath": _MEMORY_MOUNT},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod's own
        ],
    }
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": GROUP,
        "containers": [container],
        "volumes": [
            {"name": "config", "configMap": {"name": name}},
            keys_volume(experiment, READ_BY_GROUP),
            {"name": "memory", "persistentVolumeClaim": {"claimName": name}},
            SCRATCH,
        ],
    }


def _policy(experiment: Experiment) -> Object:
    pods = [labels(experiment), CLIENT]
    callers: list[Json] = [{"podSelector": {"matchLabels": each}} for each in pods]
    gateway = (experiment.entrance and experiment.entrance.gateway) or ""
    if experiment.entrance:
        # The gateway sends feedback here itself; who asks the gateway is for it to decide.
        found = sorted({gateway.rpartition("/")[0] or experiment.namespace, *_GATEWAYS})
        where = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": found}
        callers.append({"namespaceSelector": {"matchExpressions": [where]}})
    callers.append({"namespaceSelector": {}, "podSelector": {"matchLabels": PROMETHEUS}})
    asked = {"from": callers, "ports": [{"port": COLLECTS, "protocol": "TCP"}]}
    return {
        **_head(experiment, "networking.k8s.io/v1", "NetworkPolicy"),
        "spec": {
            "podSelector": {"matchLabels": _labels(experiment)},
            "policyTypes": ["Ingress"],
            "ingress": [asked],
        },
    }


def _head(experiment: Experiment, api_version: str, kind: str) -> Json:
    ref = Ref(api_version, kind, experiment.namespace, collector_name(experiment))
    found = head(ref, experiment)
    found["metadata"]["labels"] = _labels(experiment)
    return found


def _labels(experiment: Experiment) -> Json:
    return {EXPERIMENT: experiment.name} | COLLECTOR


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
