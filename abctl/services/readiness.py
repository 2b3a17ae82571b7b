"""Whether a variant in a cluster can take requests: one that cannot never gets more of them."""

from collections.abc import Iterable, Mapping
from typing import Any

from abctl.cluster import Door
from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment
from abctl.core.labels import VARIANT
from abctl.errors import NotFoundError
from abctl.platforms import Platform

# The condition by which each kind that serves a variant says that it does.
CONDITIONS = {
    "Deployment": "Available",
    "InferenceService": "Ready",
    "Model": "Ready",
}


def ready(
    door: Door,
    platform: Platform,
    experiment: Experiment,
    objects: Iterable[Object],
    variant: str,
) -> bool | str:
    """Whether a variant can take requests; if not, why.

    Args:
        door: the cluster.
        platform: what carries the split.
        experiment: whose variant.
        objects: those of the experiment; none where abctl did not make it.
        variant: its name.
    """
    if (served := serving(door, objects, variant)) is not None:
        return served
    if variant == experiment.control.name:
        return True
    # The platform runs the variants itself, or somebody else made them: what it says of the whole
    # holds back a treatment, but never the way back to the control.
    return platform.refusal(door.get(platform.target(experiment))) or True


def serving(door: Door, objects: Iterable[Object], variant: str | None) -> bool | str | None:
    """Whether what serves a variant is ready, or why not; None where no object of its own does.

    What serves no variant is the proxy.
    """
    servers = [Ref.of(obj) for obj in objects if _serves(obj, variant)]
    for ref in servers:
        try:
            lacking = unmet(door.get(ref), CONDITIONS[ref.kind])
        except NotFoundError as error:
            return error.message
        if lacking:
            return f"{ref}: {lacking}"
    return True if servers else None


def _serves(obj: Object, variant: str | None) -> bool:
    labels: Mapping[str, str] = obj["metadata"].get("labels") or {}
    return obj["kind"] in CONDITIONS and labels.get(VARIANT) == variant


def unmet(obj: Object, wanted: str) -> str | None:
    """Why an object does not have the wanted condition; None if it has."""
    status: Mapping[str, Any] = obj.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition["type"] == wanted:
            said = condition.get("message") or condition.get("reason") or "without a reason"
            return None if condition["status"] == "True" else f"not {wanted} ({said})"
    return "nothing has reported on it yet"
