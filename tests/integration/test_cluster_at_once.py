"""Who applies or shifts at the same moment as somebody else, on a real API server."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from api_server import DEADLINE_SECONDS
from shifts import A, World, split, with_images

from abctl.cluster.kube import ClusterClient
from abctl.core.change import Ref
from abctl.core.ledger import ledger_ref
from abctl.errors import ConflictError
from abctl.forms.ledger import ledger_of
from abctl.platforms import envoy
from abctl.session.apply import apply
from abctl.session.session import Session

ROUNDS = 6


@pytest.fixture
def experiment(make_experiment, namespace):
    return replace(with_images(make_experiment(shares_bp=A.shares_bp)), namespace=namespace)


def together(*actions):
    """What each gives or raises, all begun at one moment."""
    gate = threading.Barrier(len(actions))

    def one(action):
        gate.wait(DEADLINE_SECONDS)
        try:
            return action()
        except ConflictError as error:
            return error

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(one, actions))


def told(obj):
    """The salts that the containers of a Deployment are told."""
    every = obj["spec"]["template"]["spec"]["containers"]
    env = (each for container in every for each in container.get("env", ()))
    return {each["value"] for each in env if each["name"] == "AB_SALT"}


def test_of_two_files_of_one_name_one_is_applied_whole(experiment, cluster):
    clients = [ClusterClient(kubeconfig=cluster.kubeconfig) for _ in range(2)]
    for i in range(ROUNDS):
        files = [
            replace(
                experiment,
                name=f"iris-{i}",
                split=split(1000 * (n + 1)),
                assignment=replace(experiment.assignment, salt=f"salt-{n}"),
            )
            for n in range(2)
        ]
        sessions = [
            Session(client, envoy, file, actor=f"user-{n}", timeout_seconds=DEADLINE_SECONDS)
            for n, (client, file) in enumerate(zip(clients, files, strict=True))
        ]
        done = together(*(lambda s=s: apply(s, why="now", wait=False) for s in sessions))
        lost = [each for each in done if isinstance(each, ConflictError)]
        assert len(lost) == 1, done
        assert "locked at the start" in lost[0].message
        won = files[1 - done.index(lost[0])]
        ledger = ledger_of(clients[0].get(ledger_ref(won)))
        assert ledger.locked["assignment"]["salt"] == won.assignment.salt
        assert ledger.wanted == won.split
        # Nothing of the other file is there.
        assert envoy.split_of(clients[0].get(envoy.target(won))) == won.split
        servers = [Ref.of(obj) for obj in envoy.objects(won) if "AB_SALT" in str(obj)]
        assert servers
        assert all(told(clients[0].get(ref)) == {won.assignment.salt} for ref in servers)


def test_the_same_file_twice_is_applied_once(experiment, cluster):
    clients = [ClusterClient(kubeconfig=cluster.kubeconfig) for _ in range(2)]
    sessions = [
        Session(client, envoy, experiment, actor="ann", timeout_seconds=DEADLINE_SECONDS)
        for client in clients
    ]
    assert together(*(lambda s=s: apply(s, why="now", wait=False) for s in sessions)) == [False] * 2
    ledger = ledger_of(clients[0].get(ledger_ref(experiment)))
    assert [entry.phase for entry in ledger.entries] == ["intent"]
    assert envoy.split_of(clients[0].get(envoy.target(experiment))) == A


def test_an_apply_undoes_no_shift(experiment, cluster):
    world = World(cluster, experiment)
    client = ClusterClient(kubeconfig=cluster.kubeconfig)
    for i in range(ROUNDS):
        to = split(2000 + i)
        applied, shifted = together(
            lambda: apply(world.by(client), why="again", wait=False),
            lambda to=to: world.shift(to),
        )
        assert applied is False
        known = world.ledger
        assert world.asked == known.wanted
        assert known.intent is None
        if not isinstance(shifted, ConflictError):
            assert known.desired == to
