"""What the metrics of a platform call the variants, as its own object says."""

from dataclasses import replace
from pathlib import Path

import pytest

from abctl.core.change import Ref
from abctl.core.experiment import Model, Source, Variant
from abctl.core.split import Split
from abctl.errors import SourceError
from abctl.platforms import gateway, kserve, platform
from abctl.session.analyze import telemetry
from abctl.spec import load
from abctl.spec.measurement import preset_name
from abctl.spec.render import render

EXAMPLES = Path(__file__).parents[3] / "k8s/experiments"


def example(name: str):
    return load(EXAMPLES / f"{name}.yaml")


def carrier(experiment):
    target = platform(experiment.platform).target(experiment)
    return next(o for o in render(experiment) if Ref.of(o) == target)


def test_the_backends_of_the_rule_that_splits_are_found_whatever_their_order() -> None:
    experiment = example("gateway")
    names, model = ("control", "t1", "t2"), experiment.control.model
    experiment = replace(
        experiment,
        variants=tuple(Variant(name, model) for name in names),
        split=Split(names, (8000, 1000, 1000)),
    )
    obj = carrier(experiment)
    found = gateway.upstreams(obj)
    assert set(found) == set(names)
    for name, clusters in found.items():
        for cluster in clusters:
            _, _, _, _, rule, _, backend = cluster.split("/")
            ref = obj["spec"]["rules"][int(rule)]["backendRefs"][int(backend)]
            assert ref["name"] == f"iris-{name}-predictor"
    every = [cluster for clusters in found.values() for cluster in clusters]
    (splitting,) = [r for r in obj["spec"]["rules"] if r.get("name") == "split"]
    assert len(every) == len(set(every)) == len(splitting["backendRefs"])


@pytest.mark.parametrize(
    ("seen", "control", "treatment"),
    [
        ({}, None, None),
        ({"latestReadyRevision": "r-1", "latestRolledoutRevision": "r-1"}, None, None),
        ({"latestReadyRevision": "r-2", "latestRolledoutRevision": "r-1"}, "r-1", "r-2"),
        (
            {
                "latestReadyRevision": "r-2",
                "latestRolledoutRevision": "r-2",
                "previousRolledoutRevision": "r-1",
            },
            "r-1",
            "r-2",
        ),
    ],
)
def test_revisions_are_known_once_both_are_rolled_out(seen, control, treatment) -> None:
    obj = {**carrier(example("kserve")), "status": {"components": {"predictor": seen}}}
    expected = {"control": (control,), "treatment": (treatment,)} if control else {}
    assert kserve.upstreams(obj) == expected


def test_a_service_that_is_there_already_is_called_by_its_own_name() -> None:
    experiment = example("istio")
    models = [Model("iris", "v1", service="other/old:80"), Model("iris", "v2", service="new")]
    experiment = replace(
        experiment,
        variants=tuple(
            replace(v, model=m) for v, m in zip(experiment.variants, models, strict=True)
        ),
    )
    assert preset_name(experiment) == "istio"
    asked = telemetry(experiment)
    assert 'destination_service="old.other.svc.cluster.local"' in asked.requests("control")
    assert 'destination_service="new.models.svc.cluster.local"' in asked.requests("treatment")


def test_variants_that_the_metrics_do_not_tell_apart_are_refused() -> None:
    experiment = example("istio")
    same = tuple(replace(v, model=Model("iris", "v1", service="one")) for v in experiment.variants)
    with pytest.raises(SourceError, match="does not report what its metrics call each"):
        telemetry(replace(experiment, variants=same))


def test_the_file_decides_before_the_platform() -> None:
    experiment = example("seldon2")
    assert preset_name(experiment) == "seldon2"
    named = replace(experiment, source=Source("prometheus", {}, "mlserver"))
    assert preset_name(named) == "mlserver"
    assert preset_name(example("istio")) == "abctl"  # the images are abctl's own


def test_a_short_host_of_istio_has_the_name_that_its_metrics_have() -> None:
    to = [{"destination": {"host": host}, "weight": 50} for host in ("iris-v1", "iris-v2.ml.local")]
    obj = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "iris", "namespace": "prod"},
        "spec": {"http": [{"route": to}]},
    }
    found = platform("istio").upstreams(obj)
    assert found["iris-v1"] == ("iris-v1.prod.svc.cluster.local",)
    assert found["iris-v2.ml.local"] == ("iris-v2.ml.local",)


def test_services_of_others_keep_their_own_rules_of_istio() -> None:
    experiment = example("istio")
    served = replace(experiment.variants[1], model=Model("iris", "v2", service="iris-v2:8080"))
    experiment = replace(experiment, variants=(experiment.variants[0], served))
    rules = [o for o in render(experiment) if o["kind"] == "DestinationRule"]
    assert [o["metadata"]["name"] for o in rules] == ["iris-control"]
