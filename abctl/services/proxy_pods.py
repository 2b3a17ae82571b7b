"""What proxies in a cluster have loaded: a node takes over a minute to give them a ConfigMap."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from abctl.core.change import Object, Ref
from abctl.core.labels import EXPERIMENT, PROXY
from abctl.core.split import Split
from abctl.errors import ClusterError, NotReadyError
from abctl.platforms import Inquiry, Platform

if TYPE_CHECKING:
    from abctl.cluster.kube import KubeDoor


class ProxyPods:
    """Asks the pods of a platform's own proxy, through the API server.

    A pod that has what is wanted is not asked again before something else is wanted: it would not
    give that up.

    Args:
        door: the cluster.
        platform: what carries the split.
        inquiry: how its pods are asked.
        target: the object that carries the split.
    """

    def __init__(self, door: "KubeDoor", platform: Platform, inquiry: Inquiry, target: Ref) -> None:
        self._door, self._platform, self._inquiry = door, platform, inquiry
        self._target = target
        self._version = ""
        self._settled: dict[str, Mapping[str, Any]] = {}

    def status(self, obj: Object) -> Mapping[str, Any] | None:
        """The status of the object that carries the split; None for others, or where it is foreign.

        Returns:
            Of the first pod that has not what is wanted, else of any; `refusal` names it. Or
            `unseen`: why nobody can tell. There are none, they may not be asked (`list pods`,
            `get pods/proxy`), or a network policy keeps the API server from them.
        """
        experiment = (obj["metadata"].get("labels") or {}).get(EXPERIMENT)
        if experiment is None or Ref.of(obj) != self._target:
            return None
        if self._version != (version := obj["metadata"]["resourceVersion"]):
            self._version, self._settled = version, {}
        labels = {EXPERIMENT: experiment} | PROXY
        found: Mapping[str, Any] = {"unseen": "there is no pod of the proxy to ask"}
        try:
            wanted = self._platform.split_of(obj)
            for pod in self._door.list("v1", "Pod", self._target.namespace, labels):
                if "deletionTimestamp" in pod["metadata"]:
                    continue
                known = self._settled.get(pod["metadata"]["uid"])
                found = known or self._ask(obj, pod)
                if self._split(obj, found) != wanted:
                    return found
                self._settled[pod["metadata"]["uid"]] = found
        except NotReadyError as error:
            return {"refusal": error.message}
        except ClusterError as error:
            return {"unseen": error.message}
        return found

    def _ask(self, obj: Object, pod: Object) -> Mapping[str, Any]:
        ref = Ref.of(pod)
        if (pod.get("status") or {}).get("phase") != "Running":
            raise NotReadyError(f"{ref} does not run yet", f"kubectl describe {ref} says why")
        answer = self._door.ask_pod(ref, self._inquiry.port, self._inquiry.path)
        found = self._inquiry.status(obj, answer)
        if refusal := found.get("refusal"):
            raise NotReadyError(f"{ref} {refusal}", f"kubectl logs {ref.name} may say more")
        return found

    def _split(self, obj: Object, status: Mapping[str, Any]) -> Split | None:
        return self._platform.programmed({**obj, "status": status})
