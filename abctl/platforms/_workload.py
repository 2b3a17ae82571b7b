"""The model servers of a variant: the container, and its Deployment and Service.

Restricted pod security throughout: no root, no capabilities, nothing written outside /tmp.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from abctl.core.change import EXPERIMENT, VARIANT, Object, Ref
from abctl.core.experiment import Experiment, Variant, environment
from abctl.platforms import Misfit, _fit

HTTP, GRPC, METRICS = 8080, 8081, 8082
PORTS = {"http": HTTP, "grpc": GRPC, "metrics": METRICS}
_HTTP_DEFAULT = 80
# What must not be written to the image goes to /tmp.
SCRATCH = {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}
SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
# A pod that is to end answers on until everybody asks another one, which must start first.
LEAVE = {"lifecycle": {"preStop": {"sleep": {"seconds": 20}}}}
# One thread answers; memory is that of a small scikit-learn model with room to spare.
_RESOURCES = {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}}

Json = dict[str, Any]


def named(experiment: Experiment, variant: str) -> str:
    """What the objects of a variant are called."""
    return f"{experiment.name}-{variant}"


def head(ref: Ref, experiment: Experiment, variant: str | None = None) -> Json:
    """The first lines of an object: its address and labels."""
    return {
        "apiVersion": ref.api_version,
        "kind": ref.kind,
        "metadata": {
            "name": ref.name,
            "namespace": ref.namespace,
            "labels": labels(experiment, variant),
        },
    }


def labels(experiment: Experiment, variant: str | None = None) -> Json:
    """The labels of everything that belongs to an experiment, or to a variant of it."""
    own = {EXPERIMENT: experiment.name}
    return own if variant is None else {**own, VARIANT: variant}


@dataclass(frozen=True)
class Backend:
    """Where a variant is served."""

    namespace: str
    name: str
    port: int

    @property
    def host(self) -> str:
        """The whole name of the Service, for data planes outside its namespace."""
        return f"{self.name}.{self.namespace}.svc.cluster.local"


def backend(experiment: Experiment, variant: Variant) -> Backend:
    """The Service of a variant: a given one, or the one called as the variant's objects are."""
    if variant.model.image or not variant.model.service:
        return Backend(experiment.namespace, named(experiment, variant.name), HTTP)
    namespace, _, rest = variant.model.service.rpartition("/")
    name, _, port = rest.partition(":")
    return Backend(namespace or experiment.namespace, name, int(port or _HTTP_DEFAULT))


def services(experiment: Experiment, _: Object) -> dict[str, Ref]:
    """The Services that the experiment names; abctl's own have Deployments that say more."""
    given = [variant for variant in experiment.variants if variant.model.service]
    found = {variant.name: backend(experiment, variant) for variant in given}
    return {name: Ref("v1", "Service", at.namespace, at.name) for name, at in found.items()}


def addresses(experiment: Experiment) -> dict[str, tuple[str, int]]:
    """Host and port of everything that is served, by name."""
    backends = {variant.name: backend(experiment, variant) for variant in experiment.served}
    return {name: (where.host, where.port) for name, where in backends.items()}


def unserved(experiment: Experiment, name: str) -> Iterator[Misfit]:
    """Variants whose server the platform cannot make, as there is only a stored model."""
    for place, variant in _fit.served(experiment):
        if variant.model.uri and not (variant.model.image or variant.model.service):
            message = f"is missing, {name} does not load models from a uri"
            hint = "an image that holds the model; gateway, kserve and seldon load models"
            yield Misfit((*place, "model", "image"), message, hint)


def servers(experiment: Experiment, variant: Variant) -> list[Object]:
    """The Deployment and the Service of a variant; none without an image.

    Then its Service is taken to be there.
    """
    if not variant.model.image:
        return []
    return [deployment(experiment, variant), service(experiment, variant)]


def deployment(experiment: Experiment, variant: Variant) -> Object:
    """The servers of a variant; their number is left to the user or an autoscaler."""
    own = labels(experiment, variant.name)
    ref = Ref("apps/v1", "Deployment", experiment.namespace, named(experiment, variant.name))
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [
            {
                **container(experiment, variant, "mlserver"),
                **startup(_ready(variant), HTTP),
                **LEAVE,
            }
        ],
        "volumes": [SCRATCH],
    }
    return {
        **head(ref, experiment, variant.name),
        "spec": {
            "selector": {"matchLabels": own},
            # The label `version` is how Istio tells variants apart in its metrics.
            "template": {
                "metadata": {"labels": {**own, "version": variant.name}},
                "spec": pod,
            },
        },
    }


def service(experiment: Experiment, variant: Variant) -> Object:
    """The Service of a variant."""
    ref = Ref("v1", "Service", experiment.namespace, named(experiment, variant.name))
    return {
        **head(ref, experiment, variant.name),
        "spec": {
            "selector": labels(experiment, variant.name),
            "ports": [
                {"name": name, "port": port, "targetPort": name} for name, port in PORTS.items()
            ],
        },
    }


def container(
    experiment: Experiment,
    variant: Variant,
    name: str,
    *,
    ports: Mapping[str, int] = PORTS,
    silent: bool = False,
) -> Json:
    """The container of a variant's image, with what its server must know.

    Behind a `silent` router no request says that it was drawn, so the server has to know it.
    """
    model = variant.model
    settings = {
        **environment(experiment, variant.name),
        **({"AB_RANDOMIZED": "true"} if silent else {}),
        "MLSERVER_MODEL_NAME": model.name,
        "MLSERVER_MODEL_VERSION": model.version,
        # By default MLServer answers a failure with its traceback.
        "MLSERVER_DEBUG": "false",
        "MLSERVER_PARALLEL_WORKERS": "0",
        "MLSERVER_METRICS_DIR": "/tmp/metrics",  # noqa: S108 - a volume of the pod's own
    }
    return {
        "name": name,
        "image": model.image,
        "env": [{"name": key, "value": value} for key, value in settings.items() if value],
        "ports": [{"name": called, "containerPort": port} for called, port in ports.items()],
        **probes(_ready(variant), "/v2/health/live"),
        "resources": _RESOURCES,
        "securityContext": SECURITY,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - as above
    }


def startup(ready: str, port: int) -> Json:
    """Requests come as soon as it is ready; meanwhile nothing starts it anew, for five minutes."""
    return {
        "startupProbe": {
            "httpGet": {"path": ready, "port": port},
            "periodSeconds": 1,
            "timeoutSeconds": 2,
            "failureThreshold": 300,
        }
    }


def _ready(variant: Variant) -> str:
    return f"/v2/models/{variant.model.name}/ready"


def probes(ready: str, live: str, port: int = HTTP) -> Json:
    """When a container gets requests, and when it is started anew."""
    return {
        "readinessProbe": {
            "httpGet": {"path": ready, "port": port},
            "periodSeconds": 5,
            "timeoutSeconds": 2,
        },
        # A slow start must not restart the server: that takes longer than loading a model.
        "livenessProbe": {
            "httpGet": {"path": live, "port": port},
            "initialDelaySeconds": 20,
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
    }
