"""A proxy whose configuration is a ConfigMap, and what it sends requests to."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from abctl.core.change import PROXY, Object, Ref
from abctl.core.experiment import Experiment
from abctl.platforms._workload import (
    LEAVE,
    SCRATCH,
    SECURITY,
    Json,
    head,
    labels,
    probes,
    servers,
    startup,
)

# Where its pods say what they have loaded.
ADMIN = 9901
# A kubelet looks at mounted ConfigMaps once a minute, and may have an answer that is as old.
WITHIN_SECONDS = 120.0
_RESOURCES = {"requests": {"cpu": "250m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}}


@dataclass(frozen=True)
class Program:
    """What runs in the proxy's pods.

    Attributes:
        container: its image, command and arguments.
        user: whom the image lets run it.
        mount: where the ConfigMap is seen.
        ports: of the container; the Service has the one called http as its port 80.
        health: path and port of the probes.
        start_text: what is read only at the start, if anything: a change of it needs new pods.
    """

    container: Json
    user: int
    mount: str
    ports: Mapping[str, int]
    health: tuple[str, int]
    start_text: str = ""


def proxy(
    experiment: Experiment, config: Ref, data: Mapping[str, str], program: Program
) -> list[Object]:
    """The servers, the ConfigMap, and the Deployment and Service of the proxy, all called like it.

    Args:
        experiment: whose.
        config: the ConfigMap, which is mounted.
        data: what is in it.
        program: what reads it.
    """
    path, port = program.health
    own = labels(experiment) | PROXY
    name = config.name.removeprefix(f"{experiment.name}-")
    container = {
        "name": name,
        **program.container,
        "ports": [{"name": key, "containerPort": value} for key, value in program.ports.items()],
        **startup(path, port),
        **probes(path, path, port),
        **LEAVE,
        "resources": _RESOURCES,
        "securityContext": {**SECURITY, "runAsUser": program.user},
        "volumeMounts": [
            {"name": "config", "mountPath": program.mount, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod's own
        ],
    }
    digest = hashlib.sha256(program.start_text.encode()).hexdigest()[:16]
    read_once = {"annotations": {"abctl.dev/config": digest}} if program.start_text else {}
    template = {
        "metadata": {"labels": own, **read_once},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "containers": [container],
            "volumes": [{"name": "config", "configMap": {"name": config.name}}, SCRATCH],
        },
    }
    deployment = Ref("apps/v1", "Deployment", config.namespace, config.name)
    service = Ref("v1", "Service", config.namespace, config.name)
    return [
        *(each for variant in experiment.served for each in servers(experiment, variant)),
        {**head(config, experiment), "data": data},
        {
            **head(deployment, experiment),
            "spec": {"selector": {"matchLabels": own}, "template": template},
        },
        {
            **head(service, experiment),
            "spec": {
                "selector": own,
                "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
            },
        },
    ]
