"""What the admission webhook of Seldon Core 1.17 refuses, in its own words."""

from collections.abc import Iterator, Mapping
from typing import Any

from abctl.core.change import Object
from abctl.platforms import _weighted

_KNOWN = {
    "protocol": ("", "seldon", "tensorflow", "kfserving", "v2"),
    "transport": ("", "rest", "grpc"),
    "serverType": ("", "rpc", "kafka"),
}
_MOST = 100

Json = Mapping[str, Any]


def objections(obj: Object) -> tuple[str, ...]:
    """What it says against a SeldonDeployment; nothing of other kinds."""
    if obj["kind"] != "SeldonDeployment":
        return ()
    spec = obj.get("spec", {})
    predictors = spec.get("predictors") or []
    return (
        *_known(spec),
        *_traffic(predictors),
        *(said for predictor in predictors for said in _predictor(predictor)),
        *_twice("Duplicate predictor name", [p["name"] for p in predictors]),
        *_twice("Duplicate seldon.io/svc-name", list(_services(predictors))),
    )


def _known(spec: Json) -> Iterator[str]:
    for field, allowed in _KNOWN.items():
        if spec.get(field, "") not in allowed:
            yield f"Invalid {field}: {spec[field]}"


def _traffic(predictors: list[Json]) -> Iterator[str]:
    shadows = [p for p in predictors if p.get("shadow")]
    total = sum(_weighted.whole(p.get("traffic", 0)) for p in predictors if not p.get("shadow"))
    if not predictors:
        yield "no predictors"
    if predictors and len(shadows) == len(predictors):
        yield "a shadow cannot be the only predictor"
    if len(shadows) > 1:
        yield "Multiple shadows are not allowed"
    if any(not 0 <= p.get("traffic", 0) <= _MOST for p in shadows):
        yield "shadow traffic is illegal, the traffic number should be between [0, 100]"
    if total != _MOST and len(predictors) - len(shadows) > 1:
        yield "Traffic must sum to 100 for multiple predictors"
    if 0 < total < _MOST and len(predictors) == 1:
        yield "Traffic must sum be 100 for a single predictor when set"


def _predictor(predictor: Json) -> Iterator[str]:
    specs = predictor.get("componentSpecs") or []
    containers = {c["name"] for s in specs for c in s.get("spec", {}).get("containers", ())}
    nodes = list(_nodes(predictor.get("graph", {})))
    for node in nodes:
        implementation = node.get("implementation")
        if not implementation and node["name"] not in containers:
            yield f"Can't find container for Predictive Unit {node['name']}"
        prepacked = str(implementation).endswith("_SERVER") and implementation != (
            "HUGGINGFACE_SERVER"
        )
        if prepacked and not node.get("modelUri"):
            yield f"Predictive unit {node['name']}: modelUri required when using standalone servers"
    if "seldon.io/no-engine" in (predictor.get("annotations") or {}) and len(nodes) > 1:
        yield "Running without engine only valid for single element graphs"


def _nodes(node: Json) -> Iterator[Json]:
    if node:
        yield node
    for child in node.get("children") or ():
        yield from _nodes(child)


def _services(predictors: list[Json]) -> Iterator[str]:
    for predictor in predictors:
        if name := (predictor.get("annotations") or {}).get("seldon.io/svc-name"):
            yield name


def _twice(message: str, names: list[str]) -> Iterator[str]:
    for name in dict.fromkeys(n for n in names if names.count(n) > 1):
        yield f"{message}: {name}"
