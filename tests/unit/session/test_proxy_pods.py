"""A split is in effect in a cluster when every pod of the proxy says so: Envoy and nginx alike."""

import json
import re
from pathlib import Path

import pytest

from abctl.core.change import Ref
from abctl.core.split import Split
from abctl.errors import ClusterError, NotFoundError, NotReadyError
from abctl.platforms import capabilities, platform
from abctl.session.proxy_pods import ProxyPods
from abctl.spec import load

EXAMPLES = Path(__file__).parents[3] / "k8s" / "experiments"
OLD = Split(("control", "treatment"), (10_000, 0))


class Pods:
    """A client to pods of a proxy: for each its phase, and what it answers."""

    def __init__(self, inquiry, **pods):
        self.inquiry, self.pods, self.asked = inquiry, pods, []
        self.annotated, self.refusal = [], None

    def list(self, api_version, kind, namespace, labels):
        assert labels["app.kubernetes.io/component"] == "proxy"
        return [
            {
                "apiVersion": api_version,
                "kind": kind,
                "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}"},
                "status": {"phase": phase},
            }
            for name, (phase, _) in self.pods.items()
        ]

    def annotate_pod(self, pod, annotations):
        if self.refusal:
            raise self.refusal
        self.annotated.append((pod.name, annotations["abctl.dev/config-version"]))

    def ask_pod(self, pod, port, path):
        assert (port, path) == (self.inquiry.port, self.inquiry.path)
        self.asked.append(pod.name)
        answer = self.pods[pod.name][1]
        if isinstance(answer, Exception):
            raise answer
        return answer


def routes(carrier, obj):
    return {"configs": [{"route_config": carrier.routes_of(obj)}]}


def literal(_, obj):
    (text,) = obj["data"].values()
    return json.loads(re.search(r"return 200 '(.*)'", text)[1])


ANSWERS = {"envoy": routes, "nginx": literal}


@pytest.fixture(params=[name for name, can in capabilities().items() if can.inquiry])
def world(request):
    return World(request.param)


class World:
    """The object that carries the split, and what pods say that have loaded it."""

    def __init__(self, name):
        self.name, self.platform = name, platform(name)
        self.inquiry = self.platform.CAPABILITIES.inquiry
        experiment = load(EXAMPLES / f"{name}.yaml")
        self.target = self.platform.target(experiment)
        rendered = self.platform.objects(experiment)
        obj = next(obj for obj in rendered if Ref.of(obj) == self.target)
        self.carrier = self.version(obj, 1)
        self.client = Pods(self.inquiry)
        self.now = 0.0
        where = self.platform, self.inquiry, self.target
        self.pods = ProxyPods(self.client, *where, clock=lambda: self.now)

    @staticmethod
    def version(obj, number):
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(number)}}

    def answer(self, obj=None):
        return ANSWERS[self.name](self.platform, obj or self.carrier)

    def status(self, **pods):
        self.client.pods = pods
        return self.pods.status(self.carrier)

    def programmed(self, **pods):
        return self.platform.programmed({**self.carrier, "status": self.status(**pods)})


def test_the_pod_that_lags_behind_is_what_counts(world):
    now = ("Running", world.answer())
    before = ("Running", world.answer(world.platform.with_split(world.carrier, OLD)))
    assert world.programmed(a=now) == world.platform.split_of(world.carrier)
    assert world.programmed(a=now, b=before, c=now) == OLD


def test_a_pod_that_has_what_is_wanted_is_asked_once(world):
    now = ("Running", world.answer())
    split = world.platform.split_of(world.carrier)
    many = {f"pod-{i}": now for i in range(200)}
    assert world.programmed(**many) == split
    assert world.programmed(**many) == world.programmed(**many, late=now) == split
    assert world.client.asked == [*many, "late"]
    # Another split is another question.
    world.carrier = world.version(world.platform.with_split(world.carrier, OLD), 2)
    assert world.programmed(**many) == split
    assert world.client.asked == [*many, "late", "pod-0"]


def test_pods_that_lag_behind_are_told_at_once_and_again_if_that_was_too_soon(world):
    now = ("Running", world.answer())
    before = ("Running", world.answer(world.platform.with_split(world.carrier, OLD)))
    world.status(a=now, b=before, c=before)
    assert (world.pods.remind(), world.pods.remind()) == (None, None)
    assert world.client.annotated == [("b", "1.1"), ("c", "1.1")]
    world.now += 2
    world.status(a=now, b=now, c=before)
    assert world.pods.remind() is None
    # Another value: the same would be no change, of which a node never hears.
    assert world.client.annotated[2:] == [("c", "1.2")]
    world.carrier = world.version(world.platform.with_split(world.carrier, OLD), 2)
    world.status(a=now)
    world.pods.remind()
    assert world.client.annotated[3:] == [("a", "2.1")]


def test_who_may_not_tell_the_nodes_is_told_why(world):
    before = ("Running", world.answer(world.platform.with_split(world.carrier, OLD)))
    world.client.refusal = ClusterError("pods/status is forbidden", "-")
    world.status(a=before, b=before)
    assert world.pods.remind() == "pods/status is forbidden"
    assert world.pods.remind() is None
    # One that has just ended is not missed.
    world.client.refusal, world.now = NotFoundError("gone", "-"), 2.0
    assert world.pods.remind() is None


def test_what_differs_in_more_than_the_split_is_not_what_is_wanted(world):
    ((key, text),) = [d for d in world.carrier["data"].items() if "iris-1:" in d[1]]
    data = {**world.carrier["data"], key: text.replace("iris-1:", "iris-2:")}
    # As it is written together with the answer.
    split = world.platform.split_of(world.carrier)
    other = world.platform.with_split({**world.carrier, "data": data}, OLD)
    other = world.platform.with_split(other, split)
    assert "pod/a has " in world.status(a=("Running", world.answer(other)))["refusal"]
    assert "older" in world.status(a=("Running", world.answer(other)))["refusal"]


@pytest.mark.parametrize(
    "pod", [("Pending", {}), ("Running", NotReadyError("pod/a does not answer", "-"))]
)
def test_a_pod_that_does_not_answer_is_waited_for(world, pod):
    status = world.status(a=pod)
    assert "pod/a" in world.platform.refusal({**world.carrier, "status": status})
    assert world.platform.programmed({**world.carrier, "status": status}) is None


def test_an_envoy_without_routes_is_waited_for():
    assert "pod/a has no routes" in World("envoy").status(a=("Running", {}))["refusal"]


def test_an_answer_of_somebody_else_is_no_split():
    assert "an invalid split" in World("nginx").status(a=("Running", {"split": 3}))["unseen"]


def test_why_nobody_can_tell_is_told(world):
    status = world.status(a=("Running", ClusterError("you may not", "-")))
    assert status == {"unseen": "you may not"}
    seen = {**world.carrier, "status": status}
    assert (world.platform.programmed(seen), world.platform.refusal(seen)) == (None, None)
    assert "no pod" in world.status()["unseen"]


def test_other_objects_have_their_own_status(world):
    world.client.pods = {"a": ("Running", ClusterError("not asked", "-"))}
    meta = world.carrier["metadata"]
    for other in ({"name": "x"}, {"labels": {}}):
        assert world.pods.status({**world.carrier, "metadata": {**meta, **other}}) is None
    assert not world.client.asked
