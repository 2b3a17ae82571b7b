"""Templates of the user, merged into the pods that abctl renders (strategic merge).

Lists of things that have a key (containers by name, env by name, ...) merge by it; other lists are
replaced; null takes away. So does Kubernetes itself.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from abctl.core.template import MERGED_BY, Template

Json = dict[str, Any]

# Of each of these an item is one of several kinds (value or valueFrom), never two.
_WHOLE = ("env", "volumes")


def merged(base: Mapping[str, Any], patch: Mapping[str, Any]) -> Json:
    """A copy of `base` with the patch in it.

    >>> base = {"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}]}]}
    >>> patch = {"containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}]}]}
    >>> merged(base, patch)["containers"][0]["env"]
    [{'name': 'X', 'value': '1'}, {'name': 'Y', 'value': '2'}]
    """
    found = deepcopy(dict(base))
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        elif isinstance(value, Mapping):
            there = found.get(key)
            found[key] = merged(there if isinstance(there, Mapping) else {}, value)
        elif key in MERGED_BY and isinstance(value, list):  # a label may be called so, too
            found[key] = _merged_items(key, found.get(key) or [], value)
        else:
            found[key] = deepcopy(value)
    return found


def _merged_items(name: str, base: Sequence[Json], patch: Sequence[Json]) -> list[Json]:
    key = MERGED_BY[name]
    found = {item[key]: item for item in base}
    for item in patch:
        there = {} if name in _WHOLE else found.get(item[key], {})
        found[item[key]] = merged(there, item)
    return list(found.values())


def patched(pod: Json, templates: Sequence[Template], called: Mapping[str, str]) -> Json:
    """A pod (metadata and spec) with templates merged in.

    Args:
        pod: as abctl renders it.
        templates: in their order. The first one is of all pods: what it says of a container
            counts where there is one of that name.
        called: what containers of the templates are called in this pod.
    """
    for i, template in enumerate(templates):
        meta = {"labels": template.labels, "annotations": template.annotations}
        meta = {key: value for key, value in meta.items() if value}
        spec = _renamed(template.spec, called)
        if i == 0 and spec.get("containers"):
            there = [each["name"] for each in pod["spec"].get("containers", ())]
            spec["containers"] = [each for each in spec["containers"] if each["name"] in there]
        pod = merged(pod, {"metadata": meta, "spec": spec} if meta else {"spec": spec})
    return pod


def _renamed(spec: Mapping[str, Any], called: Mapping[str, str]) -> Json:
    if not spec.get("containers"):  # nobody takes away all of them
        return {key: value for key, value in spec.items() if key != "containers"}
    containers = [{**c, "name": called.get(c["name"], c["name"])} for c in spec["containers"]]
    return {**spec, "containers": containers}


def replicas(templates: Sequence[Template]) -> int | None:
    """How many: the last one that says it."""
    return next((t.replicas for t in reversed(templates) if t.replicas is not None), None)
