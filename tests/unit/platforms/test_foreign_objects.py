"""Objects that abctl did not make: read, shifted, and nothing but the weights touched."""

from copy import deepcopy

import pytest
import yaml

from abctl.core.change import Change
from abctl.core.split import Split
from abctl.errors import ClusterError, SpecError
from abctl.platforms import platform

OBJECTS = {
    "seldon": """
        apiVersion: machinelearning.seldon.io/v1
        kind: SeldonDeployment
        metadata: {name: mine, namespace: prod, annotations: {team: a}}
        spec:
          predictors:
            - {name: main, traffic: 75, replicas: 3, graph: {name: m, implementation: X}}
            - {name: next, traffic: 25, graph: {name: m, implementation: X}}
            - {name: dark, shadow: true, traffic: 50, graph: {name: m, implementation: X}}
        """,
    "gateway": """
        apiVersion: gateway.networking.k8s.io/v1
        kind: HTTPRoute
        metadata: {name: mine, namespace: prod}
        spec:
          rules:
            - matches: [{path: {value: /health}}]
              backendRefs: [{name: health, port: 80}]
            - matches: [{path: {value: /v2}}]
              backendRefs: [{name: old, port: 80, weight: 3}, {name: new, port: 80}]
            - matches: [{path: {value: /v1}}]
              backendRefs: [{name: old, port: 80, weight: 3}, {name: new, port: 80}]
        """,
    "grpcroute": """
        apiVersion: gateway.networking.k8s.io/v1
        kind: GRPCRoute
        metadata: {name: mine, namespace: prod}
        spec:
          rules:
            - matches: [{headers: [{name: x-canary, value: "true"}]}]
              backendRefs: [{name: old, port: 9000, weight: 0}, {name: new, port: 9000}]
            - matches: [{method: {service: inference.GRPCInferenceService}}]
              backendRefs: [{name: old, port: 9000, weight: 3}, {name: new, port: 9000}]
        """,
    "istio": """
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: mine, namespace: prod}
        spec:
          hosts: [mine]
          http:
            - match: [{headers: {x-cohort: {exact: beta}}}]
              route: [{destination: {host: mine, subset: v2}}]
            - route:
                - {destination: {host: mine, subset: v1}, weight: 75}
                - {destination: {host: mine, subset: v2}, weight: 25}
              mirror: {host: mine, subset: v3}
              mirrorPercentage: {value: 10}
        """,
    "inferencegraph": """
        apiVersion: serving.kserve.io/v1alpha1
        kind: InferenceGraph
        metadata: {name: mine, namespace: prod}
        spec:
          nodes:
            root: {routerType: Sequence, steps: [{nodeName: choose}, {serviceName: after}]}
            choose:
              routerType: Splitter
              steps: [{serviceName: old, weight: 75}, {serviceName: new, weight: 25}]
        """,
    "seldon2": """
        apiVersion: mlops.seldon.io/v1alpha1
        kind: Experiment
        metadata: {name: mine, namespace: prod}
        spec:
          default: old
          candidates: [{name: old, weight: 3}, {name: new, weight: 1}]
          mirror: {name: dark, percent: 20}
        """,
    "flagd": """
        apiVersion: core.openfeature.dev/v1beta1
        kind: FeatureFlag
        metadata: {name: mine, namespace: prod}
        spec:
          flagSpec:
            flags:
              dark-mode: {state: ENABLED, variants: {"on": true}, defaultVariant: "on"}
              model:
                state: ENABLED
                variants: {old: "http://old", new: "http://new"}
                defaultVariant: old
                targeting:
                  if:
                    - {ends_with: [{var: email}, "@example.com"]}
                    - new
                    - {fractional: [[old, 3], [new, 1]]}
        """,
    "flagset": """
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: mine, namespace: prod}
        data:
          readme: "{no flags}"
          model.json: |
            { "flags": {
              "dark-mode": {"state": "ENABLED", "variants": {"on": true}, "defaultVariant": "on"},
              "model": {"state":"ENABLED", "variants": {"old":1,"new":2}, "defaultVariant": "old",
                "targeting": {"if": [{"==": [{"var": "tier"}, "free"]}, "old",
                  {"fractional": [["old",3],["new" ]]}]}}
            } }
        """,
    "kserve": """
        apiVersion: serving.kserve.io/v1beta1
        kind: InferenceService
        metadata: {name: mine, namespace: prod}
        spec:
          predictor:
            canaryTrafficPercent: 25
            model: {modelFormat: {name: sklearn}, storageUri: "gs://b"}
        """,
    "nginx": """
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: mine, namespace: prod}
        data:
          readme: "split by the address"
          default.conf: |
            split_clients "${remote_addr}x" $pool {
                25%  new;  # since Monday
                *    old;
            }
            server { listen 80; location / { proxy_pass http://$pool; } }
        """,
}
NAMES = {
    "seldon": ("main", "next"),
    "istio": ("v1", "v2"),
    "kserve": ("control", "treatment"),
}


