"""The VirtualService that Seldon's operator writes, by which Istio splits requests.

The operator writes it only while every pod of every predictor is ready, shadows too. Until then the
traffic of a SeldonDeployment is a wish: what the VirtualService says is in effect.
"""

from copy import deepcopy
from typing import Any

from abctl.core.change import Object, Ref
from abctl.core.split import Split
from abctl.errors import ClusterError
from abctl.platforms import _weighted

_API = "networking.istio.io/v1"


def ref(target: Ref) -> Ref:
    """Its address: the operator calls it as the SeldonDeployment is called."""
    return Ref(_API, "VirtualService", target.namespace, target.name)


def split_of(obj: Object, names: list[str]) -> Split | None:
    """The split that it carries; None where it is another one's, or of other predictors.

    Args:
        obj: what is there.
        names: the predictors that share traffic.
    """
    try:
        found = {_split(obj, route, names) for route in _routes(obj)}
    except ClusterError:
        return None
    return found.pop() if len(found) == 1 else None


def with_split(obj: Object, split: Split) -> Object:
    """A copy with other weights in all routes: those of REST and of gRPC."""
    after: dict[str, Any] = deepcopy(dict(obj))
    for route in _routes(after):
        for each in route["route"]:
            each["weight"] = split[each["destination"].get("subset", "")] // 100
    return after


def _routes(obj: Object) -> list[dict[str, Any]]:
    owners = obj["metadata"].get("ownerReferences") or ()
    if not any(each.get("kind") == "SeldonDeployment" for each in owners):
        return []  # somebody else's of the same name
    return [route for route in obj.get("spec", {}).get("http") or () if route.get("route")]


def _split(obj: Object, route: dict[str, Any], names: list[str]) -> Split | None:
    # A weight of 0 is left out.
    weights = {r["destination"].get("subset"): r.get("weight", 0) for r in route["route"]}
    if len(weights) == 1:
        weights = dict.fromkeys(weights, 100)
    if not weights.keys() <= {*names}:
        return None
    return _weighted.split_of(obj, names, [weights.get(name, 0) for name in names])
