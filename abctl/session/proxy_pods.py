"""The pods of a proxy in a cluster: which split they have loaded, and how they get it soon."""

import math
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from abctl.core.change import EXPERIMENT, PROXY, Object, Ref
from abctl.core.split import Split
from abctl.errors import ClusterError, NotFoundError, NotReadyError
from abctl.platforms import Inquiry, Platform

if TYPE_CHECKING:
    from abctl.cluster.kube import ClusterClient

# Which version of the object that carries the split a pod should have.
_WANTED = "abctl.dev/config-version"
# A node may hear of the pod before it hears of the ConfigMap.
_AGAIN_SECONDS = 2.0


class ProxyPods:
    """A client to a cluster where pods of a platform's own proxy tell the status of its object.

    They are asked, through the API server, whenever the object that carries the split is read. A
    pod that has what is wanted is not asked again before something else is wanted: it would not
    give that up.

    A node looks at mounted ConfigMaps about once a minute, but at once when a pod itself has
    changed. So `remind` gives those that lag behind an annotation.

    Args:
        client: the cluster.
        platform: what carries the split.
        inquiry: how its pods are asked.
        target: the object that carries the split.
        clock: seconds.
    """

    def __init__(
        self,
        client: "ClusterClient",
        platform: Platform,
        inquiry: Inquiry,
        target: Ref,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._platform, self._inquiry = client, platform, inquiry
        self._target, self._clock = target, clock
        self._version = ""
        self._settled: dict[str, Mapping[str, Any]] = {}
        self._pods: list[Object] = []
        self._reminded: dict[str, int] = {}
        self._next_reminder = -math.inf

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._client, verb)

    def get(self, ref: Ref) -> Object:
        """Read an object with its status."""
        obj = self._client.get(ref)
        status = self.status(obj)
        return obj if status is None else {**obj, "status": status}

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
            self._reminded, self._next_reminder = {}, -math.inf
        labels = {EXPERIMENT: experiment} | PROXY
        found: Mapping[str, Any] = {"unseen": "there is no pod of the proxy to ask"}
        try:
            wanted = self._platform.split_of(obj)
            there = self._client.list("v1", "Pod", self._target.namespace, labels)
            self._pods = [pod for pod in there if "deletionTimestamp" not in pod["metadata"]]
            for pod in self._pods:
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

    def remind(self) -> str | None:
        """Make the nodes give the pods that lag behind the changed object at once.

        Those that were seen when the object was last read; once, and again where that was too soon.

        Returns:
            Why that is not possible (it takes `patch pods/status`): then it takes their time.
        """
        if (now := self._clock()) < self._next_reminder:
            return None
        self._next_reminder = now + _AGAIN_SECONDS
        for pod in self._pods:
            if (uid := pod["metadata"]["uid"]) in self._settled:
                continue
            times = self._reminded[uid] = self._reminded.get(uid, 0) + 1
            try:
                # The same value once more would be no change.
                self._client.annotate_pod(Ref.of(pod), {_WANTED: f"{self._version}.{times}"})
            except NotFoundError:
                continue  # it has just ended
            except ClusterError as error:
                return error.message
        return None

    def _ask(self, obj: Object, pod: Object) -> Mapping[str, Any]:
        ref = Ref.of(pod)
        if (pod.get("status") or {}).get("phase") != "Running":
            raise NotReadyError(f"{ref} does not run yet", f"kubectl describe {ref} says why")
        answer = self._client.ask_pod(ref, self._inquiry.port, self._inquiry.path)
        found = self._inquiry.status(obj, answer)
        if refusal := found.get("refusal"):
            raise NotReadyError(f"{ref} {refusal}", f"kubectl logs {ref.name} may say more")
        return found

    def _split(self, obj: Object, status: Mapping[str, Any]) -> Split | None:
        return self._platform.programmed({**obj, "status": status})
