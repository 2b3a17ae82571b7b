"""The objects that carry an experiment, what each says of itself, and the pods at the end.

A bounded number of requests, whatever the number of pods: one list for each kind, one for all pods,
and one for each Service that abctl did not make. `unable` picks the variants that cannot answer
now, and why.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from abctl.core.change import EXPERIMENT, Object, Ref
from abctl.errors import ClusterError
from abctl.session.readiness import COLLECTS, CONDITIONS, answering, served_by, unmet
from abctl.session.session import Session

_REVISION = "serving.knative.dev/revision"
# What kubelet calls it, in words.
_WAITING = {
    "ImagePullBackOff": "its image cannot be pulled",
    "ErrImagePull": "its image cannot be pulled",
    "InvalidImageName": "its image has no valid name",
    "CrashLoopBackOff": "it ends again and again",
    "CreateContainerConfigError": "something that it needs is not there",
    "ContainerCreating": "it is being made",
    "PodInitializing": "it is being made",
}


Role = Literal["variant", "shadow", "proxy", "collector"]


@dataclass(frozen=True)
class Condition:
    """What an object's controller says of one aspect of it."""

    type: str
    status: str
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class Pod:
    """A pod; `why` says why it is not ready."""

    name: str
    ready: bool
    why: str = ""
    restarts: int = 0


@dataclass(frozen=True)
class Node:
    """An object of the experiment; `why` says why it is not ready, None that it is."""

    ref: Ref
    why: str | None
    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class Branch:
    """What serves a variant, what only gets copies, the proxy, or the collector of feedback.

    Attributes:
        name: of the variant or the shadow.
        role: which of them it is.
        parts: what the object that carries the split calls it, where that is another name.
        servers: the objects that make its pods, or the Service of somebody else that has them;
            none where the carrier itself makes them.
        pods: every one of them.
    """

    name: str
    role: Role
    parts: tuple[str, ...]
    servers: tuple[Node, ...]
    pods: tuple[Pod, ...]

    @property
    def why(self) -> str | None:
        """Why it cannot answer; None where it can, or nobody knows."""
        lacking = [f"{node.ref}: {node.why}" for node in self.servers if node.why]
        if self.pods and not any(pod.ready for pod in self.pods):
            first = self.pods[0]
            lacking.append(f"none of {len(self.pods)} pods is ready ({first.name}: {first.why})")
        return "; ".join(lacking) or None


@dataclass(frozen=True)
class Tree:
    """The object that carries the split, what serves each variant, and what could not be read."""

    carrier: Node
    branches: tuple[Branch, ...]
    unread: tuple[str, ...]


def tree(session: Session, carrier: Object) -> Tree:
    """Look at everything below the object that carries the split, as it was read."""
    platform, experiment = session.platform, session.experiment
    unread: list[str] = []
    refs = [Ref.of(obj) for obj in session.objects]
    # An object that carries the split and makes the pods is there already.
    kinds = {(r.api_version, r.kind) for r in refs if r.kind in CONDITIONS}
    kinds.discard((carrier["apiVersion"], carrier["kind"]))
    made = platform.CAPABILITIES.made
    # What somebody else's object leads to has no labels of abctl.
    theirs = None if refs else made
    wanted = theirs.labels(session.target) if theirs else {EXPERIMENT: experiment.name}
    kinds |= {("apps/v1", "Deployment")} if made else set()
    servers = [
        obj for api, kind in sorted(kinds) for obj in _list(session, api, kind, wanted, unread)
    ]
    pods = _list(session, "v1", "Pod", wanted, unread) if refs or theirs else []
    upstreams = platform.upstreams(carrier)
    services_of = platform.CAPABILITIES.services
    services = services_of(experiment, carrier) if services_of else {}

    def of_variant(obj: Object) -> str | None:
        return _labels(obj).get(theirs.variant) if theirs else served_by(obj)

    def branch(name: str | None, role: Role) -> Branch:
        parts = tuple(part for part in upstreams.get(name or "", ()) if part != name)
        own = [_node(obj) for obj in servers if of_variant(obj) == name]
        if not own and (service := services.get(name or "")):
            own = list(_service(session, service, unread))
        below = tuple(_pod(obj) for obj in pods if _is_of(obj, of_variant(obj), name, parts))
        return Branch(role if name in (None, COLLECTS) else name, role, parts, tuple(own), below)

    branches = [branch(name, "variant") for name in platform.split_of(carrier).names]
    branches += [branch(experiment.shadow.name, "shadow")] if experiment.shadow else []
    proxy, collector = branch(None, "proxy"), branch(COLLECTS, "collector")
    return Tree(
        Node(Ref.of(carrier), platform.refusal(carrier), tuple(_conditions(carrier))),
        (
            *([proxy] if proxy.servers else []),
            *branches,
            *([collector] if collector.servers else []),
        ),
        tuple(dict.fromkeys(unread)),
    )


