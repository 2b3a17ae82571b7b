"""A proxy whose configuration is a ConfigMap, and what it sends requests to."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from abctl.core.change import PROXY, Object, Ref
from abctl.core.experiment import Experiment
from abctl.platforms import _access_log, _collector
from abctl.platforms._policies import policies
from abctl.platforms._templates import patched
from abctl.platforms._workload import (
    LEAVE,
    SCRATCH,
    SECURITY,
    Json,
    budget,
    head,
    labels,
    probes,
    startup,
)

# Where its pods say what they have loaded.
ADMIN = 9901
# A kubelet that nobody tells to looks at mounted ConfigMaps once a minute, and may have an answer
# that is as old.
WITHIN_SECONDS = 120.0
# All requests go through it: one may always end, on a node or in a zone, while another one answers.
_REPLICAS = 2
_APART = ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
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
        log: where its access log goes, for who counts it.
        log_folder: the folder that holds it, where it is in a file.
        start_text: what is read only at the start, if anything: a change of it needs new pods.
    """

    container: Json
    user: int
    mount: str
    ports: Mapping[str, int]
    health: tuple[str, int]
    log: str
    log_folder: str = ""
    start_text: str = ""


def proxy(
    experiment: Experiment, config: Ref, data: Mapping[str, str], program: Program
) -> list[Object]:
    """The servers, and what is called like the proxy: its ConfigMap, Deployment, Service, budget.

    Args:
        experiment: whose.
        config: the ConfigMap, which is mounted.
        data: what is in it.
        program: what reads it.
    """
    path, port = program.health
    own = labels(experiment) | PROXY
    readers = list(_access_log.readers(experiment, program.log))
    told = {_access_log.NAME: _access_log.PORT} if readers else {}
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
    pod: Json = {
        "metadata": {"labels": own, **read_once},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "topologySpreadConstraints": [_spread(own, key) for key in _APART],
            "containers": [container, *readers],
            "volumes": [{"name": "config", "configMap": {"name": config.name}}, SCRATCH],
        },
    }
    if readers and program.log_folder:
        _access_log.share(pod["spec"], program.log_folder, program.user)
    templates = experiment.templates.every, experiment.templates.proxy
    asked = experiment.templates.proxy.replicas
    deployment = Ref("apps/v1", "Deployment", config.namespace, config.name)
    entrance = head(Ref("v1", "Service", config.namespace, config.name), experiment)
    # By this a monitor tells it from other Services.
    entrance["metadata"]["labels"] = own
    return [
        *policies(experiment, config, {**program.ports, **told}),
        *_collector.with_servers(experiment),
        {**head(config, experiment), "data": data},
        {
            **head(deployment, experiment),
            "spec": {
                "replicas": _REPLICAS if asked is None else asked,
                "selector": {"matchLabels": own},
                "template": patched(pod, templates, {}),
            },
        },
        budget(experiment, config.name, own),
        {
            **entrance,
            "spec": {
                "selector": own,
                "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
            },
        },
    ]


def _spread(pods: Json, key: str) -> Json:
    """Not both in one place, where there is another."""
    return {
        "topologyKey": key,
        "maxSkew": 1,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": pods},
    }
