"""The state of an experiment: desired, programmed, observed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from statsmodels.stats.proportion import proportion_confint

from abctl.cluster.directory import DirectoryClient
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
def client(tmp_path, experiment, gateway):
    client = DirectoryClient(tmp_path / "world", gateway)
    start(by(client, experiment), why="")
    return client


def by(client, experiment, now=NOW):
    """A session of the local stack, whose servers are ready."""
    settings = {"sleep": lambda _: None, "timeout_seconds": 1.0, "state_dir": Path("state")}
    return Session(client, envoy, experiment, actor="ann", clock=lambda: now, **settings)


def look(client, experiment, counts=None):
    return status(by(client, experiment, NOW + 100), counts=counts)


def test_all_is_well(client, experiment):
    found = look(client, experiment)
    assert (found.desired, found.asked, found.programmed) == (A, A, A)
    assert (found.refusal, found.observed, found.drifted, found.intent) == (None, None, False, None)
    assert found.epochs == (Epoch(NOW + 10, NOW + 100, A),)
    assert found.plan_changed == ()


def test_what_is_not_started_is_said_to_be_so(tmp_path, experiment):
    with pytest.raises(NotFoundError, match="iris was not started") as caught:
        look(DirectoryClient(tmp_path / "none"), experiment)
    assert caught.value.hint


def test_drift_is_seen_and_not_written(client, experiment):
    obj = client.get(envoy.target(experiment))
    client.replace(envoy.with_split(obj, B))
    before = client.get(ledger_ref(experiment))
    found = look(client, experiment)
    assert (found.desired, found.asked, found.drifted) == (A, B, True)
    assert client.get(ledger_ref(experiment)) == before


def test_what_envoy_has_not_taken_is_seen(client, experiment, gateway):
    has = json.loads(client.get(envoy.target(experiment))["data"]["routes.json"])["resources"][0]
    gateway.has = {"routes": has, "refusal": "update_rejected"}
    obj = client.get(envoy.target(experiment))
    client.replace(envoy.with_split(obj, B))
    found = look(client, experiment)
    assert (found.asked, found.programmed, found.refusal) == (B, A, "update_rejected")


def test_an_open_intent_is_seen_and_is_no_drift(client, experiment):
    intent = Entry(NOW + 50, "bob", A, B, "killed", "intent")
    obj = client.get(ledger_ref(experiment))
    client.replace(with_ledger(obj, ledger_of(obj).with_entry(intent)))
    for asked in (A, B):
        client.replace(envoy.with_split(client.get(envoy.target(experiment)), asked))
        found = look(client, experiment)
        assert (found.intent, found.drifted) == (intent, False)
        assert found.epochs == (Epoch(NOW + 10, NOW + 50, A),)


def test_a_plan_that_changed_is_seen(client, experiment):
    changed = replace(experiment, design=replace(experiment.design, alpha=0.2))
    assert look(client, changed).plan_changed == ("design",)


@pytest.mark.parametrize("counts", [(70, 30), (1, 0), (123456, 54321), (0, 7)])
def test_observed_shares_have_the_interval_of_wilson(client, experiment, counts):
    found = look(client, experiment, dict(zip(A.names, counts, strict=True))).observed
    for name, count in zip(A.names, counts, strict=True):
        seen = found[name]
        assert (seen.count, seen.share) == (count, count / sum(counts))
        oracle = proportion_confint(count, sum(counts), method="wilson")
        assert seen.interval == pytest.approx(oracle, abs=1e-9)


def test_nothing_counted_is_no_share(client, experiment):
    assert look(client, experiment, {"control": 0}).observed is None
    assert look(client, experiment, {"treatment": 5}).observed["control"].share == 0


def test_a_shift_that_ends_between_two_reads_is_no_drift(client, experiment):
    class Interrupted:
        """Lets somebody shift after the ledger was read and before the object is."""

        waiting = True

        def get(self, ref):
            found = client.get(ref)
            if self.waiting:
                self.waiting = False
                shift(by(client, experiment), B, why="")
            return found

    found = look(Interrupted(), experiment)
    assert (found.desired, found.asked, found.drifted) == (B, B, False)
