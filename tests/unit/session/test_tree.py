"""Status as a tree: what each object says, why a pod is not ready, and at what cost."""

from dataclasses import replace

import pytest
from rich.console import Console

from abctl.cluster.directory import DirectoryClient
from abctl.core.change import Ref
from abctl.core.experiment import Entrance, Model, Shadow
from abctl.errors import ClusterError
from abctl.platforms import platform
from abctl.report import tree as drawn
from abctl.session.session import Session
from abctl.session.tree import Branch, Condition, Node, Pod, Tree, tree

MODEL = Model("iris", "v1", "registry/iris:v1")
WELL = {"conditions": [{"type": "Available", "status": "True"}]}
STUCK = {"conditions": [{"type": "Available", "status": "False", "message": "too few pods"}]}
READY = {"conditions": [{"type": "Ready", "status": "True"}]}
UNREADY = {"type": "Ready", "status": "False"}


class World:
    """A client to a directory, where statuses are given by name; counts what it is asked."""

    def __init__(self, folder, statuses):
        self.client = DirectoryClient(folder, lambda obj: statuses.get(obj["metadata"]["name"]))
        self.asked = []

    def list(self, api_version, kind, namespace, labels):
        self.asked.append(kind)
        return self.client.list(api_version, kind, namespace, labels)

    def create(self, obj):
        self.client.create(obj)


def pod(name, variant=None, **labels):
    own = {"abctl.dev/experiment": "iris", **labels}
    own |= {"abctl.dev/variant": variant} if variant else {}
    meta = {"name": name, "namespace": "models", "labels": own}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta}


@pytest.fixture
def make(tmp_path, make_experiment):
    """An experiment in a world of its own."""

    def made(name, statuses, pods=(), shadow=None):
        carrier = platform(name)
        plain = make_experiment(unit="request", shares_bp=(9000, 1000))
        variants = tuple(replace(v, model=MODEL) for v in plain.variants)
        entrance = Entrance("gateways/public", "x.example.com")
        experiment = replace(
            plain,
            variants=variants,
            shadow=shadow,
            entrance=entrance if carrier.CAPABILITIES.entrance else None,
        )
        world = World(tmp_path / name, statuses)
        for obj in (*carrier.objects(experiment), *pods):
            world.create(obj)
        seen = world.client.get(carrier.target(experiment))
        return world, tree(Session(world, carrier, experiment), seen)

    return made


def test_variants_the_shadow_and_the_proxy_each_have_their_own(make):
    shadow = Shadow("next", MODEL, 10)
    pods = [pod("p", "control"), pod("q", "treatment"), pod("s", "next"), pod("e")]
    statuses = {"iris-control": WELL, "iris-treatment": STUCK, "p": READY}
    _, found = make("envoy", statuses, pods, shadow)
    assert [(b.name, b.role) for b in found.branches] == [
        ("proxy", "proxy"),
        ("control", "variant"),
        ("treatment", "variant"),
        ("next", "shadow"),
    ]
    assert [[p.name for p in b.pods] for b in found.branches] == [["e"], ["p"], ["q"], ["s"]]
    proxy, control, treatment, _ = (b.servers[0] for b in found.branches)
    assert proxy.ref == Ref("apps/v1", "Deployment", "models", "iris-envoy")
    assert (control.why, treatment.why) == (None, "not Available (too few pods)")
    assert treatment.conditions == (Condition("Available", "False", "", "too few pods"),)


def test_the_number_of_requests_does_not_depend_on_the_number_of_pods(make):
    few, _ = make("istio", {}, [pod("p", "control")])
    many, found = make("gateway", {}, [pod(f"p-{i}", "control") for i in range(40)])
    assert len(found.branches[0].pods) == 40
    assert few.asked == many.asked == ["Deployment", "Pod"]


