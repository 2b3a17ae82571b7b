"""The state of an experiment: desired, programmed, observed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from statsmodels.stats.proportion import proportion_confint

from abctl.cluster.directory import DirectoryDoor
from abctl.core.ledger import Entry, Epoch, ledger_ref
from abctl.core.split import Split
from abctl.errors import NotFoundError
from abctl.forms.ledger import ledger_of, with_ledger
from abctl.platforms import envoy
from abctl.session.apply import start
from abctl.session.session import Session
from abctl.session.shift import shift
from abctl.session.status import status

A, B = Split(("control", "treatment"), (7000, 3000)), Split(("control", "treatment"), (5000, 5000))
NOW = 1000.0


class Envoy:
    """Reports the given routes; None: those that it is asked about."""

    def __init__(self):
        self.has = None

    def __call__(self, obj):
        if "routes.json" not in obj["data"]:
            return None
        return self.has or {"routes": json.loads(obj["data"]["routes.json"])["resources"][0]}


@pytest.fixture
def experiment(make_experiment):
    return make_experiment(shares_bp=A.shares_bp)


@pytest.fixture
def gateway():
    return Envoy()


@pytest.fixture
def door(tmp_path, experiment, gateway):
    door = DirectoryDoor(tmp_path / "world", gateway)
    start(by(door, experiment), why="")
    return door


def by(door, experiment, now=NOW):
    """A session of the local stack, whose servers are ready."""
    settings = {"sleep": lambda _: None, "timeout_seconds": 1.0, "state_dir": Path("state")}
    return Session(door, envoy, experiment, actor="ann", clock=lambda: now, **settings)


def look(door, experiment, counts=None):
    return status(by(door, experiment, NOW + 100), counts=counts)


def test_all_is_well(door, experiment):
    found = look(door, experiment)
    assert (found.desired, found.asked, found.programmed) == (A, A, A)
    assert (found.refusal, found.observed, found.drifted, found.intent) == (None, None, False, None)
    assert found.epochs == (Epoch(NOW + 10, NOW + 100, A),)
    assert found.plan_changed == ()


def test_what_is_not_started_is_said_to_be_so(tmp_path, experiment):
    with pytest.raises(NotFoundError, match="iris was not started") as caught:
        look(DirectoryDoor(tmp_path / "none"), experiment)
    assert caught.value.hint


def test_drift_is_seen_and_not_written(door, experiment):
    obj = door.get(envoy.target(experiment))
    door.replace(envoy.with_split(obj, B))
    before = door.get(ledger_ref(experiment))
    found = look(door, experiment)
    assert (found.desired, found.asked, found.drifted) == (A, B, True)
    assert door.get(ledger_ref(experiment)) == before


def test_what_envoy_has_not_taken_is_seen(door, experiment, gateway):
    has = json.loads(door.get(envoy.target(experiment))["data"]["routes.json"])["resources"][0]
    gateway.has = {"routes": has, "refusal": "update_rejected"}
    obj = door.get(envoy.target(experiment))
    door.replace(envoy.with_split(obj, B))
    found = look(door, experiment)
    assert (found.asked, found.programmed, found.refusal) == (B, A, "update_rejected")


def test_an_open_intent_is_seen_and_is_no_drift(door, experiment):
    intent = Entry(NOW + 50, "bob", A, B, "killed", "intent")
    obj = door.get(ledger_ref(experiment))
    door.replace(with_ledger(obj, ledger_of(obj).with_entry(intent)))
    for asked in (A, B):
        door.replace(envoy.with_split(door.get(envoy.target(experiment)), asked))
        found = look(door, experiment)
        assert (found.intent, found.drifted) == (intent, False)
        assert found.epochs == (Epoch(NOW + 10, NOW + 50, A),)


def test_a_plan_that_changed_is_seen(door, experiment):
    changed = replace(experiment, design=replace(experiment.design, alpha=0.2))
    assert look(door, changed).plan_changed == ("design",)


@pytest.mark.parametrize("counts", [(70, 30), (1, 0), (123456, 54321), (0, 7)])
def test_observed_shares_have_the_interval_of_wilson(door, experiment, counts):
    found = look(door, experiment, dict(zip(A.names, counts, strict=True))).observed
    for name, count in zip(A.names, counts, strict=True):
        seen = found[name]
        assert (seen.count, seen.share) == (count, count / sum(counts))
        oracle = proportion_confint(count, sum(counts), method="wilson")
        assert seen.interval == pytest.approx(oracle, abs=1e-9)


def test_nothing_counted_is_no_share(door, experiment):
    assert look(door, experiment, {"control": 0}).observed is None
    assert look(door, experiment, {"treatment": 5}).observed["control"].share == 0


def test_a_shift_that_ends_between_two_reads_is_no_drift(door, experiment):
    class Interrupted:
        """Lets somebody shift after the ledger was read and before the object is."""

        waiting = True

        def get(self, ref):
            found = door.get(ref)
            if self.waiting:
                self.waiting = False
                shift(by(door, experiment), B, why="")
            return found

    found = look(Interrupted(), experiment)
    assert (found.desired, found.asked, found.drifted) == (B, B, False)