@pytest.fixture(params=OBJECTS)
def name(request):
    return request.param


@pytest.fixture
def obj(name):
    return yaml.safe_load(OBJECTS[name])


def split(name, treatment_bp):
    return Split(NAMES.get(name, ("old", "new")), (10_000 - treatment_bp, treatment_bp))


def test_its_split_is_read(name, obj):
    assert platform(name).split_of(obj) == split(name, 2500)
    assert platform(name).objections(obj) == ()


@pytest.mark.parametrize("treatment_bp", [0, 4000, 10_000])
def test_it_is_shifted_and_nothing_else_is_touched(name, obj, treatment_bp):
    carrier, kept = platform(name), deepcopy(obj)
    after = carrier.with_split(obj, split(name, treatment_bp))
    assert obj == kept
    assert carrier.split_of(after) == split(name, treatment_bp)
    assert carrier.objections(after) == ()
    last = {"nginx": "default.conf", "kserve": "canaryTrafficPercent", "seldon": "traffic"}
    last["flagset"] = "model.json"
    last["flagd"] = ("fractional/0/1", "fractional/1/1")
    for operation in Change(obj, after).json_patch():
        assert operation["path"].endswith(last.get(name, "weight"))
    # There and back again.
    assert carrier.split_of(carrier.with_split(after, split(name, 2500))) == split(name, 2500)


def test_the_split_that_it_has_is_no_change(name, obj):
    assert platform(name).with_split(obj, split(name, 2500)) == obj


@pytest.mark.parametrize("name", ["gateway", "seldon2"])
def test_thirds_are_read_as_near_as_can_be(name):
    obj = yaml.safe_load(OBJECTS[name])
    parts = [{"name": n, "weight": 1} for n in ("old", "new", "third")]
    if name == "seldon2":
        obj["spec"]["candidates"] = parts
    else:
        obj["spec"]["rules"] = [{"backendRefs": parts}]
    assert platform(name).split_of(obj).shares_bp == (3334, 3333, 3333)


FLAGS = ("spec", "flagSpec", "flags")
PARTS = (*FLAGS, "model", "targeting", "if", 2, "fractional")
HALF = {"fractional": [["on", 1], ["off", 1]]}
BROKEN = {
    "grpcroute": [
        (("spec", "rules"), [], "no rule"),
        (("spec", "rules", 1, "backendRefs", 0, "weight"), -3, "not a split"),
    ],
    "gateway": [
        (("spec", "rules", 1, "backendRefs", 0, "weight"), 5, "different weights"),
        (("spec", "rules", 1, "backendRefs", 0, "name"), "other", "different backends"),
        (("spec", "rules"), [], "no rule"),
    ],
    "istio": [
        (("spec", "http", 1, "route", 0, "weight"), -75, "not a split"),
        (("spec", "http"), [], "no route"),
        (
            ("spec", "http", 0),
            {"route": [{"destination": {"host": host}, "weight": 50} for host in "ab"]},
            "several",
        ),
    ],
    "inferencegraph": [
        (("spec", "nodes", "choose", "routerType"), "Switch", "must have one node"),
        (("spec", "nodes", "choose", "steps"), [], "no steps"),
    ],
    "seldon": [
        (("spec", "predictors", 0, "traffic"), -100, "not a split"),
        (("spec", "predictors"), [], "no predictor"),
    ],
    "seldon2": [
        (("spec", "candidates"), [], "no candidates"),
        (("spec", "candidates", 0, "weight"), -1, "not a split"),
    ],
    "kserve": [(("spec", "predictor", "canaryTrafficPercent"), 130, "from 0 to 100")],
    "flagd": [
        ((*FLAGS, "model", "targeting"), {}, "one flag that splits .none"),
        ((*FLAGS, "dark-mode", "targeting"), HALF, "one flag that splits .dark-mode, model"),
        ((*FLAGS, "model", "targeting", "if", 1), HALF, "splits at 2 places"),
        ((*PARTS, 0, 1), -1, "not a split"),
        ((*PARTS, 0, 1), {"var": "share"}, "in fractional"),
        ((*PARTS, 0, 0), {"var": "name"}, "in fractional"),
        (PARTS, [], "empty fractional"),
        (PARTS, [["old", 1], ["new", 1], ["old", 1]], "duplicate names"),
    ],
    "flagset": [
        (("data",), {}, "one key with flags .none"),
        (("data", "model.json"), '{"flags": {}}', "one flag that splits .none"),
    ],
    "nginx": [
        (("data", "default.conf"), "server {}", "0 files"),
        (("data", "readme"), "split_clients a $b { * c; }", "2 files"),
        (("data", "default.conf"), "split_clients a $b { 10% c; }", "that of *"),
        (("data", "default.conf"), "split_clients a $b { half c; * d; }", "not a percentage"),
        (
            ("data", "default.conf"),
            "split_clients a $b { 80% c; 30% e; * d; }",
            "not a valid split",
        ),
        (("data", "default.conf"), 2 * "split_clients a $b { * d; }\n", "must be one"),
    ],
}


