"""Answers to writes are lost on the way from a real API server: nobody blames somebody else."""

import itertools
from dataclasses import replace

import pytest
from api_server import ADMIN_TOKEN
from doubtful import FAULTS, gateway
from shifts import A, B, with_images

from abctl.cluster.kube import ClusterClient
from abctl.core.ledger import ledger_ref
from abctl.errors import ConflictError
from abctl.forms.ledger import ledger_of
from abctl.platforms import envoy
from abctl.session.apply import start
from abctl.session.delete import delete
from abctl.session.session import Session
from abctl.session.shift import shift


@pytest.fixture
def lossy(cluster):
    if not hasattr(cluster, "certificate"):
        pytest.skip("NOT TESTED: needs an API server of our own, not a given cluster")
    with gateway(cluster) as running:
        yield running


@pytest.fixture
def client(cluster, lossy, tmp_path):
    """By way of the gateway."""
    path = cluster.write_kubeconfig(tmp_path / "config", ADMIN_TOKEN, url=lossy.url)
    return ClusterClient(kubeconfig=path, sleep=lambda _: None)


@pytest.fixture
def session(client, experiment):
    return Session(client, envoy, experiment, actor="ann", timeout_seconds=10.0)


@pytest.fixture
def experiment(make_experiment, namespace):
    return replace(with_images(make_experiment(shares_bp=A.shares_bp)), namespace=namespace)


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_answer_is_lost_a_shift_is_one_shift(lossy, session, fault):
    client, experiment = session.world, session.experiment
    start(session, why="test")
    splits = itertools.cycle([B, A])
    steps = 2
    for number in itertools.count(1):
        to, lossy.writes = next(splits), 0
        lossy.faulty = {number: FAULTS[fault]}
        assert shift(session, to, why="test").changed
        entries = ledger_of(client.get(ledger_ref(experiment))).entries
        steps += 2
        assert [e.phase for e in entries] == ["intent", "applied"] * (steps // 2)
        assert envoy.split_of(client.get(envoy.target(experiment))) == entries[-1].after == to
        if lossy.writes < number:
            break
    assert number == 5  # trial, intent, weights, outcome


def test_every_lost_answer_of_a_start_and_of_a_deletion(lossy, session):
    client, experiment = session.world, session.experiment
    every = itertools.cycle(FAULTS.values())
    lossy.faulty = {number: next(every) for number in range(1, 100, 2)}
    start(session, why="test")
    assert [e.phase for e in ledger_of(client.get(ledger_ref(experiment))).entries] == [
        "intent",
        "applied",
    ]
    told = []
    assert len(delete(replace(session, report=told.append))) == len(told)
    assert all(line.endswith(" deleted") for line in told)


def test_somebody_else_who_was_faster_is_still_named(lossy, session, cluster):
    client, experiment = session.world, session.experiment
    start(session, why="test")
    book = client.get(ledger_ref(experiment))
    # Bob shifts while Ann's intent is on its way, and her answer is lost.
    owner = ClusterClient(kubeconfig=cluster.kubeconfig)
    shift(replace(session, world=owner, actor="bob"), B, why="test")
    lossy.writes, lossy.faulty = 0, {1: FAULTS["not done, 504"]}
    with pytest.raises(ConflictError, match="changed by somebody else"):
        client.replace({**book, "data": {**book["data"], "mine": "1"}})
