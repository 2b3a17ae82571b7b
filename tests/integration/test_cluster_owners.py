"""Who else writes an object: what kubectl and server-side apply do to a shift, and what abctl says.

Argo CD applies client-side by default, or server-side with force; Flux server-side with force.
"""

import json

import pytest

from abctl.cli.main import run as abctl
from abctl.cluster.kube import ClusterClient
from abctl.core.split import Split
from abctl.errors import ConflictError
from abctl.session import adopt
from abctl.session.analyze import present_ledger
from abctl.session.rollback import plan_rollback
from abctl.session.session import Session
from abctl.session.shift import plan, shift

A, B = (Split(("v1", "v2"), shares) for shares in ((9000, 1000), (7000, 3000)))
WAYS = {
    "client": ("apply",),
    "server": ("apply", "--server-side", "--field-manager=kustomize-controller"),
    "forced": (
        *("apply", "--server-side", "--force-conflicts"),
        "--field-manager=kustomize-controller",
    ),
}


def virtual_service(namespace, weights=(90, 10), **meta):
    route = [
        {"destination": {"host": host}, "weight": weight}
        for host, weight in zip(("v1", "v2"), weights, strict=True)
    ]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "iris", "namespace": namespace, **meta},
        "spec": {"hosts": ["iris.example.com"], "http": [{"route": route}]},
    }


class World:
    """A VirtualService that a tool applies from Git."""

    def __init__(self, cluster, namespace):
        self.cluster, self.namespace = cluster, namespace

    def apply(self, way, obj, check=True):
        return self.cluster.kubectl(*WAYS[way], "-f", "-", stdin=json.dumps(obj), check=check)

    @property
    def session(self):
        client = ClusterClient(kubeconfig=self.cluster.kubeconfig)
        carrier, made_up, found = adopt.experiment(client, "vs/iris", self.namespace)
        adopting = adopt.Adopting(client, made_up, found)
        return Session(adopting, carrier, made_up, adopted=True, actor="ann", clock=client.now)

    @property
    def asked(self):
        return self.session.observe().asked

    def entries(self):
        return self.session.observe().ledger.entries


@pytest.fixture
def world(crds, make_namespace):
    return World(crds, make_namespace(crds))


@pytest.mark.parametrize(
    ("way", "back", "author"),
    [
        ("client", True, "kubectl-client-side-apply"),
        ("server", False, ""),
        ("forced", True, "kustomize-controller"),
    ],
)
def test_what_the_next_sync_does_to_a_shift_is_known_afterwards(world, way, back, author):
    obj = virtual_service(world.namespace)
    world.apply(way, obj)
    assert shift(world.session, B, why="more").changed
    done = world.apply(way, obj, check=False)
    assert (world.asked == A) == back
    if not back:
        assert "conflict" in done.stderr
        assert not world.session.observe().drifted
        return
    assert world.session.observe().drifted
    seen = present_ledger(world.session).seen
    assert (seen.split, seen.exact, seen.since is not None) == (A, True, True)
    # The whole period before the reset counts: it ended when the API server says so.
    epochs = present_ledger(world.session).epochs(seen.since + 60.0, 0.0)
    assert [(epoch.split, epoch.certain) for epoch in epochs[-2:]] == [(B, True), (A, True)]
    assert shift(world.session, B, why="again").changed
    observed = world.entries()[-3]
    assert (observed.phase, observed.actor, observed.after) == ("observed", author, A)


def test_after_three_syncs_abctl_stops_and_says_so(world):
    obj = virtual_service(world.namespace)
    world.apply("forced", obj)
    for _ in range(3):
        assert shift(world.session, B, why="more").changed
        world.apply("forced", obj)
    with pytest.raises(ConflictError, match=r"3 times .* kustomize-controller"):
        shift(world.session, B, why="more")
    assert (world.asked, world.entries()[-1].phase) == (A, "observed")
    assert shift(world.session, B, why="more", force=True).changed


def test_the_labels_of_git_tools_are_named_with_their_recipe(world):
    labels = {"kustomize.toolkit.fluxcd.io/name": "shop"}
    notes = {"argocd.argoproj.io/tracking-id": "shop:networking.istio.io/VirtualService:x/iris"}
    world.apply("forced", virtual_service(world.namespace, labels=labels, annotations=notes))
    found = {owner.name: owner.advice for owner in plan(world.session, B).owners}
    assert found.keys() == {"Argo CD application shop", "Flux Kustomization shop"}
    pointer = "/spec/http/0/route/0/weight"
    assert all(pointer in advice for advice in found.values())
    # The pointer leads to the weight, as a JSON patch of anybody else proves.
    test = [{"op": "test", "path": pointer, "value": 90}]
    place = ("-n", world.namespace, "patch", "virtualservice", "iris", "--type=json")
    world.cluster.kubectl(*place, "--patch", json.dumps(test))


def test_what_a_controller_owns_is_shifted_there(world):
    owner = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "name": "my-model",
        "uid": "00000000-0000-0000-0000-000000000001",
        "controller": True,
        "blockOwnerDeletion": True,
    }
    world.apply("client", virtual_service(world.namespace, ownerReferences=[owner]))
    with pytest.raises(ConflictError, match="InferenceService/my-model") as refused:
        shift(world.session, B, why="more")
    assert "shift there" in refused.value.hint
    assert world.asked == A
    assert [o.controls for o in plan_rollback(world.session, "v1").owners] == [True]
    assert shift(world.session, B, why="more", force=True).changed


def test_a_manager_that_computes_weights_is_found_in_managed_fields(world):
    obj = virtual_service(world.namespace)
    way = ("apply", "--server-side", "--field-manager=flagger", "-f", "-")
    world.cluster.kubectl(*way, stdin=json.dumps(obj))
    with pytest.raises(ConflictError, match="Flagger"):
        shift(world.session, B, why="more")


@pytest.mark.parametrize("weights", [(0, 0), (-10, 110)])
def test_weights_of_a_hand_that_are_no_split_are_rolled_back(world, weights, capsys):
    where = ("-n", world.namespace, "--kubeconfig", str(world.cluster.kubeconfig), "--yes")
    rollback = ("rollback", "vs/iris", *where)
    world.apply("client", virtual_service(world.namespace))
    assert shift(world.session, B, why="more").changed
    world.apply("client", virtual_service(world.namespace, weights))
    assert abctl(["status", "vs/iris", *where[:-1]]) == 5
    assert "abctl rollback" in capsys.readouterr().err
    assert abctl([*rollback]) == 2
    assert "--to v1 or --to v2" in capsys.readouterr().err
    assert abctl([*rollback, "--to", "v1", "--why", "errors"]) == 0
    done = world.session.observe()
    assert (done.asked.shares_bp, done.drifted) == ((10_000, 0), False)
    noticed, intent, applied = done.ledger.entries[-3:]
    assert (noticed.phase, noticed.actor) == ("observed", "kubectl-client-side-apply")
    assert "are not a split" in noticed.why
    assert (intent.phase, applied.phase, applied.after) == ("intent", "applied", done.asked)
    # Until when the split before held, nobody can tell.
    ends = [e.certain for e in done.ledger.epochs(applied.at + 60.0, 0.0) if e.split == B]
    assert ends == [False]