def _list(
    session: Session, api_version: str, kind: str, labels: Mapping[str, str], unread: list[str]
) -> list[Object]:
    try:
        return list(session.world.list(api_version, kind, session.target.namespace, labels))
    except ClusterError as error:
        # That somebody may not see the pods is no reason to say nothing of the rest.
        unread.append(error.message)
        return []


def _node(obj: Object) -> Node:
    return Node(Ref.of(obj), unmet(obj, CONDITIONS[obj["kind"]]), tuple(_conditions(obj)))


def _service(session: Session, ref: Ref, unread: list[str]) -> Iterator[Node]:
    """A Service and whether anything answers behind it; nothing where nobody keeps account."""
    try:
        found = answering(session.world, ref)
    except ClusterError as error:
        unread.append(error.message)
        return
    if found is not None:
        yield Node(ref, found if isinstance(found, str) else None, ())


def _labels(obj: Object) -> Mapping[str, str]:
    return obj["metadata"].get("labels") or {}


def _is_of(pod: Object, of: str | None, variant: str | None, parts: tuple[str, ...]) -> bool:
    if revision := _labels(pod).get(_REVISION):
        return revision in parts
    return of == variant


def _conditions(obj: Object) -> Iterator[Condition]:
    status: Mapping[str, Any] = obj.get("status") or {}
    for given in status.get("conditions") or ():
        yield _condition(given)
    for parent in status.get("parents") or ():
        for given in parent.get("conditions") or ():
            yield _condition(given, f"{parent['parentRef']['name']}: ")


def _condition(given: Mapping[str, Any], prefix: str = "") -> Condition:
    said = (given.get("reason") or "", given.get("message") or "")
    return Condition(f"{prefix}{given['type']}", given["status"], *said)


def _pod(obj: Object) -> Pod:
    status: Mapping[str, Any] = obj.get("status") or {}
    conditions = {c.type: c for c in _conditions(obj)}
    containers = [
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ]
    ready = (found := conditions.get("Ready")) is not None and found.status == "True"
    restarts = sum(each.get("restartCount", 0) for each in containers)
    name = obj["metadata"]["name"]
    if ready:
        return Pod(name, True, restarts=restarts)
    if obj["metadata"].get("deletionTimestamp"):
        return Pod(name, False, "it is ending", restarts)
    scheduled = conditions.get("PodScheduled")
    if scheduled and scheduled.status != "True":
        return Pod(name, False, f"no node takes it ({scheduled.message})", restarts)
    troubles = (trouble for each in containers if (trouble := _trouble(each)))
    waits = "it does not answer its readiness probe yet" if containers else "nothing was started"
    return Pod(name, False, next(troubles, waits), restarts)


def _trouble(container: Mapping[str, Any]) -> str | None:
    """Why a container does not run."""
    state = container.get("state") or {}
    if waiting := state.get("waiting"):
        reason = waiting.get("reason") or "Waiting"
        said = ": ".join(filter(None, (reason, _ending(container) or waiting.get("message"))))
        return f"{_WAITING.get(reason, 'it waits')} ({said})"
    if (ended := state.get("terminated")) and ended.get("exitCode"):
        return f"it has ended ({ended.get('reason') or 'Error'}, exit code {ended['exitCode']})"
    return None


def _ending(container: Mapping[str, Any]) -> str | None:
    ended = (container.get("lastState") or {}).get("terminated")
    return ended and f"{ended.get('reason') or 'Error'}, exit code {ended.get('exitCode')}"


def unable(session: Session, carrier: Object | None = None) -> Mapping[str, str]:
    """Every variant of the experiment that cannot answer, with the reason in words.

    Args:
        session: the experiment in its world.
        carrier: the object that carries the split, where it was just read.
    """
    found = of_servers(session.ready, session.experiment.split.names)
    if session.state_dir is None:
        with suppress(ClusterError):
            # Which says more.
            found |= of_tree(tree(session, carrier or session.world.get(session.target)))
    return found


def of_servers(ready: Callable[[str], bool | str], names: Iterable[str]) -> dict[str, str]:
    """Of what each variant's server says; all are asked at once, as a dead one takes its time."""

    def lacking(name: str) -> str:
        try:
            said = ready(name)
        except ClusterError as error:
            return error.message
        return "" if said is True else said or "it is not ready"

    names = tuple(names)
    with ThreadPoolExecutor(max(1, len(names))) as pool:
        found = zip(names, pool.map(lacking, names), strict=True)
        return {name: why for name, why in found if why}


def of_tree(found: Tree) -> dict[str, str]:
    """Of what the objects below the one that carries the split say."""
    return {b.name: b.why for b in found.branches if b.role == "variant" and b.why}
