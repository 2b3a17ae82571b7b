"""The model servers of a variant: the container, and its Deployment and Service.

Restricted pod security throughout: no root, no capabilities, nothing written outside /tmp.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from abctl.core.change import EXPERIMENT, VARIANT, Object, Ref
from abctl.core.collector import KEYS, collector_name, is_made, keys_of
from abctl.core.experiment import Experiment, Variant
from abctl.core.server import LOG_FOLDER, LOG_STDOUT, environment, log_environment
from abctl.core.template import SERVER
from abctl.platforms import Misfit, _fit
from abctl.platforms._templates import patched, replicas

HTTP, GRPC, METRICS = 8080, 8081, 8082
PORTS = {"http": HTTP, "grpc": GRPC, "metrics": METRICS}
_HTTP_DEFAULT = 80
# Else a gateway would send HTTP/1.1 there.
_SPOKEN = {"grpc": {"appProtocol": "kubernetes.io/h2c"}}
# What must not be written to the image goes to /tmp.
SCRATCH = {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}
SECCOMP = {"seccompProfile": {"type": "RuntimeDefault"}}
SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    **SECCOMP,
}
# Where the collector takes feedback and shows its counters, and how its keys are seen.
COLLECTS = 8090
KEYS_MOUNT = {"name": "keys", "mountPath": "/etc/abctl-keys", "readOnly": True}
# A volume belongs to root, and to this group; whoever runs in the pod is in it.
GROUP = {"fsGroup": 65532, "fsGroupChangePolicy": "OnRootMismatch"}
READ_BY_GROUP, _READ_BY_ALL = 0o440, 0o444
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


def addresses(experiment: Experiment, *, grpc: bool = False) -> dict[str, tuple[str, int]]:
    """Host and port of everything that is served, by name; with `grpc` the port for that."""
    backends = {variant.name: backend(experiment, variant) for variant in experiment.served}
    return {
        name: (near(experiment, at), GRPC if grpc else at.port) for name, at in backends.items()
    }


def near(experiment: Experiment, at: Backend) -> str:
    """What pods of the experiment call a Service: by its name alone in their own namespace.

    So what is rendered goes to another namespace as it is (kustomize).
    """
    return at.name if at.namespace == experiment.namespace else at.host


def unserved(experiment: Experiment, name: str) -> Iterator[Misfit]:
    """Variants whose server the platform cannot make, as there is only a stored model."""
    for place, variant in _fit.served(experiment):
        if variant.model.uri and not (variant.model.image or variant.model.service):
            message = f"is missing, {name} does not load models from a uri"
            hint = "an image that holds the model; gateway, kserve and seldon load models"
            yield Misfit((*place, "model", "image"), message, hint)


def alike(experiment: Experiment, name: str) -> Iterator[Misfit]:
    """Variants at one Service and port, where the platform's routes call a variant by these."""
    at: dict[Backend, str] = {}
    for i, variant in enumerate(experiment.variants):
        where = backend(experiment, variant)
        if (other := at.setdefault(where, variant.name)) != variant.name:
            message = (
                f"{where.namespace}/{where.name}:{where.port} is also that of {other}, and {name} "
                "tells variants apart by Service and port"
            )
            hint = "a Service for each variant; envoy and nginx can split between two of one server"
            yield Misfit(("variants", i, "model", "service"), message, hint)


def servers(experiment: Experiment, variant: Variant) -> list[Object]:
    """The Deployment of a variant, its Service and its disruption budget; none without an image.

    Then its Service is taken to be there.
    """
    if not variant.model.image:
        return []
    own = labels(experiment, variant.name)
    return [
        deployment(experiment, variant),
        service(experiment, variant),
        budget(experiment, named(experiment, variant.name), own, variant.name),
    ]


