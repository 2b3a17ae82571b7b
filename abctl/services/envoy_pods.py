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
        `routes`: those of a pod that has others than the wanted ones, else the wanted ones;
        `refusal`: why a pod has not the wanted ones, where that is more than another split.
    """
    experiment = (obj["metadata"].get("labels") or {}).get(_EXPERIMENT)
    if experiment is None or envoy.ROUTES_FILE not in (obj.get("data") or {}):
        return None
    namespace = obj["metadata"]["namespace"]
    wanted = envoy.routes_of(obj)
    found = None
    try:
        for pod in door.list("v1", "Pod", namespace, {_EXPERIMENT: experiment, **_PROXY}):
            if "deletionTimestamp" in pod["metadata"]:
                continue
            found = {"routes": _routes(door, pod, experiment)}
            if not _holds(found["routes"], wanted):
                same_split = envoy.programmed({**obj, "status": found}) == envoy.split_of(obj)
                return {"refusal": f"{Ref.of(pod)} has older routes"} if same_split else found
    except NotReadyError as error:
        return {"refusal": error.message}
    except ClusterError:
        return None
    return found


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


def _holds(loaded: Any, wanted: Any) -> bool:
    """Whether everything that is wanted was loaded; Envoy leaves out what is so by default."""
    if loaded is None:
        return not wanted
    if isinstance(wanted, dict):
        return isinstance(loaded, dict) and all(
            _holds(loaded.get(key), value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        same = isinstance(loaded, list) and len(loaded) == len(wanted)
        return same and all(map(_holds, loaded, wanted))
    return bool(loaded == wanted)
