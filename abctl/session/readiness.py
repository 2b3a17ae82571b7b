"""Whether a variant can take requests: one that cannot never gets more of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from abctl.cluster import KubeClient
from abctl.core.change import COLLECTOR, VARIANT, Object, Ref
from abctl.core.experiment import Experiment
from abctl.errors import ClusterError, NotFoundError
from abctl.platforms import Platform

_SERVICE_NAME = "kubernetes.io/service-name"
# The condition by which each kind that serves a variant says that it does.
CONDITIONS = {
    "Deployment": "Available",
    "InferenceService": "Ready",
    "Model": "Ready",
}
_REFUSED = "ReplicaFailure"  # of a Deployment
# What serves no variant is the proxy, or takes feedback for all; no variant is called so.
COLLECTS = "_collector"


class Partly(str):
    """Why a variant is not as ready as it should be, though some pod of it answers.

    >>> bool(Partly("one of two pods is down")), Partly("one of two pods is down")
    (True, 'one of two pods is down')
    """

    __slots__ = ()


def ready(
    client: KubeClient,
    platform: Platform,
    experiment: Experiment,
    objects: Iterable[Object],
    variant: str,
) -> bool | str:
    """Whether a variant can take requests; if not, why.

    Args:
        client: the cluster.
        platform: what carries the split.
        experiment: whose variant.
        objects: those of the experiment; none where abctl did not make it.
        variant: its name.
    """
    if (served := serving(client, objects, variant)) is not None:
        return served
    target, made = platform.target(experiment), platform.CAPABILITIES.made
    if made and (own := _made(client, target, {**made.labels(target), made.variant: variant})):
        troubles = [f"{Ref.of(obj)}: {why}" for obj in own if (why := unmet(obj, "Available"))]
        some = all((obj.get("status") or {}).get("readyReplicas") for obj in own)
        return (Partly if some else str)("; ".join(troubles)) if troubles else True
    if variant == experiment.control.name:
        return True
    # The platform runs the variants itself, or somebody else made them: what it says of the whole
    # holds back a treatment, but never the way back, whichever variant that is to.
    carrier = client.get(target)
    services = platform.CAPABILITIES.services
    if services and (service := services(experiment, carrier).get(variant)):
        try:
            if isinstance(lacking := answering(client, service), str):
                return f"{service}: {lacking}"
        except ClusterError:
            pass  # one may not see them, which the doctor says
    said = platform.refusal(carrier)
    return Partly(said) if said else True


def _made(client: KubeClient, target: Ref, labels: Mapping[str, str]) -> Sequence[Object]:
    """The Deployments that a controller has made for a variant; none where one may not look."""
    try:
        return client.list("apps/v1", "Deployment", target.namespace, labels)
    except ClusterError:
        return ()


def answering(client: KubeClient, service: Ref) -> bool | str | None:
    """Whether pods answer behind a Service, or why not; None where nobody keeps account of them.

    Args:
        client: the cluster.
        service: its address.

    Raises:
        ClusterError: its EndpointSlices, or where there are none the Service, may not be read.
    """
    labels = {_SERVICE_NAME: service.name}
    slices = client.list("discovery.k8s.io/v1", "EndpointSlice", service.namespace, labels)
    known = [each for slice_ in slices for each in slice_.get("endpoints") or ()]
    if any((each.get("conditions") or {}).get("ready") is not False for each in known):
        return True
    if slices:
        return f"none of its {len(known)} endpoints is ready" if known else "it has no endpoint"
    try:
        spec = client.get(service).get("spec") or {}
    except NotFoundError:
        return "there is no such Service"
    # Of pods that a Service selects Kubernetes keeps account; what has a name elsewhere has none.
    outside = spec.get("type") == "ExternalName"
    return None if spec.get("selector") or outside else "it has no endpoint"


def serving(
    client: KubeClient, objects: Iterable[Object], variant: str | None
) -> bool | str | None:
    """Whether what serves a variant is ready, or why not; None where no object of its own does.

    What serves no variant is the proxy, or the collector (`COLLECTS`).
    """
    servers = [Ref.of(obj) for obj in objects if _serves(obj, variant)]
    for ref in servers:
        try:
            obj = client.get(ref)
            lacking = unmet(obj, CONDITIONS[ref.kind])
        except NotFoundError as error:
            return error.message
        if lacking:
            some = (obj.get("status") or {}).get("readyReplicas")
            return (Partly if some else str)(f"{ref}: {lacking}")
    return True if servers else None


def _serves(obj: Object, variant: str | None) -> bool:
    return obj["kind"] in CONDITIONS and served_by(obj) == variant


def served_by(obj: Object) -> str | None:
    """Of which variant an object is by its labels; None of none, or `COLLECTS`."""
    labels: Mapping[str, str] = obj["metadata"].get("labels") or {}
    return COLLECTS if labels.items() >= COLLECTOR.items() else labels.get(VARIANT)


def unmet(obj: Object, wanted: str) -> str | None:
    """Why an object does not have the wanted condition; None if it has."""
    status: Mapping[str, Any] = obj.get("status") or {}
    found = {condition["type"]: condition for condition in status.get("conditions") or ()}
    if (condition := found.get(wanted)) is None:
        return "nothing has reported on it yet"
    if condition["status"] == "True":
        return None
    # That its pods are refused (policy, quota) says more than that they are too few.
    refused = found.get(_REFUSED, {})
    if refused.get("status") == "True":
        condition = refused
    said = condition.get("message") or condition.get("reason") or "without a reason"
    return f"not {wanted} ({said})"