@pytest.mark.parametrize(
    ("name", "path", "value", "said"),
    [(name, *case) for name, cases in BROKEN.items() for case in cases],
)
def test_what_is_no_split_is_an_error_that_names_the_object(name, path, value, said):
    obj = yaml.safe_load(OBJECTS[name])
    place = obj
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    for read in (platform(name).split_of, lambda o: platform(name).with_split(o, split(name, 0))):
        with pytest.raises(ClusterError, match=f"/mine: .*{said}"):
            read(obj)


def test_a_rule_called_split_is_the_one_that_is_meant():
    obj = yaml.safe_load(OBJECTS["gateway"])
    obj["spec"]["rules"][1] |= {
        "name": "split",
        "backendRefs": [{"name": n, "weight": 1} for n in ("old", "new")],
    }
    gateway = platform("gateway")
    assert gateway.split_of(obj) == split("gateway", 5000)
    after = gateway.with_split(obj, split("gateway", 1000))
    assert after["spec"]["rules"][2] == obj["spec"]["rules"][2]
    assert [b["weight"] for b in after["spec"]["rules"][1]["backendRefs"]] == [9000, 1000]


STABLE = {"name": "stable", "port": 80}
CANARY = {"name": "canary", "port": 80}
ONLY_SOME = [{"headers": [{"name": "x-canary", "value": "true"}]}]


def weighted(stable, canary, **rule):
    backends = [{**STABLE, "weight": stable}, {**CANARY, "weight": canary}]
    return {"backendRefs": backends, **rule}


BESIDE = {
    "a header's route to the canary": weighted(0, 100, matches=ONLY_SOME),
    "another order": {"backendRefs": weighted(95, 5)["backendRefs"][::-1]},
    "feedback, without weights": {"backendRefs": [STABLE, CANARY]},
    "one backend of others": {
        "backendRefs": [{"name": "old", "weight": 0}, {**STABLE, "weight": 1}]
    },
}


@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("canary", [0, 5, 60, 100])
@pytest.mark.parametrize("first", [True, False])
def test_a_rule_beside_the_split_stays_as_it_is(beside, canary, first):
    gateway, other = platform("gateway"), BESIDE[beside]
    rules = [other, weighted(95, 5)] if first else [weighted(95, 5), other]
    obj = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "mine", "namespace": "prod"},
        "spec": {"rules": rules},
    }
    before = gateway.split_of(obj)
    assert (before["stable"], before["canary"]) == (9500, 500)
    shares = {"stable": 10_000 - 100 * canary, "canary": 100 * canary}
    after = gateway.with_split(obj, Split(before.names, tuple(shares[n] for n in before.names)))
    assert gateway.split_of(after)["canary"] == 100 * canary
    if beside != "another order":
        assert after["spec"]["rules"][not first] == other
    assert gateway.split_of(gateway.with_split(after, before)) == before


@pytest.mark.parametrize("canary", [0, 10, 100])
def test_the_routes_that_flagger_writes_are_one_split_and_a_fixed_route(canary):
    def route(stable, canary, **more):
        places = [("iris-primary", stable), ("iris-canary", canary)]
        return {"route": [{"destination": {"host": h}, "weight": w} for h, w in places], **more}

    insiders = [{"headers": {"x-canary": {"exact": "insider"}}}]
    obj = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "mine", "namespace": "prod"},
        "spec": {"http": [route(0, 100, match=insiders), route(90, 10)]},
    }
    istio, names = platform("istio"), ("iris-primary", "iris-canary")
    assert istio.split_of(obj) == Split(names, (9000, 1000))
    after = istio.with_split(obj, Split(names, (10_000 - 100 * canary, 100 * canary)))
    assert after["spec"]["http"][0] == obj["spec"]["http"][0]
    assert istio.split_of(after)["iris-canary"] == 100 * canary


