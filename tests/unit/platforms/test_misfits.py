"""What an experiment asks for and its platform cannot give: where, why, and who can."""

from dataclasses import replace

import pytest

from abctl.core.experiment import Entrance, Model
from abctl.platforms import platform

MODELS = {
    "image": Model("iris", "v1", image="iris:v1"),
    "stored": Model("iris", "v1", uri="gs://iris", format="sklearn"),
    "stored somehow": Model("iris", "v1", uri="gs://iris"),
    "xgboost": Model("iris", "v1", uri="gs://iris", format="xgboost"),
    "lightgbm": Model("iris", "v1", uri="gs://iris", format="lightgbm"),
    "odd name": Model("Iris 1", "v1", image="iris:v1"),
    "served": Model("iris", "v1", service="elsewhere/iris"),
    "nowhere": Model("iris", "v1"),
    "huggingface": Model("iris", "v1", uri="hf://a/b", format="huggingface"),
    "huggingface by v1": Model("iris", "v1", uri="hf://a/b", format="huggingface", protocol="v1"),
    "triton": Model("iris", "v1", uri="gs://iris", format="triton"),
    "triton by v1": Model("iris", "v1", uri="gs://iris", format="triton", protocol="v1"),
    "vllm": Model("iris", "v1", uri="hf://a/b", format="vLLM"),
    "own": Model("iris", "v1", uri="gs://iris", format="mine", runtime="mine"),
    "misspelled": Model("iris", "v1", uri="gs://iris", format="sklern"),
    "of another": Model("iris", "v1", uri="gs://iris", format="onnx", runtime="kserve-mlserver"),
    "nobody loads": Model("iris", "v1", image="iris:v1", runtime="mine"),
}
PUBLIC = Entrance("gateways/public", "iris.example.com")


def misfits(name, make_experiment, model="image", entrance=None, names=(), **rules):
    experiment = make_experiment(*names, **{"unit": "request"} | rules)
    entrance = entrance or (PUBLIC if platform(name).CAPABILITIES.entrance else None)
    variants = tuple(replace(v, model=_model(model, v.name)) for v in experiment.variants)
    return platform(name).misfits(replace(experiment, variants=variants, entrance=entrance))


def _model(model, variant):
    found = MODELS[model]
    return replace(found, service=f"{found.service}-{variant}") if found.service else found


@pytest.mark.parametrize(
    ("name", "model", "place"),
    [
        ("seldon", "nowhere", "image"),
        ("seldon", "lightgbm", "format"),
        ("seldon", "stored somehow", "format"),
        ("seldon", "odd name", "name"),
        ("seldon2", "image", "uri"),
        ("seldon2", "stored somehow", "format"),
        ("kserve", "nowhere", "image"),
        ("kserve", "stored somehow", "format"),
        ("inferencegraph", "nowhere", "image"),
        ("gateway", "stored somehow", "format"),
        ("envoy", "stored", "image"),
        ("nginx", "stored", "image"),
        ("istio", "stored", "image"),
        ("flagd", "stored", "image"),
        ("flagset", "stored", "image"),
        ("kserve", "misspelled", "format"),
        ("kserve", "of another", "format"),
        ("kserve", "triton by v1", "protocol"),
        ("kserve", "nobody loads", "runtime"),
        # It calls a model as its InferenceService, of which gateway has two.
        ("gateway", "vllm", "name"),
        ("gateway", "huggingface by v1", "protocol"),
        ("inferencegraph", "vllm", "name"),
        ("seldon", "huggingface", "format"),
        ("seldon", "own", "runtime"),
        ("seldon2", "own", "runtime"),
        ("envoy", "nobody loads", "runtime"),
    ],
)
def test_a_model_that_it_can_neither_run_nor_load(name, model, place, make_experiment):
    first = misfits(name, make_experiment, model)[0]
    assert first.place == ("variants", 0, "model", place)
    assert first.hint


@pytest.mark.parametrize(
    ("name", "model"),
    [
        *((name, "image") for name in ("envoy", "gateway", "inferencegraph", "istio", "kserve")),
        *((name, "image") for name in ("grpcroute", "nginx", "seldon")),
        *((name, "stored") for name in ("gateway", "inferencegraph", "kserve", "seldon2")),
        *((name, "served") for name in ("envoy", "gateway", "istio", "nginx")),
        *((name, "nowhere") for name in ("envoy", "gateway", "grpcroute", "istio", "nginx")),
        ("seldon", "xgboost"),
        ("kserve", "lightgbm"),
        *((name, "huggingface") for name in ("gateway", "inferencegraph", "kserve", "seldon2")),
        *((name, "huggingface by v1") for name in ("inferencegraph", "kserve")),
        *((name, form) for name in ("gateway", "kserve") for form in ("triton", "own")),
        ("kserve", "vllm"),
        ("gateway", "odd name"),
    ],
)
def test_a_model_that_it_can_run_or_load(name, model, make_experiment):
    assert not misfits(name, make_experiment, model)


