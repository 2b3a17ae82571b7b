"""The object that a platform's controller makes of the split, by which requests are really split.

Seldon's operator does not touch it while any pod is unready. It is read together with the object
that carries the split, and a rollback writes its weights where the controller does not come to it.
"""

from typing import Any

from abctl.cluster import KubeClient
from abctl.core.change import Change, Object, Ref
from abctl.core.split import Split
from abctl.errors import ClusterError, ConflictError, UnreachableError
from abctl.platforms import Made
from abctl.session.session import Session

_ATTEMPTS = 5


class Following:
    """A client that reads the object that carries the split together with its route.

    Where nobody answers for the route, `status.unread` says so.

    Args:
        client: the cluster.
        made: what the platform's controller makes.
        target: the object that carries the split.
    """

    def __init__(self, client: KubeClient, made: Made, target: Ref) -> None:
        self._client, self._target, self._route = client, target, made.route(target)

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._client, verb)

    def get(self, ref: Ref) -> Object:
        """Read an object; that which carries the split with `status.route`."""
        obj = self._client.get(ref)
        if ref != self._target:
            return obj
        try:
            seen: dict[str, Any] = {"route": self._client.get(self._route)}
        except UnreachableError as error:  # what carries the split can be changed all the same
            seen = {"unread": error.message}
        except ClusterError:  # it is not there yet, or one may not read it
            return obj
        return {**obj, "status": {**(obj.get("status") or {}), **seen}}


def hasten(session: Session, split: Split) -> None:
    """Write a split into the route, where the controller has not done it.

    It writes the same as soon as it comes to it. That it cannot be written is told, and no more:
    the object that carries the split asks for it already.
    """
    if (made := session.platform.CAPABILITIES.made) is None:
        return
    for _ in range(_ATTEMPTS):
        try:
            carrier = session.world.get(session.target)
            if session.platform.programmed(carrier) in (None, split):
                return
            route = carrier["status"]["route"]
            change = Change(route, made.routed(route, split))
            session.world.patch(change.ref, change.json_patch())
        except ConflictError:  # the controller was faster
            continue
        except ClusterError as error:
            session.report(f"warning: requests are still split as before: {error.message}")
            return
        session.report(f"{change.ref} patched: its controller waits for all pods to be ready")
        return
