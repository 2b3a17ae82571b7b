"""The whole loop on a cluster with nodes, as a user goes through it: from apply to delete."""

import json
from pathlib import Path

import pytest
import yaml
from api_server import wait_for

EXAMPLE = Path(__file__).parents[2] / "k8s" / "experiments" / "envoy.yaml"
# For longer than it takes to settle: what comes after counts.
TRAFFIC = ("--rate", 50, "--requests", 3750, "--duration", "15m", "--users", 1500, "--seed", 1)
SETTLE = "30s"  # two scrapes

pytestmark = pytest.mark.timeout(3000)


@pytest.fixture
def abctl(nodes):
    """Runs a command; gives its answer as an object."""

    def command(name, file, *words):
        code, out, err = nodes.abctl(name, file, *words, "-o", "json")
        assert code == 0, err
        return json.loads(out)

    return command


@pytest.fixture
def make_experiment(nodes, abctl, tmp_path):
    """Applies the worked example with another candidate, short enough for a test."""
    made = []

    def make(candidate):
        document = yaml.safe_load(EXAMPLE.read_text())
        spec = document["spec"]
        image = {"version": candidate, "image": f"abctl/iris:{candidate}"}
        spec["variants"][1]["model"] |= image
        spec["assignment"]["salt"] = f"loop-{candidate}"
        accuracy, errors, _ = spec["metrics"]
        # So few requests leave room for a client whose every request fails, and who asks much.
        errors["margin"] = "30pp"
        # A minute has too few polls to tell slow requests from a burst of them.
        spec["metrics"] = [accuracy, errors]
        # Effects are far larger than planned for, which this test finds soonest.
        spec["design"] = {"test": "sequential", "minDuration": SETTLE, "settle": SETTLE}
        spec["source"] = {"prometheus": {"service": "prometheus:9090"}}
        path = tmp_path / f"{candidate}.yaml"
        path.write_text(yaml.safe_dump(document))
        made.append(path)
        # The overlay was applied by kubectl, with the candidate of the example.
        abctl("apply", path, "--yes", "--force")
        return path

    yield make
    for path in made:
        nodes.abctl("delete", path, "--yes")


@pytest.fixture
def send(nodes, abctl):
    """Sends requests of made-up users, none of which may fail; gives the share of the treatment."""

    def simulate(file, *words):
        # Another one for each experiment.
        entrance = nodes.url("iris-envoy")
        done = abctl("simulate", file, "--url", entrance, "--yes", *TRAFFIC, *words)
        assert not any(each["errors"] for each in done["variants"]), done["variants"]
        requests = {each["variant"]: each["requests"] for each in done["variants"]}
        return requests["treatment"] / (requests["treatment"] + requests["control"])

    return simulate


def await_verdict(abctl, file, kind):
    """Looks until it is there: what was sent last is scraped a little later."""
    looks = []

    def there():
        looks.append(abctl("analyze", file)["verdict"])
        return looks[-1]["kind"] == kind

    wait_for(there, f"the verdict {kind}", lambda: looks[-1])
    return looks[-1]


def test_every_pod_is_restricted_and_ready(nodes):
    labels = nodes.read("namespace", "models")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    pods = nodes.read("pods", "-n", "models")["items"]
    assert pods
    for container in (each for pod in pods for each in pod["spec"]["containers"]):
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["securityContext"]["runAsNonRoot"]


def test_a_better_candidate_is_promoted(nodes, abctl, make_experiment, send):
    file = make_experiment("v2")
    said = []

    def sound():
        said[:] = nodes.abctl("doctor", file, "--url", nodes.url("iris-envoy"))
        return said[0] == 0

    # The new pods are scraped a little later.
    wait_for(sound, "the doctor", lambda: "".join(map(str, said)))
    better = ("--effect", "treatment=+8pp")
    assert 0.05 < send(file, *better) < 0.15

    assert abctl("shift", file, "50/50", "--yes", "--why", "looks good")["confirmed"]
    assert 0.45 < send(file, *better) < 0.55
    await_verdict(abctl, file, "ship")
    # What clients got is known by user, from the log of every pod of Envoy.
    answers = [each["answers"] for each in abctl("analyze", file)["variants"]]
    assert {(each["view"], each["preset"]) for each in answers} == {("clients", "access-log")}
    seen = abctl("status", file)
    assert seen["programmed"] == seen["desired"] == {"control": 0.5, "treatment": 0.5}

    assert abctl("promote", file, "--yes")["confirmed"]
    assert send(file, "--requests", 250) == 1.0


def test_a_worse_candidate_is_stopped_and_rolled_back(nodes, abctl, make_experiment, send):
    file = make_experiment("v3")
    assert abctl("shift", file, "50/50", "--yes")["confirmed"]
    assert 0.45 < send(file, "--effect", "treatment=-10pp") < 0.55
    verdict = await_verdict(abctl, file, "stop")
    assert "accuracy" in [reason["facts"].get("metric") for reason in verdict["reasonCodes"]]

    assert abctl("rollback", file, "--yes")["confirmed"]
    assert send(file, "--requests", 250) == 0.0
