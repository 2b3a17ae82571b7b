"""Apply, killed at any call: KServe's control is rolled out before its treatment, whatever comes.

The controller is played as KServe's and Knative's code have it: a change of anything but the
percentage makes a revision, and what has all requests counts as rolled out.
"""

import itertools
from dataclasses import replace

import pytest
from clients import survives

from abctl.cluster.directory import DirectoryClient
from abctl.core.experiment import Model
from abctl.core.ledger import ledger_ref
from abctl.core.split import Split
from abctl.errors import NotReadyError
from abctl.forms.ledger import ledger_of
from abctl.platforms import kserve
from abctl.session.apply import apply
from abctl.session.session import Session

SPLIT = Split(("control", "treatment"), (9000, 1000))


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        self.now += 0.001
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Controller:
    """Gives an InferenceService its status; a revision is ready after it was looked at twice."""

    def __init__(self, looks=2):
        self.looks, self.revisions, self.waiting = looks, [], 0
        self.rolled_out = self.before = None
        self.seen = []  # what share the latest image had whenever somebody looked

    def __call__(self, obj):
        if obj["kind"] != "InferenceService":
            return None
        predictor = dict(obj["spec"]["predictor"])
        percent = predictor.pop("canaryTrafficPercent", None)
        if not self.revisions or self.revisions[-1] != predictor:
            self.revisions.append(predictor)
            self.waiting = self.looks
        elif self.waiting:
            self.waiting -= 1
        ready = len(self.revisions) - (self.waiting > 0)
        traffic = self._traffic(ready, percent)
        image = self.revisions[ready - 1]["containers"][0]["image"] if ready else None
        self.seen.append((image, traffic[0]["percent"] if traffic else 0))
        return {
            "conditions": [{"type": "PredictorRouteReady", "status": "True" if ready else "False"}],
            "components": {
                "predictor": {
                    "latestCreatedRevision": f"iris-{len(self.revisions)}",
                    "latestReadyRevision": f"iris-{ready}" if ready else None,
                    "latestRolledoutRevision": self.rolled_out and f"iris-{self.rolled_out}",
                    "previousRolledoutRevision": self.before and f"iris-{self.before}",
                    "traffic": traffic,
                }
            },
        }

    def _traffic(self, ready, percent):
        if not ready:
            return []
        if percent is None or self.rolled_out is None:
            if self.rolled_out != ready:
                self.before, self.rolled_out = self.rolled_out, ready
            return [{"revisionName": f"iris-{ready}", "percent": 100, "latestRevision": True}]
        older = {"revisionName": f"iris-{self.rolled_out}", "percent": 100 - percent}
        return [
            {"revisionName": f"iris-{ready}", "percent": percent, "latestRevision": True},
            *([older] if percent < 100 else []),
        ]


@pytest.fixture
def experiment(make_experiment):
    made = make_experiment(unit="request", shares_bp=SPLIT.shares_bp)
    images = {"control": "abctl/iris:v1", "treatment": "abctl/iris:v2"}
    variants = tuple(replace(v, model=Model("iris", "v1", images[v.name])) for v in made.variants)
    return replace(made, variants=variants, platform="kserve")


def applying(experiment, clock, timeout_seconds=30.0):
    """Applies it by a client."""
    time = {"clock": clock, "sleep": clock.sleep, "timeout_seconds": timeout_seconds}

    def by(client):
        return apply(Session(client, kserve, experiment, actor="ann", **time), why="")

    return by


def assert_in_order(client, controller, experiment):
    obj = client.get(kserve.target(experiment))
    assert (kserve.split_of(obj), kserve.programmed(obj)) == (SPLIT, SPLIT)
    images = [revision["containers"][0]["image"] for revision in controller.revisions]
    assert images == ["abctl/iris:v1", "abctl/iris:v2"]
    assert controller.rolled_out == 1
    # The treatment never had more than its share, not for a moment.
    assert {percent for image, percent in controller.seen if image == images[1]} <= {10}
    entries = ledger_of(client.get(ledger_ref(experiment))).entries
    assert [(e.phase, e.after) for e in entries] == [("intent", SPLIT), ("applied", SPLIT)]


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_call_applying_again_comes_to_the_same_end(tmp_path, experiment, after):
    for at in itertools.count(1):
        controller, clock = Controller(), Clock()
        client = DirectoryClient(tmp_path / str(at), controller)
        completed = survives(applying(experiment, clock), client, at, after)
        assert applying(experiment, clock)(client)
        assert_in_order(client, controller, experiment)
        if completed:
            break
    assert at > 12


def test_a_control_that_does_not_get_ready_holds_back_the_treatment(tmp_path, experiment):
    controller, clock = Controller(looks=10_000), Clock()
    client = DirectoryClient(tmp_path / "world", controller)
    with pytest.raises(NotReadyError, match="not ready"):
        applying(experiment, clock, timeout_seconds=5.0)(client)
    assert len(controller.revisions) == 1
    controller.waiting, controller.looks = 0, 2
    assert applying(experiment, clock)(client)
    assert_in_order(client, controller, experiment)
