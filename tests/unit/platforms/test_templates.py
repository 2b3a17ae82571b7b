"""A user's template is in the pods of every platform that makes pods, and nothing else changes."""

from dataclasses import replace
from pathlib import Path

import pytest

from abctl import plugins
from abctl.core.change import Change, Ref
from abctl.core.experiment import Model
from abctl.core.template import SERVER, Template, Templates
from abctl.platforms import platform
from abctl.platforms._templates import merged, patched
from abctl.spec import load
from abctl.spec.render import render

EXAMPLES = Path(__file__).parents[3] / "k8s" / "experiments"
NAMES = [n for n in plugins.names("abctl.platforms") if platform(n).CAPABILITIES.images]
GPU = {"limits": {"nvidia.com/gpu": "1"}}
IMAGE = Model("iris", "v1", image="abctl/iris:v1")
STORED = Model("iris", "v1", uri="s3://models/iris", format="sklearn")


def templated(name, *, every=None, own=None, proxy=None, model=None):
    experiment = load(EXAMPLES / f"{name}.yaml")
    if model:
        variants = tuple(replace(each, model=model) for each in experiment.variants)
        experiment = replace(experiment, variants=variants)
    given = {"every": every, "own": own, "proxy": proxy}
    given = {key: value for key, value in given.items() if value}
    return replace(experiment, templates=Templates(**given))


def pods(objects):
    """The pods of the variants: how many, their labels, and their spec, by variant."""
    for obj in objects:
        spec, labels = obj.get("spec", {}), obj["metadata"]["labels"]
        variant = labels.get("abctl.dev/variant")
        if obj["kind"] == "Deployment" and variant:
            template = spec["template"]
            yield variant, spec.get("replicas"), template["metadata"]["labels"], template["spec"]
        if obj["kind"] == "InferenceService":
            predictor = spec["predictor"]
            yield variant, predictor.get("minReplicas"), predictor.get("labels", {}), predictor
        if obj["kind"] == "SeldonDeployment":
            for each in spec["predictors"]:
                pod = each.get("componentSpecs", [{"spec": {}}])[0]["spec"]
                yield each["name"], each["replicas"], each["labels"], pod


@pytest.mark.parametrize("name", NAMES)
def test_what_all_pods_get_is_in_all_pods(name):
    every = Template(
        replicas=3,
        labels={"team": "x"},
        spec={
            "imagePullSecrets": [{"name": "registry"}],
            "nodeSelector": {"disk": "ssd"},
            "containers": [
                {"name": SERVER, "resources": GPU, "env": [{"name": "N", "value": "8"}]}
            ],
        },
    )
    found = list(pods(render(templated(name, every=every, model=IMAGE))))
    assert found
    for _, replicas, labels, spec in found:
        assert replicas == 3
        assert labels["team"] == "x"
        assert spec["imagePullSecrets"] == [{"name": "registry"}]
        assert spec["nodeSelector"] == {"disk": "ssd"}
        (container,) = spec["containers"]
        assert container["resources"]["limits"] == {"memory": "512Mi", "nvidia.com/gpu": "1"}
        assert container["env"][-1] == {"name": "N", "value": "8"}
        assert container["image"].startswith("abctl/iris:")


@pytest.mark.parametrize("name", NAMES)
def test_a_variant_has_a_template_of_its_own(name):
    own = {"treatment": Template(2, spec={"serviceAccountName": "reader"})}
    every = Template(3, spec={"serviceAccountName": "all", "priorityClassName": "high"})
    found = list(pods(render(templated(name, every=every, own=own))))
    (treatment,) = [each for each in found if each[0] in ("treatment", None)]
    assert (treatment[1], treatment[3]["serviceAccountName"]) == (2, "reader")
    assert {each[3]["priorityClassName"] for each in found} == {"high"}
    others = [each for each in found if each is not treatment]
    assert all((each[1], each[3]["serviceAccountName"]) == (3, "all") for each in others)


@pytest.mark.parametrize("name", NAMES)
def test_no_more_changes_than_it_says(name):
    own = {"treatment": Template(spec={"serviceAccountName": "reader"})}
    plain = {Ref.of(obj): obj for obj in render(templated(name))}
    changed = {Ref.of(obj): obj for obj in render(templated(name, own=own))}
    assert plain.keys() == changed.keys()
    patches = [Change(plain[ref], changed[ref]).json_patch() for ref in plain]
    (operations,) = [patch for patch in patches if patch]
    (operation,) = [each for each in operations if each["op"] != "test"]
    assert operation["path"].endswith("/serviceAccountName")


@pytest.mark.parametrize("name", ["kserve", "inferencegraph", "gateway"])
def test_a_stored_model_of_kserve_has_it_where_kserve_reads_it(name):
    container = {"name": SERVER, "resources": GPU, "env": [{"name": "N", "value": "8"}]}
    more = {"name": "logger", "image": "x/logger"}
    spec = {"nodeSelector": {"disk": "ssd"}, "containers": [container, more]}
    own = {each: Template(spec=spec) for each in ("control", "treatment")}
    for _, _, _, predictor in pods(render(templated(name, own=own, model=STORED))):
        assert predictor["nodeSelector"] == {"disk": "ssd"}
        assert predictor["containers"] == [more]
        assert predictor["model"]["resources"] == GPU
        assert predictor["model"]["env"][-1] == {"name": "N", "value": "8"}
        assert predictor["model"]["storageUri"] == STORED.uri
        assert "name" not in predictor["model"]


