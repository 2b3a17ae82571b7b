"""Rules of the platforms' admission, each in its own words."""

import pytest
import yaml

from abctl.errors import SpecError
from abctl.platforms import platform, require_admissible


def seldon(*predictors, **spec):
    return _object("SeldonDeployment", {"predictors": list(predictors), **spec})


def predictor(name="a", **fields):
    node = {"name": "m", "implementation": "SKLEARN_SERVER", "modelUri": "gs://a"}
    return {"name": name, "graph": node, **fields}


def graph(name="iris", **nodes):
    return _object("InferenceGraph", {"nodes": nodes}, name)


def splitter(*steps):
    return {"routerType": "Splitter", "steps": list(steps)}


def isvc(canary, mode="Standard", **spec):
    obj = _object("InferenceService", {"predictor": {"model": {}}, "canary": canary, **spec})
    obj["metadata"]["annotations"] = {"serving.kserve.io/deploymentMode": mode}
    return obj


def _object(kind, spec, name="iris"):
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


STEP = {"serviceName": "s", "weight": 100}
CANARY = {"trafficPercent": 10, "predictor": {"name": "v2"}}
NO_IMAGE = {"name": "m", "type": "MODEL"}
OBJECTIONS = [
    ("seldon", seldon(), "no predictors"),
    (
        "seldon",
        seldon(predictor(traffic=50), predictor("b", traffic=40)),
        "Traffic must sum to 100 for multiple predictors",
    ),
    (
        "seldon",
        seldon(predictor(traffic=50)),
        "Traffic must sum be 100 for a single predictor when set",
    ),
    (
        "seldon",
        seldon(predictor(), *(predictor(n, shadow=True) for n in "bc")),
        "Multiple shadows are not allowed",
    ),
    (
        "seldon",
        seldon(predictor(), predictor("b", shadow=True, traffic=101)),
        "shadow traffic is illegal",
    ),
    ("seldon", seldon(predictor(shadow=True)), "a shadow cannot be the only predictor"),
    (
        "seldon",
        seldon(predictor(traffic=50), predictor(traffic=50)),
        "Duplicate predictor name: a",
    ),
    ("seldon", seldon(predictor(), protocol="v3"), "Invalid protocol: v3"),
    ("seldon", seldon(predictor(), transport="udp"), "Invalid transport: udp"),
    ("seldon", seldon(predictor(graph=NO_IMAGE)), "Can't find container for Predictive Unit m"),
    (
        "seldon",
        seldon(predictor(graph={"name": "m", "implementation": "SKLEARN_SERVER"})),
        "modelUri required when using standalone servers",
    ),
    (
        "seldon",
        seldon(
            predictor(
                annotations={"seldon.io/no-engine": "true"},
                graph={"name": "m", "implementation": "X", "children": [{"name": "n"}]},
            )
        ),
        "Running without engine only valid for single element graphs",
    ),
    ("inferencegraph", graph(other=splitter(STEP)), "root node not found"),
    ("inferencegraph", graph("1iris", root=splitter(STEP)), "must start with alphabetical"),
    (
        "inferencegraph",
        graph(root=splitter(STEP | {"weight": 90})),
        "the sum of traffic weights for all routing targets should be 100",
    ),
    ("inferencegraph", graph(root=splitter({"serviceName": "s"})), "missing the 'Weight'"),
    (
        "inferencegraph",
        graph(root=splitter(STEP | {"serviceUrl": "http://s"})),
        "specifies more than one of nodeName, serviceName, serviceUrl",
    ),
    ("inferencegraph", graph(root=splitter({"weight": 100})), "does not specify an inference"),
    (
        "inferencegraph",
        graph(root={"steps": [STEP | {"name": "a"}, STEP | {"name": "a"}]}),
        'contains more than one step with name "a"',
    ),
    ("kserve", isvc([CANARY], "Knative"), "only supported in Standard deployment mode"),
    (
        "kserve",
        isvc([CANARY], predictor={"containers": []}),
        "canary requires a stable predictor with a model",
    ),
    ("kserve", isvc([{"trafficPercent": 1}]), "canary[0] predictor.name is required"),
    ("kserve", isvc([CANARY, CANARY]), "is duplicated"),
    ("kserve", isvc([CANARY], predictor={"model": {}, "name": "v2"}), "conflicts with stable"),
    ("kserve", isvc([CANARY | {"trafficPercent": 101}]), "(101) must be <= 100"),
    (
        "kserve",
        _object("InferenceService", {"predictor": {"canaryTrafficPercent": 101}}),
        "Knative takes 0 to 100",
    ),
    (
        "seldon2",
        _object("Experiment", {"default": "c", "candidates": [{"name": "a", "weight": 1}]}),
        "default c is not a candidate",
    ),
    ("seldon2", _object("Experiment", {"candidates": []}), "no candidates"),
    (
        "seldon2",
        _object(
            "Experiment",
            {"candidates": [{"name": "a", "weight": 1}], "mirror": {"name": "a", "percent": 101}},
        ),
        "a comes more than once; mirror percent 101",
    ),
    (
        "grpcroute",
        _object("GRPCRoute", {"rules": [{"backendRefs": [{"name": "a", "weight": -1}]}]}),
        "a weight must be from 0 to 1000000",
    ),
    (
        "gateway",
        _object("HTTPRoute", {"rules": [{"backendRefs": [{"name": "a", "weight": 0}]}]}),
        "every request gets an error",
    ),
    (
        "gateway",
        _object("HTTPRoute", {"rules": [{"backendRefs": [{"name": "a", "weight": -1}]}]}),
        "from 0 to 1000000",
    ),
    (
        "istio",
        _object("VirtualService", {"http": [{"route": [{"weight": 0}, {"weight": 0}]}]}),
        "total destination weight = 0",
    ),
    (
        "istio",
        _object("VirtualService", {"http": [{"route": [{"weight": -1}, {"weight": 2}]}]}),
        "weight -1 < 0",
    ),
]


@pytest.mark.parametrize(("name", "obj", "said"), OBJECTIONS, ids=lambda x: str(x)[:30])
def test_what_would_be_refused_is_refused_with_the_reason_of_the_platform(name, obj, said):
    with pytest.raises(SpecError, match="would be refused") as caught:
        require_admissible(platform(name), [obj])
    for part in said.split("; "):
        assert part in caught.value.message


RIGHT = """
- [seldon, {kind: SeldonDeployment, spec: {predictors: [
    {name: a, graph: {name: m, implementation: RANDOM_ABTEST}},
    {name: b, shadow: true, graph: {name: m, implementation: HUGGINGFACE_SERVER}}]}}]
- [seldon, {kind: Other}]
- [inferencegraph, {kind: InferenceGraph, metadata: {name: g},
    spec: {nodes: {root: {routerType: Sequence, steps: [{serviceName: s}]}}}}]
- [inferencegraph, {kind: ConfigMap}]
- [kserve, {kind: InferenceService, metadata: {name: i}, spec: {predictor: {}}}]
- [kserve, {kind: Other}]
- [gateway, {kind: HTTPRoute, spec: {rules: [{backendRefs: [{name: a}]}, {filters: []}]}}]
- [gateway, {kind: Service}]
- [istio, {kind: VirtualService, spec: {http: [{route: [{destination: {host: a}}]}]}}]
"""


@pytest.mark.parametrize(("name", "obj"), yaml.safe_load(RIGHT))
def test_what_the_platform_takes_is_not_objected_to(name, obj):
    assert platform(name).objections(obj) == ()
