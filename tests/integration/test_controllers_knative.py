"""KServe's controller over Knative Serving's own, without nodes: who gets which traffic."""

import json
from pathlib import Path

import pytest
from api_server import wait_for
from controllers import Controllers

FILE = str(Path(__file__).parents[2] / "k8s" / "experiments" / "kserve.yaml")
BELOW = (
    "deployments",
    "podautoscalers.autoscaling.internal.knative.dev",
    "ingresses.networking.internal.knative.dev",
)
FIRST, SECOND = "iris-predictor-00001", "iris-predictor-00002"


@pytest.fixture
def server(knative):
    return knative


@pytest.fixture
def world(knative, own):
    return World(knative, own)


class World:
    """What Knative really does, by its own objects."""

    def __init__(self, cluster, namespace):
        self.cluster, self.namespace = cluster, namespace

    def read(self, *words):
        return self.cluster.read("-n", self.namespace, *words)

    def percents(self):
        """By revision, from the object that the ingress would carry out."""
        kind = "ingresses.networking.internal.knative.dev"
        found = {}
        for rule in self.read(kind, "iris-predictor")["spec"]["rules"]:
            if rule["hosts"][0].startswith("iris-predictor."):
                for split in rule["http"]["paths"][0]["splits"]:
                    name = split["appendHeaders"]["Knative-Serving-Revision"]
                    found[name] = split["percent"]
        return found

    def revisions(self):
        found = self.read("revisions.serving.knative.dev")["items"]
        return {o["metadata"]["name"]: o["spec"]["containers"][0]["image"] for o in found}


def test_from_the_first_deploy_to_promotion_and_back(abctl, knative, own, world):
    with Controllers(knative, own, *BELOW):
        abctl("apply", FILE, "--yes", "--timeout", "5m")
        assert world.revisions() == {FIRST: "abctl/iris:v1", SECOND: "abctl/iris:v2"}
        assert world.percents() == {FIRST: 90, SECOND: 10}
        assert "no differences" in abctl("diff", FILE)
        for percent in (30, 50, 10):
            abctl("shift", FILE, f"treatment={percent}%", "--yes", "--timeout", "5m")
            assert world.percents() == {FIRST: 100 - percent, SECOND: percent}
            seen = json.loads(abctl("status", FILE, "-o", "json"))
            assert seen["programmed"] == {"control": 1 - percent / 100, "treatment": percent / 100}
        abctl("promote", FILE, "--yes", "--timeout", "5m")
        assert world.percents() == {SECOND: 100}
        seen = world.read("isvc", "iris")["status"]["components"]["predictor"]
        assert seen["latestRolledoutRevision"] == SECOND
        assert seen["previousRolledoutRevision"] == FIRST
        assert json.loads(abctl("status", FILE, "-o", "json"))["programmed"]["treatment"] == 1
        # All is well, and no condition is shown that says so by being False.
        assert "no complaint" in (shown := abctl("status", FILE))
        assert "False" not in shown
        # The way back is open also then.
        abctl("rollback", FILE, "--yes", "--timeout", "5m")
        assert world.percents()[FIRST] == 100
        # No shift ever made a revision.
        assert set(world.revisions()) == {FIRST, SECOND}


def test_rolled_back_nobody_gets_the_treatment(abctl, knative, own, world):
    with Controllers(knative, own, *BELOW):
        abctl("apply", FILE, "--yes", "--timeout", "5m")
        abctl("shift", FILE, "treatment=30%", "--yes", "--timeout", "5m")
        abctl("rollback", FILE, "--yes", "--timeout", "5m")
        assert world.percents().get(SECOND, 0) == 0
        assert world.percents()[FIRST] == 100
        seen = json.loads(abctl("status", FILE, "-o", "json"))
        assert seen["programmed"] == {"control": 1, "treatment": 0}
        assert seen["refusal"] is None
        assert set(world.revisions()) == {FIRST, SECOND}
        # Back on the way: the control is still the revision that was rolled out.
        abctl("shift", FILE, "treatment=20%", "--yes", "--timeout", "5m")
        assert world.percents() == {FIRST: 80, SECOND: 20}


def test_stored_models_are_revisions_too(abctl, knative, own, world, tmp_path):
    text = Path(FILE).read_text()
    for version in ("v1", "v2"):
        stored = f'uri: "gs://example-models/iris/{version}", format: sklearn'
        text = text.replace(f'image: "abctl/iris:{version}"', stored)
    file = tmp_path / "stored.yaml"
    file.write_text(text)
    with Controllers(knative, own, *BELOW):
        abctl("apply", str(file), "--yes", "--timeout", "5m")
        assert world.percents() == {FIRST: 90, SECOND: 10}
        assert "no differences" in abctl("diff", str(file))
        revision = world.read("revisions.serving.knative.dev", SECOND)
        told = {e["name"]: e["value"] for e in revision["spec"]["containers"][0]["env"]}
        assert (told["MLSERVER_MODEL_NAME"], told["MLSERVER_MODEL_VERSION"]) == ("iris", "v2")
        abctl("shift", str(file), "treatment=50%", "--yes", "--timeout", "5m")
        assert world.percents() == {FIRST: 50, SECOND: 50}


def test_a_treatment_that_never_gets_ready_gets_nothing(abctl, knative, own, world):
    def silent(obj):
        return obj["kind"] != "Ingress" and obj["metadata"]["name"].startswith(SECOND)

    with Controllers(knative, own, *BELOW, silent_on=silent):
        # It says what it waited for last; again it goes on from there.
        apply = ("apply", FILE, "--yes", "--timeout", "5")
        wait_for(lambda: f"{SECOND} is not ready" in abctl(*apply, wanted=5), "its complaint")
        assert world.percents() == {FIRST: 100}
        seen = json.loads(abctl("status", FILE, "-o", "json"))
        assert seen["asked"] == {"control": 0.9, "treatment": 0.1}
        assert seen["programmed"] == {"control": 1, "treatment": 0}
        assert f"{SECOND} is not ready" in seen["refusal"]


def test_beyond_all_knative_refuses_what_kserve_lets_pass(abctl, knative, own, world):
    with Controllers(knative, own, *BELOW):
        abctl("apply", FILE, "--yes", "--timeout", "5m")
        patch = {"spec": {"predictor": {"canaryTrafficPercent": 150}}}
        words = ("patch", "isvc", "iris", "-n", own, "--type=merge", "-p", json.dumps(patch))
        # KServe's webhook has no objection.
        knative.kubectl(*words)
        # Nothing changes for anybody, and abctl says what is wrong.
        assert "150, must be from 0 to 100" in abctl("status", FILE, wanted=5)
        assert world.percents() == {FIRST: 90, SECOND: 10}
        patch["spec"]["predictor"]["canaryTrafficPercent"] = 10
        knative.kubectl(*words[:-1], json.dumps(patch))
        wait_for(
            lambda: json.loads(abctl("status", FILE, "-o", "json"))["refusal"] is None,
            "all is well",
        )
