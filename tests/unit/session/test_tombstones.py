"""What remains of an experiment that was deleted, and whose salt is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from abctl.cluster.directory import DirectoryClient
from abctl.core.experiment import Experiment
from abctl.core.split import Split
from abctl.errors import ConflictError
from abctl.forms.tombstone import tombstone_of
from abctl.platforms import envoy
from abctl.session import listing
from abctl.session.apply import start
from abctl.session.delete import delete
from abctl.session.session import Session
from abctl.session.shift import shift
from abctl.session.tombstones import buried

HALF = Split(("control", "treatment"), (5000, 5000))


@pytest.fixture
def session(tmp_path: Path, written: Experiment) -> Session:
    client, told = DirectoryClient(tmp_path), list[str]()
    return Session(client, envoy, written, actor="ann", report=told.append)


def named(session: Session, name: str, salt: str = "s") -> Session:
    rules = replace(session.experiment.assignment, salt=salt)
    made = replace(session.experiment, name=name, assignment=rules, written=None)
    return replace(session, experiment=made)


def test_a_deleted_ledger_leaves_its_salt_dates_and_verdict(session: Session) -> None:
    start(session, why="test")
    shift(session, HALF, why="more")
    [running] = listing.listed(session.world, session.experiment.namespace)
    assert (running.name, running.target) == ("iris", str(session.target))
    assert running.last
    assert (running.last.after, running.ledger and running.ledger.present) == (HALF, HALF)
    assert delete(session, dry_run=True)
    assert buried(session) == []
    delete(session, verdict="stop")
    delete(session)
    [left] = buried(session)
    assert (left.name, left.salt, left.key, left.verdict) == ("iris", "s", "x-user-id", "stop")
    assert left.started <= left.ended
    assert len(left.digest) == 64
    assert listing.listed(session.world, session.experiment.namespace) == []
    [(_, ended)] = listing.ended(session.world, session.experiment.namespace)
    assert ended == left


def test_a_salt_is_used_once(session: Session) -> None:
    start(session, why="test")
    delete(session)
    with pytest.raises(ConflictError, match="'s' was used by iris"):
        start(named(session, "next"), why="test")
    assert start(named(session, "next", "s-2"), why="test") is False
    # The same experiment once more is told; requests that are drawn anew have no salt.
    told: list[str] = []
    assert start(replace(session, report=told.append), why="again") is False
    assert any("was used by iris" in line for line in told)


def test_a_damaged_ledger_is_listed_and_a_damaged_tombstone_is_none(session: Session) -> None:
    start(session, why="test")
    [obj] = (
        o
        for o in session.world.list("v1", "ConfigMap", session.experiment.namespace, {})
        if o["metadata"]["name"] == "abctl-iris"
    )
    session.world.replace({**obj, "data": {**obj["data"], "ledger.jsonl": "{"}})
    [damaged] = listing.listed(session.world, session.experiment.namespace)
    assert (damaged.ledger, damaged.last) == (None, None)
    assert "damaged" in damaged.damage
    assert tombstone_of({"data": {"tombstone.json": "{}"}}) is None
