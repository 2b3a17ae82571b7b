"""Who else writes the object that carries the split: by owner references, labels, managed fields.

Kubernetes notes of each field who wrote it (metadata.managedFields). So a GitOps tool or a
controller that would put the split back is named before anything is written.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from abctl.cluster import Manager
from abctl.core.change import Change, Object, Ref
from abctl.core.split import TOTAL_BP, Split
from abctl.errors import AbctlError, ClusterError
from abctl.session.session import Session

_ARGO = "argocd.argoproj.io"
_FLUX, _FLUX_HELM = "kustomize.toolkit.fluxcd.io", "helm.toolkit.fluxcd.io"
_LEFT_ALONE = ("Ignore", "IfNotPresent")
_OWN = ("abctl", "kubectl", "before-first-apply")
# Names of field managers that compute weights themselves, and what they are.
_CONTROLLERS = {"flagger": "Flagger", "rollouts-controller": "Argo Rollouts"}
_TOOLS = ("argocd", "kustomize-controller", "helm")


@dataclass(frozen=True)
class Owner:
    """Somebody else who writes the split of an object, or will.

    >>> Owner("Flagger", controls=True, advice="shift there").name
    'Flagger'

    Attributes:
        name: for people.
        controls: whether it computes the weights, and puts its own back at once.
        advice: what to do, so that the split stays.
    """

    name: str
    controls: bool
    advice: str


def writer_of(session: Session, change: Change) -> str:
    """The field manager that last wrote the split; empty if nobody knows it."""
    try:
        managers = session.world.managers(session.target)
    except ClusterError:
        return ""
    found = [m for m in managers if not m.status and _owns(m, change)]
    return max(found, key=lambda m: m.at or 0.0).name if found else ""


def owners(session: Session, change: Change) -> tuple[Owner, ...]:
    """Who else writes what a change is to write: by owner references, labels, managed fields.

    Args:
        session: the experiment in its world.
        change: of the object that carries the split.
    """
    if change.before is None or change.empty or session.state_dir is not None:
        return ()
    try:
        managers = session.world.managers(change.ref)
    except ClusterError:
        managers = ()
    found = {owner.name: owner for owner in _owners(change.before, managers, change)}
    return tuple(found.values())


def owners_of(session: Session, carrier: Object) -> tuple[Owner, ...]:
    """Who else writes the split, whichever split it is to be.

    Args:
        session: the experiment in its cluster.
        carrier: the object that carries the split, as it is.
    """
    try:
        asked = session.platform.split_of(carrier)
        whole = [
            Split(asked.names, tuple(TOTAL_BP * (n == name) for n in asked.names))
            for name in asked.names
        ]
        other = next(each for each in whole if each != asked)
        return owners(session, Change(carrier, session.platform.with_split(carrier, other)))
    except (AbctlError, StopIteration):  # what carries no split is told elsewhere
        return ()


def _owners(obj: Object, managers: Sequence[Manager], change: Change) -> Iterator[Owner]:
    meta, ref = obj["metadata"], Ref.of(obj)
    for each in meta.get("ownerReferences") or ():
        if each.get("controller"):
            name = f"{each.get('kind')}/{each.get('name')}"
            yield Owner(
                name,
                controls=True,
                advice=f"{name} makes {ref} and writes its own weights back: shift there",
            )
    yield from _of_labels(ref, meta, change)
    for manager in managers:
        if manager.status or not _owns(manager, change):
            continue
        if words := _CONTROLLERS.get(manager.name):
            advice = f"{words} computes the weights of {ref}: pause it, or shift there"
            yield Owner(words, controls=True, advice=advice)
        elif not manager.name.startswith((*_OWN, *_TOOLS)):
            advice = (
                f"field manager {manager.name!r} writes the weights of {ref} too: ask whose it is"
            )
            yield Owner(manager.name or "somebody", controls=False, advice=advice)
        elif manager.name.startswith("argocd") and not _argo(meta):
            yield Owner("Argo CD", controls=False, advice=_for_argo(ref, change))


def _of_labels(ref: Ref, meta: Mapping[str, Any], change: Change) -> Iterator[Owner]:
    labels, notes = meta.get("labels") or {}, meta.get("annotations") or {}
    if application := _argo(meta):
        yield Owner(f"Argo CD application {application}", False, _for_argo(ref, change))
    if name := labels.get(f"{_FLUX}/name"):
        off = notes.get(f"{_FLUX}/reconcile") == "disabled"
        if not off and notes.get(f"{_FLUX}/ssa") not in _LEFT_ALONE:
            yield Owner(f"Flux Kustomization {name}", False, _for_flux(ref, change))
    release = labels.get(f"{_FLUX_HELM}/name")
    if release is None and labels.get("app.kubernetes.io/managed-by") == "Helm":
        release = notes.get("meta.helm.sh/release-name", "unknown")
    if release is not None:
        advice = (
            f"every upgrade of the release writes the weights of its chart: make {ref} outside of "
            "the chart, or set the chart's weights to the split before an upgrade"
        )
        yield Owner(f"Helm release {release}", False, advice)


def _argo(meta: Mapping[str, Any]) -> str:
    labels, notes = meta.get("labels") or {}, meta.get("annotations") or {}
    tracked: str = notes.get(f"{_ARGO}/tracking-id", "").partition(":")[0]
    return tracked or labels.get(f"{_ARGO}/instance", "")


def _for_argo(ref: Ref, change: Change) -> str:
    group = ref.api_version.rpartition("/")[0]
    what = f"group: {group or chr(34) * 2}, kind: {ref.kind}, name: {ref.name}"
    pointers = ", ".join(_pointers(change))
    return (
        "its next sync, or self-heal, puts the split of Git back. Put into the Application "
        f"spec.ignoreDifferences: [{{{what}, jsonPointers: [{pointers}]}}] and "
        "spec.syncPolicy.syncOptions: [ApplyOutOfSyncOnly=true, RespectIgnoreDifferences=true]"
    )


def _for_flux(ref: Ref, change: Change) -> str:
    paths = ", ".join(_pointers(change))
    return (
        "its next reconciliation puts the split of Git back. Put into the Kustomization "
        f"spec.ignore: [{{paths: [{paths}], target: {{kind: {ref.kind}, name: {ref.name}}}}}] "
        f"(Flux 2.9), or before that into Git the annotation {_FLUX}/ssa: IfNotPresent of {ref}"
    )


def _pointers(change: Change) -> list[str]:
    return [each["path"] for each in change.json_patch() if each["op"] != "test"]


def _owns(manager: Manager, change: Change) -> bool:
    """Whether a manager owns a field that a change writes; a list may be owned as a whole."""
    return any(_covers(manager.fields, path.split("/")[1:]) for path in _pointers(change))


def _covers(fields: Mapping[str, Any], path: Iterable[str]) -> bool:
    for step in path:
        here = f"f:{step.replace('~1', '/').replace('~0', '~')}"
        if here not in fields:
            # Items of a list that is merged are known by their keys.
            return step.isdecimal() and any(key[:2] in ("k:", "v:", "i:") for key in fields)
        fields = fields[here]
        if not fields.keys() - {"."}:
            return True
    return True
