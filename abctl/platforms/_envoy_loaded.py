"""What an Envoy says that it has loaded: the routes of its configuration dump."""

from collections.abc import Mapping
from typing import Any

PATH = "config_dump?resource=dynamic_route_configs"


def routes(dump: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """The RouteConfiguration of that name in a dump, if there is one."""
    found = (each.get("route_config", {}) for each in dump.get("configs", ()))
    return next((each for each in found if each.get("name") == name), None)


def holds(loaded: Any, wanted: Any) -> bool:
    """Whether everything that is wanted was loaded; Envoy leaves out what is so by default."""
    if loaded is None:
        return not wanted
    if isinstance(wanted, dict):
        return isinstance(loaded, dict) and all(
            holds(loaded.get(key), value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        same = isinstance(loaded, list) and len(loaded) == len(wanted)
        return same and all(map(holds, loaded, wanted))
    return bool(loaded == wanted)
