"""Shifts on a real API server: killed anywhere, two at once, and the server itself dies."""

import itertools
from dataclasses import replace
from functools import partial

import pytest
from clients import contend, survives
from shifts import NAMES, STARTED, A, B, World, split, with_images

from abctl.cluster.kube import ClusterClient
from abctl.core.ledger import ledger_ref
from abctl.errors import ConflictError, NotReadyError, UnreachableError
from abctl.forms.ledger import ledger_of
from abctl.platforms import envoy
from abctl.session.apply import apply
from abctl.session.session import Session

C = split(5000)


@pytest.fixture
def experiment(make_experiment, namespace):
    return replace(with_images(make_experiment(shares_bp=A.shares_bp)), namespace=namespace)


@pytest.fixture
def make_world(cluster, experiment):
    numbers = itertools.count()
    return lambda: World(cluster, replace(experiment, name=f"iris-{next(numbers)}"))


def test_a_shift_is_in_the_object_and_in_the_ledger(make_world):
    world = make_world()
    assert world.shift(B).changed
    assert (world.asked, world.steps[2:]) == (B, [("intent", A, B), ("applied", A, B)])
    assert not world.shift(B).changed
    assert len(world.steps) == 4


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_call_the_next_command_brings_order(make_world, after):
    world = make_world()
    splits = itertools.cycle([B, C, A])
    for at in itertools.count(1):
        old, new = world.asked, next(splits)
        known = world.ledger.entries
        completed = survives(partial(world.shift, new), world.client, at, after)
        left = world.ledger.entries
        assert left[: len(known)] == known
        then = (new, old)[at % 2]
        world.shift(then)
        assert world.ledger.entries[: len(left)] == left
        assert world.ledger.intent is None
        assert (world.asked, world.ledger.desired) == (then, then)
        assert "observed" not in {entry.phase for entry in world.ledger.entries}
        if completed:
            break
    assert at > 6


def test_of_two_at_once_one_wins_and_no_entry_is_ever_lost(make_world, cluster):
    world = make_world()
    ann, bob = (ClusterClient(kubeconfig=cluster.kubeconfig) for _ in range(2))
    contend(world, ann, bob, rounds=100)


def test_what_is_applied_waits_for_its_servers_and_goes_on_later(make_world, cluster, experiment):
    client, reports = ClusterClient(kubeconfig=cluster.kubeconfig), []
    settings = {"actor": "ann", "timeout_seconds": 0.2, "report": reports.append}
    session = Session(client, envoy, experiment, **settings)
    with pytest.raises(NotReadyError, match="control is not ready: deployment/iris-control"):
        apply(session, why="test")
    known = ledger_of(client.get(ledger_ref(experiment)))
    assert known.intent.after == A
    # The servers are there, but nothing sends them requests yet.
    assert not any("configmap/iris-envoy" in line for line in reports)

    def play(name):
        cluster.kubectl(
            *("-n", experiment.namespace, "patch", "deployment", f"iris-{name}"),
            *("--subresource=status", "--type=merge", "--patch"),
            '{"status": {"conditions": [{"type": "Available", "status": "True"}]}}',
        )

    for variant in NAMES:
        play(variant)
    with pytest.raises(NotReadyError, match="the proxy is not ready: deployment/iris-envoy"):
        apply(session, why="test")
    assert ledger_of(client.get(ledger_ref(experiment))).intent
    play("envoy")
    apply(session, why="test")
    assert envoy.split_of(client.get(envoy.target(experiment))) == A
    apply(session, why="test")
    entries = ledger_of(client.get(ledger_ref(experiment))).entries
    assert [(e.phase, e.before, e.after) for e in entries] == STARTED
    changed = replace(experiment, assignment=replace(experiment.assignment, salt="other"))
    with pytest.raises(
        ConflictError,
        match=r"assignment of the file differ.*\(assignment.salt is other, was salt-1\)",
    ):
        apply(replace(session, experiment=changed), why="test")


class KillingClient:
    """The API server dies before one call; it comes back when `after_pauses` have passed."""

    def __init__(self, server, at, after_pauses=None):
        self.server, self.left, self.after_pauses = server, at, after_pauses
        self.client = ClusterClient(kubeconfig=server.kubeconfig, sleep=self.pause)

    def pause(self, seconds):
        if self.after_pauses is not None:
            self.after_pauses -= 1
            if self.after_pauses == 0:
                self.server.start()

    def __getattr__(self, verb):
        def call(*args, **kwargs):
            self.left -= 1
            if self.left == 0:
                self.server.kill()
            return getattr(self.client, verb)(*args, **kwargs)

        return call


def test_the_api_server_dies_in_the_middle_of_a_shift(make_api_server, make_experiment):
    server = make_api_server()
    server.kubectl("create", "namespace", "models")
    world = World(server, with_images(make_experiment(shares_bp=A.shares_bp)))
    # The ledger has the intent, the object is patched, the outcome is missing.
    for at, wanted in ((6, B), (7, C), (8, B)):
        known = world.ledger.entries
        with pytest.raises(UnreachableError, match="no answer from https"):
            world.shift(wanted, client=KillingClient(server, at))
        server.start()
        assert world.ledger.entries[: len(known)] == known
        world.shift(wanted)
        assert (world.asked, world.ledger.desired, world.ledger.intent) == (wanted, wanted, None)
    # One that comes back soon is waited for, and nobody notices.
    assert world.shift(A, client=KillingClient(server, 6, after_pauses=3)).changed
    assert (world.asked, world.ledger.desired, world.ledger.intent) == (A, A, None)
