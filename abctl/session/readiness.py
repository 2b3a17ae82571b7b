"""What a cluster's servers and proxies are ready for: a variant's requests, and a new split.

`ready` says whether a variant can take requests: one that cannot never gets more of them.
`ProxyPods` asks the proxies which split they have loaded: a node takes over a minute to give them a
changed ConfigMap.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from abctl.cluster import KubeClient
from abctl.core.change import EXPERIMENT, PROXY, VARIANT, Object, Ref
from abctl.core.experiment import Experiment
from abctl.core.split import Split
from abctl.errors import ClusterError, NotFoundError, NotReadyError
from abctl.platforms import Inquiry, Platform

if TYPE_CHECKING:
    from abctl.cluster.kube import ClusterClient


# The condition by which each kind that serves a variant says that it does.
CONDITIONS = {
    "Deployment": "Available",
    "InferenceService": "Ready",
    "Model": "Ready",
}


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
    if variant == experiment.control.name:
        return True
    # The platform runs the variants itself, or somebody else made them: what it says of the whole
    # holds back a treatment, but never the way back to the control.
    return platform.refusal(client.get(platform.target(experiment))) or True


def serving(
    client: KubeClient, objects: Iterable[Object], variant: str | None
) -> bool | str | None:
    """Whether what serves a variant is ready, or why not; None where no object of its own does.

    What serves no variant is the proxy.
    """
    servers = [Ref.of(obj) for obj in objects if _serves(obj, variant)]
    for ref in servers:
        try:
            lacking = unmet(client.get(ref), CONDITIONS[ref.kind])
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


class ProxyPods:
    """A client to a cluster where pods of a platform's own proxy tell the status of its object.

    They are asked, through the API server, whenever the object that carries the split is read. A
    pod that has what is wanted is not asked again before something else is wanted: it would not
    give that up.

    Args:
        client: the cluster.
        platform: what carries the split.
        inquiry: how its pods are asked.
        target: the object that carries the split.
    """

    def __init__(
        self, client: "ClusterClient", platform: Platform, inquiry: Inquiry, target: Ref
    ) -> None:
        self._client, self._platform, self._inquiry = client, platform, inquiry
        self._target = target
        self._version = ""
        self._settled: dict[str, Mapping[str, Any]] = {}

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
        labels = {EXPERIMENT: experiment} | PROXY
        found: Mapping[str, Any] = {"unseen": "there is no pod of the proxy to ask"}
        try:
            wanted = self._platform.split_of(obj)
            for pod in self._client.list("v1", "Pod", self._target.namespace, labels):
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
        answer = self._client.ask_pod(ref, self._inquiry.port, self._inquiry.path)
        found = self._inquiry.status(obj, answer)
        if refusal := found.get("refusal"):
            raise NotReadyError(f"{ref} {refusal}", f"kubectl logs {ref.name} may say more")
        return found

    def _split(self, obj: Object, status: Mapping[str, Any]) -> Split | None:
        return self._platform.programmed({**obj, "status": status})