def budget(experiment: Experiment, name: str, pods: Json, variant: str | None = None) -> Object:
    """A drain of nodes takes one of these pods at a time."""
    ref = Ref("policy/v1", "PodDisruptionBudget", experiment.namespace, name)
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": pods}}
    return {**head(ref, experiment, variant), "spec": spec}


def deployment(experiment: Experiment, variant: Variant) -> Object:
    """The servers of a variant."""
    own = labels(experiment, variant.name)
    ref = Ref("apps/v1", "Deployment", experiment.namespace, named(experiment, variant.name))
    templates = experiment.templates.of(variant.name)
    number = replicas(templates)
    spec = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [
            {
                **container(experiment, variant, SERVER),
                **startup(_ready(variant), HTTP),
                **LEAVE,
            }
        ],
        **volumes(experiment),
    }
    # The label `version` is how Istio tells variants apart in its metrics.
    pod = {"metadata": {"labels": {**own, "version": variant.name}}, "spec": spec}
    return {
        **head(ref, experiment, variant.name),
        "spec": {
            # Without a number it is left to the user or an autoscaler.
            **({} if number is None else {"replicas": number}),
            "selector": {"matchLabels": own},
            "template": patched(pod, templates, {}),
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
                {"name": name, "port": port, "targetPort": name, **_SPOKEN.get(name, {})}
                for name, port in PORTS.items()
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
    model, to_files = variant.model, _logs_to_files(experiment)
    settings = {
        **environment(experiment, variant.name),
        **({"AB_RANDOMIZED": "true"} if silent else {}),
        "MLSERVER_MODEL_NAME": model.name,
        "MLSERVER_MODEL_VERSION": model.version,
        **_collecting(experiment),
        **log_environment(experiment.log, LOG_FOLDER if to_files else LOG_STDOUT),
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
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - as above
            *([KEYS_MOUNT] if is_made(experiment) else []),
            *(
                [{"name": "predictions", "mountPath": LOG_FOLDER}]
                if _logs_to_files(experiment)
                else []
            ),
        ],
    }


def volumes(experiment: Experiment, *, grouped: bool = True) -> Json:
    """The volumes of a pod of model servers, and the group that may read their keys.

    Where a platform lets no pod have a group (Knative, by default) everybody in the pod may.
    """
    own = [SCRATCH, *_log_volumes(experiment)]
    if not is_made(experiment):
        return {"volumes": own}
    keys = keys_volume(experiment, READ_BY_GROUP if grouped else _READ_BY_ALL)
    return {**({"securityContext": GROUP} if grouped else {}), "volumes": [*own, keys]}


def _logs_to_files(experiment: Experiment) -> bool:
    return experiment.log is not None and experiment.log.to == "files"


def _log_volumes(experiment: Experiment) -> list[Json]:
    """Where predictions are logged: as long as the pod is there, with room to rotate."""
    if experiment.log is None or not _logs_to_files(experiment):
        return []
    room = f"{2 * experiment.log.megabytes}M"
    return [{"name": "predictions", "emptyDir": {"sizeLimit": room}}]


def keys_volume(experiment: Experiment, mode: int) -> Json:
    """The mounted keys of the collector."""
    return {"name": "keys", "secret": {"secretName": keys_of(experiment).name, "defaultMode": mode}}


def collector_backend(experiment: Experiment) -> Backend | None:
    """The Service of the collector, where abctl makes one."""
    if not is_made(experiment):
        return None
    return Backend(experiment.namespace, collector_name(experiment), COLLECTS)


def collector_address(experiment: Experiment) -> tuple[str, int] | None:
    """Its host and port."""
    where = collector_backend(experiment)
    return None if where is None else (near(experiment, where), where.port)


def _collecting(experiment: Experiment) -> Mapping[str, str]:
    if (where := collector_address(experiment)) is None:
        return {}
    return {
        "AB_COLLECTOR": "http://{}:{}".format(*where),
        "AB_KEYS": f"{KEYS_MOUNT['mountPath']}/{KEYS}",
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