@pytest.mark.parametrize(
    ("backends", "names"),
    [
        ([("a", "iris", 80), ("b", "iris", 80)], ("a/iris", "b/iris")),
        ([("prod", "iris", 80), ("prod", "iris", 81)], ("iris:80", "iris:81")),
        ([("a", "iris", 80), ("b", "iris", 81)], ("a/iris", "b/iris")),
        ([("prod", "old", 80), ("prod", "new", 81)], ("old", "new")),
    ],
)
def test_a_backend_is_a_namespace_a_name_and_a_port(backends, names):
    refs = [
        {"namespace": n, "name": s, "port": p, "weight": w}
        for (n, s, p), w in zip(backends, (3, 1), strict=True)
    ]
    obj = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "mine", "namespace": "prod"},
        "spec": {"rules": [{"backendRefs": refs}]},
    }
    gateway = platform("gateway")
    assert gateway.split_of(obj) == Split(names, (7500, 2500))
    after = gateway.with_split(obj, Split(names, (2000, 8000)))
    assert [each["weight"] for each in after["spec"]["rules"][0]["backendRefs"]] == [2000, 8000]


@pytest.mark.parametrize(("alike", "weights"), [(True, (30, 10)), (False, (90, 10))])
def test_rules_with_the_same_proportions_are_one_split(alike, weights):
    obj = yaml.safe_load(OBJECTS["gateway"])
    for backend, weight in zip(obj["spec"]["rules"][1]["backendRefs"], weights, strict=True):
        backend["weight"] = weight
    for backend, weight in zip(obj["spec"]["rules"][2]["backendRefs"], (3, 1), strict=True):
        backend["weight"] = weight
    if alike:
        assert platform("gateway").split_of(obj).shares_bp == (7500, 2500)
    else:
        with pytest.raises(ClusterError, match="different weights"):
            platform("gateway").split_of(obj)


@pytest.mark.parametrize("place", ["annotation", "status"])
@pytest.mark.parametrize("mode", ["Standard", "RawDeployment", "ModelMesh", "of next year"])
def test_kserve_refuses_where_its_field_is_silently_ignored(place, mode):
    obj = yaml.safe_load(OBJECTS["kserve"])
    if place == "status":
        obj["status"] = {"deploymentMode": mode}
    else:
        obj["metadata"]["annotations"] = {"serving.kserve.io/deploymentMode": mode}
    with pytest.raises(SpecError, match="silently ignored") as caught:
        platform("kserve").with_split(obj, split("kserve", 3000))
    assert "gateway" in caught.value.hint


@pytest.mark.parametrize(
    ("predictor", "splits"),
    [
        ({}, True),  # nothing was reported yet
        ({"latestCreatedRevision": "mine-00001"}, True),
        ({"url": "http://mine-predictor.prod.svc"}, False),
    ],
)
def test_the_mode_of_the_clusters_default_shows_in_the_status(predictor, splits):
    kserve, obj = platform("kserve"), yaml.safe_load(OBJECTS["kserve"])
    obj["status"] = {"components": {"predictor": predictor}}
    if splits:
        assert kserve.split_of(obj) == split("kserve", 2500)
    else:
        with pytest.raises(SpecError, match="silently ignored"):
            kserve.split_of(obj)


@pytest.mark.parametrize("part", ["transformer", "explainer"])
@pytest.mark.parametrize("percent", [0, 20])
def test_a_percentage_of_a_transformer_or_explainer_is_not_passed_over(part, percent):
    kserve, obj = platform("kserve"), yaml.safe_load(OBJECTS["kserve"])
    obj["spec"][part] = {"containers": [{"image": "x:1"}]}
    assert kserve.split_of(obj) == split("kserve", 2500)
    obj["spec"][part]["canaryTrafficPercent"] = percent
    for act in (kserve.split_of, lambda o: kserve.with_split(o, split("kserve", 3000))):
        with pytest.raises(ClusterError, match=part):
            act(obj)


def test_kserve_promotes_by_removing_the_field_and_rolls_back_with_zero():
    kserve, obj = platform("kserve"), yaml.safe_load(OBJECTS["kserve"])
    promoted = kserve.with_split(obj, split("kserve", 10_000))
    assert Change(obj, promoted).json_patch() == [
        {"op": "test", "path": "/spec/predictor/canaryTrafficPercent", "value": 25},
        {"op": "remove", "path": "/spec/predictor/canaryTrafficPercent"},
    ]
    back = kserve.with_split(obj, split("kserve", 0))
    assert back["spec"]["predictor"]["canaryTrafficPercent"] == 0
    assert kserve.split_of(promoted) == split("kserve", 10_000)
