"""What the Envoys of a cluster have loaded: a node takes over a minute to give them a ConfigMap."""

from collections.abc import Mapping
from typing import Any

from abctl.cluster.kube import KubeDoor
from abctl.core.change import Object, Ref
from abctl.errors import ClusterError, NotReadyError
from abctl.platforms import envoy

_ADMIN = 9901
_ROUTES = "config_dump?resource=dynamic_route_configs"
_EXPERIMENT = "abctl.dev/experiment"
_PROXY = {"app.kubernetes.io/component": "proxy"}


def status(door: KubeDoor, obj: Object) -> Mapping[str, Any] | None:
    """The status of the ConfigMap that carries a split for Envoy; None where none can be told.

    That is so for every other object, where no pod of Envoy is, and where abctl may not ask them
    (`list pods` and `get pods/proxy`), or a network policy keeps the API server from them.

    Returns:
        `routes`: those of a pod that has not the wanted ones yet, else of any; `refusal`: why a pod
        has none.
    """
    experiment = (obj["metadata"].get("labels") or {}).get(_EXPERIMENT)
    if experiment is None or envoy.ROUTES_FILE not in (obj.get("data") or {}):
        return None
    namespace = obj["metadata"]["namespace"]
    try:
        pods = door.list("v1", "Pod", namespace, {_EXPERIMENT: experiment, **_PROXY})
        staying = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        told = [{"routes": _routes(door, pod, experiment)} for pod in staying]
    except NotReadyError as error:
        return {"refusal": error.message}
    except ClusterError:
        return None
    wanted = envoy.split_of(obj)
    behind = [each for each in told if envoy.programmed({**obj, "status": each}) != wanted]
    return next(iter(behind or told), None)


def _routes(door: KubeDoor, obj: Object, name: str) -> Mapping[str, Any]:
    pod = Ref.of(obj)
    if (obj.get("status") or {}).get("phase") != "Running":
        raise NotReadyError(f"{pod} does not run yet")
    dump = door.ask_pod(pod, _ADMIN, _ROUTES)
    routes: list[Mapping[str, Any]] = [each["route_config"] for each in dump.get("configs", ())]
    for each in routes:
        if each.get("name") == name:
            return each
    raise NotReadyError(f"{pod} has no routes yet")
