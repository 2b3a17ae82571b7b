"""A split is in effect in a cluster when every pod of Envoy says so."""

from pathlib import Path

import pytest

from abctl.core.split import Split
from abctl.errors import ClusterError, NotReadyError
from abctl.platforms import envoy
from abctl.services.envoy_pods import status
from abctl.services.load import load

EXAMPLE = Path(__file__).parents[3] / "k8s" / "experiments" / "envoy.yaml"


class Pods:
    """A door to pods of Envoy: for each its phase, and what it answers."""

    def __init__(self, **pods):
        self.pods = pods

    def list(self, api_version, kind, namespace, labels):
        assert labels["app.kubernetes.io/component"] == "proxy"
        return [
            {
                "apiVersion": api_version,
                "kind": kind,
                "metadata": {"name": name, "namespace": namespace},
                "status": {"phase": phase},
            }
            for name, (phase, _) in self.pods.items()
        ]

    def ask_pod(self, pod, port, path):
        assert port == 9901
        answer = self.pods[pod.name][1]
        if isinstance(answer, Exception):
            raise answer
        return {"configs": [{"route_config": routes} for routes in answer]}


@pytest.fixture
def carrier():
    experiment = load(EXAMPLE)
    ref = envoy.target(experiment)
    (found,) = [
        obj
        for obj in envoy.objects(experiment)
        if (obj["kind"], obj["metadata"]["name"]) == ("ConfigMap", ref.name)
    ]
    return found


def programmed(carrier, door):
    return envoy.programmed({**carrier, "status": status(door, carrier)})


def test_the_pod_that_lags_behind_is_what_counts(carrier):
    old = Split(("control", "treatment"), (10_000, 0))
    now = envoy.routes_of(carrier)
    before = envoy.routes_of(envoy.with_split(carrier, old))
    assert programmed(carrier, Pods(a=("Running", [now]))) == envoy.split_of(carrier)
    lagging = Pods(a=("Running", [now]), b=("Running", [before]), c=("Running", [now]))
    assert programmed(carrier, lagging) == old


def test_routes_that_differ_in_more_than_the_split_are_not_the_wanted_ones(carrier):
    text = carrier["data"][envoy.ROUTES_FILE].replace("iris-1:", "iris-2:")
    other = {**carrier, "data": {**carrier["data"], envoy.ROUTES_FILE: text}}
    assert (
        "older routes" in status(Pods(a=("Running", [envoy.routes_of(other)])), carrier)["refusal"]
    )


@pytest.mark.parametrize(
    "pod",
    [("Pending", []), ("Running", []), ("Running", NotReadyError("pod/a does not answer"))],
)
def test_a_pod_without_routes_is_waited_for(carrier, pod):
    assert "pod/a" in status(Pods(a=pod), carrier)["refusal"]


@pytest.mark.parametrize("door", [Pods(), Pods(a=("Running", ClusterError("you may not")))])
def test_where_nobody_can_be_asked_nothing_is_said(carrier, door):
    assert status(door, carrier) is None


def test_other_objects_have_their_own_status(carrier):
    door = Pods(a=("Running", ClusterError("not asked")))
    assert status(door, {**carrier, "data": {"x": "y"}}) is None
    assert status(door, {"kind": "Deployment", "metadata": {"name": "x"}}) is None