def test_a_stored_model_of_seldon_has_it_in_a_container_of_its_name():
    (plain, *_) = pods(render(templated("seldon", model=STORED)))
    assert plain[3] == {}
    every = Template(spec={"containers": [{"name": SERVER, "resources": GPU}]})
    for _, _, _, spec in pods(render(templated("seldon", every=every, model=STORED))):
        assert spec == {"containers": [{"name": "iris", "resources": GPU}]}


@pytest.mark.parametrize("name", ["envoy", "nginx"])
def test_a_proxy_runs_twice_apart_and_has_a_template(name):
    def proxy(**given):
        objects = {Ref.of(obj): obj for obj in render(templated(name, **given))}
        where = ("models", f"iris-{name}")
        budget = objects[Ref("policy/v1", "PodDisruptionBudget", *where)]["spec"]
        spec = objects[Ref("apps/v1", "Deployment", *where)]["spec"]
        assert budget["selector"] == spec["selector"]
        assert budget["maxUnavailable"] == 1
        for each in spec["template"]["spec"]["topologySpreadConstraints"]:
            assert each["labelSelector"] == spec["selector"]
            assert spec["selector"]["matchLabels"].items() <= labels(spec).items()
        return spec

    def labels(spec):
        return spec["template"]["metadata"]["labels"]

    assert proxy()["replicas"] == 2
    container = {"name": name, "image": "mirror/proxy:1", "resources": {"requests": {"cpu": "2"}}}
    mine = Template(4, labels={"team": "x"}, spec={"containers": [container]})
    spec = proxy(proxy=mine)
    assert (spec["replicas"], labels(spec)["team"]) == (4, "x")
    found, *_ = spec["template"]["spec"]["containers"]
    assert found["image"] == "mirror/proxy:1"
    assert found["resources"]["requests"] == {"cpu": "2", "memory": "128Mi"}
    # What is said of all pods is said of it, but for how many there are.
    both = proxy(every=Template(5, spec={"tolerations": [{"operator": "Exists"}], **mine.spec}))
    assert both["replicas"] == 2
    assert both["template"]["spec"]["tolerations"] == [{"operator": "Exists"}]
    assert both["template"]["spec"]["containers"] == spec["template"]["spec"]["containers"]


@pytest.mark.parametrize(
    ("base", "patch", "after"),
    [
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1}, {"a": None}, {}),
        ({}, {"a": {"b": None}}, {"a": {}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        (
            {"containers": [{"name": "a", "args": ["x"]}, {"name": "b"}]},
            {"containers": [{"name": "b", "image": "i"}, {"name": "c"}]},
            {
                "containers": [
                    {"name": "a", "args": ["x"]},
                    {"name": "b", "image": "i"},
                    {"name": "c"},
                ]
            },
        ),
        (
            {"volumeMounts": [{"mountPath": "/a", "name": "x"}]},
            {"volumeMounts": [{"mountPath": "/a", "readOnly": True}]},
            {"volumeMounts": [{"mountPath": "/a", "name": "x", "readOnly": True}]},
        ),
        # A label may be called as a list is.
        ({"nodeSelector": {}}, {"nodeSelector": {"env": "x"}}, {"nodeSelector": {"env": "x"}}),
        # Of an item that is one of several kinds nothing is left of the other kind.
        (
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]},
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]},
        ),
        (
            {"volumes": [{"name": "tmp", "emptyDir": {}}]},
            {"volumes": [{"name": "tmp", "hostPath": {"path": "/x"}}]},
            {"volumes": [{"name": "tmp", "hostPath": {"path": "/x"}}]},
        ),
    ],
)
def test_it_merges_as_kubernetes_does(base, patch, after):
    kept = repr((base, patch))
    assert merged(base, patch) == after
    assert repr((base, patch)) == kept


def test_of_all_pods_only_those_with_such_a_container_have_it():
    pod = {"metadata": {}, "spec": {"containers": [{"name": "envoy"}]}}
    every = Template(spec={"containers": [{"name": "mlserver", "tty": True}]})
    assert patched(pod, [every], {}) == pod


def test_nobody_takes_all_containers_away():
    pod = {"metadata": {}, "spec": {"containers": [{"name": "envoy"}]}}
    assert patched(pod, [Template(spec={"containers": None})], {}) == pod


def test_pods_that_abctl_does_not_make_take_no_template():
    def misfits(name, **given):
        found = platform(name).misfits(templated(name, **given))
        return [each.place for each in found if each.place[-1] in ("template", "proxy")]

    some = Template(1)
    assert misfits("seldon2", every=some, own={"treatment": some}) == [
        ("template",),
        ("variants", 1, "template"),
    ]
    assert misfits("istio", proxy=some) == [("proxy",)]
    assert misfits("nginx", proxy=some, every=some, own={"treatment": some}) == []
    there = Model("iris", "v1", service="iris-v1")
    found = misfits("envoy", own={"treatment": some}, model=there)
    assert found == [("variants", 1, "template")]
