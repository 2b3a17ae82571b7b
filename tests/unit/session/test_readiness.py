"""Which variants may get more requests: never the control is held back by what treatments lack."""

import pytest

from abctl.cluster.directory import DirectoryClient
from abctl.core.change import EXPERIMENT, VARIANT
from abctl.platforms import envoy
from abctl.session.readiness import ready


def deployment(variant):
    labels = {EXPERIMENT: "iris", VARIANT: variant}
    meta = {"name": variant, "namespace": "models", "labels": labels}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {}}


def available(status):
    return {"conditions": [{"type": "Available", "status": status, "message": "too few pods"}]}


@pytest.fixture
def ask(tmp_path, make_experiment):
    """Whether a variant may get more, by what the platform and its deployment say."""

    def asked(variant, *, refusal=None, status=None, own=False, made=True):
        experiment = make_experiment(shares_bp=(9000, 1000))
        says = {variant: status, envoy.target(experiment).name: {"refusal": refusal}}
        client = DirectoryClient(
            tmp_path / str(len(list(tmp_path.iterdir()))),
            lambda obj: says.get(obj["metadata"]["name"]),
        )
        for obj in envoy.objects(experiment):
            if obj["kind"] == "ConfigMap":
                client.create(obj)
        objects = [deployment(variant)] if own else []
        if own and made:
            client.create(objects[0])
        return ready(client, envoy, experiment, objects, variant)

    return asked


def test_what_the_platform_refuses_holds_back_a_treatment_and_not_the_way_back(ask):
    assert ask("treatment") is True
    assert ask("treatment", refusal="no healthy upstream") == "no healthy upstream"
    assert ask("control", refusal="no healthy upstream") is True


@pytest.mark.parametrize("variant", ["control", "treatment"])
def test_a_deployment_speaks_for_its_variant(ask, variant):
    assert ask(variant, own=True, status=available("True"), refusal="of another") is True
    said = ask(variant, own=True, status=available("False"))
    assert isinstance(said, str)
    assert "too few pods" in said
    assert ask(variant, own=True) == f"deployment/{variant}: nothing has reported on it yet"
    assert isinstance(ask(variant, own=True, made=False), str)
