"""How pods run: what a user adds to what abctl renders, merged as `kubectl patch` merges it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# What the container of a model server is called in a template, whatever the platform calls it.
SERVER = "mlserver"

# By what the items of these lists of a pod are told apart: the keys of Kubernetes' own merge.
MERGED_BY: Mapping[str, str] = {
    "containers": "name",
    "env": "name",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ports": "containerPort",
    "resourceClaims": "name",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
}


@dataclass(frozen=True)
class Template:
    """A patch of the pods of a Deployment, or of what a platform has in its place.

    >>> Template(replicas=2, spec={"nodeSelector": {"disk": "ssd"}}).replicas
    2

    Attributes:
        replicas: how many; None leaves it to an autoscaler.
        labels, annotations: of the pods.
        spec: of the pods, as Kubernetes has it; None in it takes something away.
    """

    replicas: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Templates:
    """The templates of an experiment.

    >>> Templates(own={"treatment": Template(replicas=2)}).of("treatment")
    (Template(...), Template(replicas=2, ...))

    Attributes:
        every: of all pods; its replicas are those of the model servers.
        proxy: of the proxy, where abctl runs one.
        own: of single variants and the shadow, by name.
    """

    every: Template = Template()
    proxy: Template = Template()
    own: Mapping[str, Template] = field(default_factory=dict)

    def of(self, variant: str) -> tuple[Template, Template]:
        """What is merged into the servers of a variant, in this order."""
        return self.every, self.own.get(variant, Template())