def test_who_can_is_named(make_experiment):
    (sticky,) = misfits("kserve", make_experiment, unit="user")
    able = "envoy, flagd, flagset, gateway, grpcroute"
    assert sticky.hint == f"unit: request, or platform: {able} or nginx"
    (grain,) = misfits("kserve", make_experiment, shares_bp=(9950, 50))[:1]
    assert grain.place == ("variants", 0, "split")
    assert grain.hint == f"write 100%; for finer steps: {able}, istio, nginx or seldon2"
    (many,) = misfits("kserve", make_experiment, names=("a", "b", "c"))
    assert many.place == ("variants",)
    assert "seldon" in many.hint


def test_a_gateway_is_only_for_those_that_share_one(make_experiment):
    (extra,) = misfits("envoy", make_experiment, entrance=PUBLIC)
    assert extra.place == ("entrance",)
    (missing,) = misfits("gateway", make_experiment, entrance=Entrance(host="a.example"))
    assert missing.place == ("entrance", "gateway")
    (missing,) = misfits("istio", make_experiment, entrance=Entrance("gateways/public"))
    assert missing.place == ("entrance", "host")
    assert not misfits("istio", make_experiment, entrance=Entrance(host="iris"))


@pytest.mark.parametrize("name", ["gateway", "grpcroute", "istio"])
@pytest.mark.parametrize(
    ("entrance", "place"),
    [
        *((Entrance("a/b", host), "host") for host in ("http://x.y", "x_y.z", "a..b", "x.y:80")),
        *((Entrance("a/b", host), "host") for host in ("a" * 64, "X.y", f"{'a.' * 127}b")),
        *((Entrance(name, "x.y"), "gateway") for name in ("a/b/c", "istio_ingress/b", "a/")),
    ],
)
def test_names_of_an_entrance_are_those_that_the_api_server_takes(
    name, entrance, place, make_experiment
):
    (misfit,) = misfits(name, make_experiment, entrance=entrance)
    assert misfit.place == ("entrance", place)


@pytest.mark.parametrize("host", ["x", "x.example.com", "*.example.com", "1.2"])
def test_hosts_that_are_taken(host, make_experiment):
    for name in ("gateway", "istio"):
        assert not misfits(name, make_experiment, entrance=Entrance("gateways/public", host))
    any_host = Entrance("gateways/public", "*")
    assert not misfits("istio", make_experiment, entrance=any_host)
    (mesh,) = misfits("istio", make_experiment, entrance=Entrance(host="*"))
    assert mesh.place == ("entrance", "host")


def test_the_gateway_of_all_hosts_has_a_name_that_the_api_server_takes(make_experiment):
    (misfit,) = misfits("istio", make_experiment, entrance=Entrance("a/b/c", "*"))
    assert misfit.place == ("entrance", "gateway")


def test_a_rule_has_room_for_sixteen_backends(make_experiment):
    assert not misfits(
        "gateway", make_experiment, names=("control", *map(str, range(8))), unit="user"
    )
    (many,) = misfits(
        "gateway", make_experiment, names=("control", *map(str, range(9))), unit="user"
    )
    assert many.place == ("variants",)


@pytest.mark.parametrize("unit", ["user", "request"])
@pytest.mark.parametrize("name", ["envoy", "gateway", "nginx", "seldon"])
def test_only_those_with_regions_refuse_a_treatment_over_its_region(name, unit, make_experiment):
    if unit == "user" and name == "seldon":
        return
    names, shares_bp = ("control", "t-1", "t-2"), (2000, 7000, 1000)
    found = misfits(name, make_experiment, names=names, shares_bp=shares_bp, unit=unit)
    free = name == "seldon" or (name, unit) == ("gateway", "request")
    assert [m.place for m in found] == ([] if free else [("variants",)])


def test_nginx_has_no_variable_for_every_header(make_experiment):
    assert not misfits("nginx", make_experiment, override="x-force")
    (odd,) = misfits("nginx", make_experiment, override="x.force")
    assert odd.place == ("assignment", "override")