def test_revisions_are_told_apart_by_the_carrier(make):
    predictor = {
        "latestReadyRevision": "iris-2",
        "latestRolledoutRevision": "iris-1",
        "traffic": [{"revisionName": "iris-2", "percent": 10, "latestRevision": True}],
    }
    revision = "serving.knative.dev/revision"
    pods = [pod("old", **{revision: "iris-1"}), pod("new", **{revision: "iris-2"})]
    world, found = make("kserve", {"iris": {"components": {"predictor": predictor}}}, pods)
    control, treatment = found.branches
    assert (control.parts, treatment.parts) == (("iris-1",), ("iris-2",))
    assert ([p.name for p in control.pods], [p.name for p in treatment.pods]) == (["old"], ["new"])
    assert world.asked == ["Pod"], "the InferenceService itself was read already"


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({}, "nothing was started"),
        (
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "message": "0/1 nodes: cpu"}
                ]
            },
            "no node takes it (0/1 nodes: cpu)",
        ),
        (
            {
                "containerStatuses": [
                    {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such"}}}
                ]
            },
            "its image cannot be pulled (ImagePullBackOff: no such)",
        ),
        (
            {
                "containerStatuses": [
                    {
                        "restartCount": 3,
                        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                        "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
                    }
                ]
            },
            "it ends again and again (CrashLoopBackOff: OOMKilled, exit code 137)",
        ),
        (
            {"containerStatuses": [{"state": {"terminated": {"exitCode": 2}}}]},
            "it has ended (Error, exit code 2)",
        ),
        (
            {"conditions": [UNREADY], "containerStatuses": [{"state": {"running": {}}}]},
            "it does not answer its readiness probe yet",
        ),
    ],
)
def test_why_a_pod_is_not_ready_in_plain_words(make, status, why):
    _, found = make("istio", {"p": status}, [pod("p", "control")])
    (seen,) = found.branches[0].pods
    assert (seen.ready, seen.why) == (False, why)
    assert seen.restarts == (3 if "137" in why else 0)


def test_what_may_not_be_seen_is_said_and_the_rest_is_shown(make, monkeypatch):
    def refused(*_):
        raise ClusterError("pods is forbidden", "-")

    monkeypatch.setattr(World, "list", refused)
    _, found = make("istio", {})
    assert found.unread == ("pods is forbidden",)
    assert [b.servers for b in found.branches] == [(), ()]


CARRIER = Node(
    Ref("gateway.networking.k8s.io/v1", "HTTPRoute", "models", "iris"),
    "gateway public: Accepted is False (NoMatch: [no] such listener)",
    (Condition("public: Accepted", "False", "NoMatch", "[no] such listener"),),
)
SERVER = Node(
    Ref("apps/v1", "Deployment", "models", "iris-a"), None, (Condition("Available", "True"),)
)
PODS = (Pod("a-1", True), Pod("a-2", False, "it waits", 2))
FOUND = Tree(CARRIER, (Branch("a", "variant", ("rev-1",), (SERVER,), PODS),), ())


def screen(found, capsys, *, wide):
    Console(width=100, no_color=True).print(drawn.shown(found, wide))
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_people_see_what_is_wrong_and_all_of_it_when_they_ask(capsys):
    assert screen(FOUND, capsys, wide=False) == [
        "httproute/iris  gateway public: Accepted is False (NoMatch: [no] such listener)",
        "└── a = rev-1",
        "    ├── deployment/iris-a  ready",
        "    └── 1 of 2 pods ready",
        "        └── pod/a-2  it waits, 2 restarts",
    ]
    assert screen(FOUND, capsys, wide=True) == [
        "httproute/iris  gateway public: Accepted is False (NoMatch: [no] such listener)",
        "├── public: Accepted=False  NoMatch: [no] such listener",
        "└── a = rev-1",
        "    ├── deployment/iris-a  ready",
        "    │   └── Available=True",
        "    └── 1 of 2 pods ready",
        "        ├── pod/a-1  ready",
        "        └── pod/a-2  it waits, 2 restarts",
    ]


def test_machines_get_every_object_with_its_conditions():
    carrier, server, *pods = drawn.document(FOUND)
    assert (carrier["role"], carrier["ready"], carrier["variant"]) == ("carrier", False, None)
    assert carrier["conditions"][0]["reason"] == "NoMatch"
    assert (server["kind"], server["name"], server["variant"]) == ("Deployment", "iris-a", "a")
    assert [(p["kind"], p["ready"], p["restarts"]) for p in pods] == [
        ("Pod", True, 0),
        ("Pod", False, 2),
    ]
