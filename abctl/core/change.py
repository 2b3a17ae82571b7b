"""A change of one Kubernetes object: the only way to touch the world.

Dry run, diff, apply and rollback take the same `Change`.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from abctl.errors import ClusterError, ConflictError

Object = Mapping[str, Any]
_READ_AGAIN = "somebody else may have changed it: the same command reads it again"
EXPERIMENT, VARIANT = "abctl.dev/experiment", "abctl.dev/variant"
# Of what sends requests to the variants, where abctl runs it.
PROXY = {"app.kubernetes.io/component": "proxy"}
# Of what takes feedback for all variants.
COLLECTOR = {"app.kubernetes.io/component": "collector"}


@dataclass(frozen=True)
class Ref:
    """The address of a Kubernetes object.

    >>> Ref.of({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "abctl-iris"}})
    Ref(api_version='v1', kind='ConfigMap', namespace='default', name='abctl-iris')
    >>> str(Ref("v1", "ConfigMap", "default", "abctl-iris"))
    'configmap/abctl-iris'
    """

    api_version: str
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, obj: Object) -> "Ref":
        """The address of a given object."""
        meta = obj["metadata"]
        return cls(obj["apiVersion"], obj["kind"], meta.get("namespace", "default"), meta["name"])

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}"


@dataclass(frozen=True)
class Change:
    """An object as it is and as it shall be; `before` is None where the object is created.

    >>> change = Change({"spec": {"weight": 10}}, {"spec": {"weight": 30}})
    >>> change.json_patch()
    [{'op': 'test', 'path': '/spec/weight', 'value': 10},
     {'op': 'replace', 'path': '/spec/weight', 'value': 30}]
    """

    before: Object | None
    after: Object

    @property
    def ref(self) -> Ref:
        """The address of the object that is changed."""
        return Ref.of(self.after)

    @property
    def empty(self) -> bool:
        """Whether the object stays as it is."""
        return self.before == self.after

    def json_patch(self) -> list[dict[str, Any]]:
        """RFC 6902 operations of just the differences, each after a `test` of the old value."""
        return _operations("", self.before or {}, self.after)


def _operations(path: str, old: Any, new: Any) -> list[dict[str, Any]]:
    if old == new:
        return []
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        found: list[dict[str, Any]] = []
        for key in sorted({*old, *new}):
            here = f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}"
            if key not in new:
                found += [_test(here, old[key]), {"op": "remove", "path": here}]
            elif key not in old:
                found.append({"op": "add", "path": here, "value": new[key]})
            else:
                found += _operations(here, old[key], new[key])
        return found
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [op for i, (a, b) in pairs for op in _operations(f"{path}/{i}", a, b)]
    return [_test(path, old), {"op": "replace", "path": path, "value": new}]


def _test(path: str, value: Any) -> dict[str, Any]:
    return {"op": "test", "path": path, "value": value}


def patched(obj: Object, operations: list[dict[str, Any]]) -> Object:
    """A copy with a JSON Patch (RFC 6902) applied, all of it or none.

    Raises:
        ConflictError: a `test` found another value.
        ClusterError: a path that leads nowhere, or an operation that abctl does not write.
    """
    # An own level on top, so that a patch of the whole object needs no special case.
    top: dict[str, Any] = {"": deepcopy(obj)}
    for operation in operations:
        _apply(top, _steps(operation["path"]), operation)
    result: Object = top[""]
    return result


def holds(obj: Object, operations: list[dict[str, Any]]) -> bool:
    """Whether an object is as a JSON Patch of `Change` leaves it, whatever it was before."""
    return all(_holds(obj, operation) for operation in operations if operation["op"] != "test")


def _holds(obj: Object, operation: Mapping[str, Any]) -> bool:
    value: Any = {"": obj}
    try:
        for step in _steps(operation["path"]):
            value = value[_key(value, step)]
    except (LookupError, TypeError, ValueError):
        return bool(operation["op"] == "remove")
    return bool(operation["op"] != "remove" and value == operation["value"])


def _steps(path: str) -> list[str]:
    return [token.replace("~1", "/").replace("~0", "~") for token in path.split("/")]


def _apply(top: dict[str, Any], steps: list[str], operation: Mapping[str, Any]) -> None:
    verb, path = operation["op"], operation["path"]
    try:
        parent: Any = top
        for step in steps[:-1]:
            parent = parent[_key(parent, step)]
        key = _key(parent, steps[-1])
        if verb == "add" and isinstance(parent, list):
            parent.insert(key, deepcopy(operation["value"]))
            return
        if verb == "add":
            parent[key] = deepcopy(operation["value"])
            return
        old = parent[key]
    except (LookupError, TypeError, ValueError) as error:
        if verb == "test":
            raise ConflictError(f"{path}: is not there any more", _READ_AGAIN) from error
        raise ClusterError(f"{path}: cannot {verb}, no such path", _READ_AGAIN) from error
    if verb == "test" and old != operation["value"]:
        raise ConflictError(f"{path}: changed since it was read", _READ_AGAIN)
    if verb == "replace":
        parent[key] = deepcopy(operation["value"])
    elif verb == "remove":
        del parent[key]
    elif verb != "test":
        raise ClusterError(
            f"{path}: {verb!r} is not supported", "add, remove, replace and test are"
        )


def _key(parent: Any, step: str) -> Any:
    if not isinstance(parent, list):
        return step
    index = len(parent) if step == "-" else int(step)
    if not 0 <= index <= len(parent):
        raise IndexError(step)
    return index


def merged(stored: Object, earlier: Object, applied: Object) -> dict[str, Any]:
    """A copy of the object with what is applied in it, without what only the `earlier` one named.

    Mappings are merged key by key; everything else, lists too, is taken as a whole.
    """
    after: dict[str, Any] = {}
    for key in (*stored, *(key for key in applied if key not in stored)):
        old, before = stored.get(key), earlier.get(key)
        if key not in applied:
            if isinstance(old, Mapping) and isinstance(before, Mapping):
                if rest := merged(old, before, {}):
                    after[key] = rest
            elif key not in earlier:
                after[key] = deepcopy(old)
        elif isinstance(new := applied[key], Mapping):
            kept = old if isinstance(old, Mapping) else {}
            after[key] = merged(kept, before if isinstance(before, Mapping) else {}, new)
        else:
            after[key] = deepcopy(new)
    return after
