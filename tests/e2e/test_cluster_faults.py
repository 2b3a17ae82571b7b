"""Faults in a cluster, while requests come in: what a fault loses is told, and no verdict is wrong.

There are three variants: the control, the same model once more, and a worse one. Whatever happens,
neither of the two may ship. Each fault has a load of its own; docs/platforms.md has the figures.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import xxhash
import yaml
from api_server import ROOT, wait_for
from trial import CONNECTIONS, Trial, outcome

EXAMPLE = ROOT / "k8s" / "experiments" / "envoy.yaml"
CLUSTER = ROOT / "tests" / "cluster"
# Its split, and its version of the model.
VARIANTS = {"control": ("40%", "v1"), "treatment": ("40%", "v1"), "worse": ("20%", "v3")}
SALT = "faults"
SETTLE = "2s"  # two scrapes
# A scrape is stored a moment after the moment that it bears, and polls grow with age.
SCRAPED_SECONDS = 20
# `make long` asks for 50. A node that nobody tells to looks at ConfigMaps once a minute.
SHIFTS = int(os.environ.get("ABCTL_TEST_SHIFTS", "5"))
UNTOLD_SECONDS = 60.0
WANTED = "abctl.dev/config-version"

SERVER = {"abctl.dev/variant": "treatment"}
ENVOY = {"app.kubernetes.io/component": "proxy"}
PROMETHEUS = {"app.kubernetes.io/name": "prometheus"}
DEPLOYMENTS = {"iris-treatment": SERVER, "iris-envoy": ENVOY}

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture(scope="module")
def scraped_often(nodes):
    """Prometheus scrapes every second, so that nobody need wait for it."""

    def every(before, after):
        deployment = nodes.read("deployment", "prometheus", "-n", "models")
        volumes = deployment["spec"]["template"]["spec"]["volumes"]
        name = next(each["configMap"]["name"] for each in volumes if "configMap" in each)
        config = nodes.read("configmap", name, "-n", "models")
        text = config["data"]["prometheus.yml"]
        config["data"]["prometheus.yml"] = text.replace(f"interval: {before}", f"interval: {after}")
        nodes.kubectl("replace", "-f", "-", stdin=json.dumps(config))
        for verb in ("restart", "status"):
            nodes.kubectl("rollout", verb, "-n", "models", "deployment/prometheus")

    every("15s", "1s")
    yield nodes
    every("1s", "15s")


@pytest.fixture(scope="module")
def trial(scraped_often, tmp_path_factory):
    """The experiment, once something counts."""
    nodes = scraped_often
    document = yaml.safe_load(EXAMPLE.read_text())
    spec = document["spec"]
    spec["variants"] = [
        {"name": name, "split": split, "model": {"name": "iris", "version": v, "image": image}}
        for name, (split, v) in VARIANTS.items()
        if (image := f"abctl/iris:{v}")
    ]
    spec["assignment"] |= {"salt": SALT, "cohorts": []}
    # So small that chance ships nothing.
    spec["design"] = {"alpha": 0.001, "minDuration": SETTLE, "settle": SETTLE}
    spec["source"] = {"prometheus": {"service": "prometheus:9090"}}
    file = tmp_path_factory.mktemp("faults") / "faults.yaml"
    file.write_text(yaml.safe_dump(document))
    code, _, err = nodes.abctl("apply", file, "--yes", "--force")
    assert code == 0, err
    made = Trial(nodes, file, tuple(VARIANTS))
    wait_for(lambda: nodes.ready("models"), "pods")
    wait_for(lambda: "nothing counts yet" not in str(made.abctl("analyze")), "the begin")
    yield made
    nodes.abctl("delete", file, "--yes")


@pytest.fixture
def scale(trial):
    """Sees to so many servers of the treatment, and so many Envoys."""

    def to(replicas):
        for name, labels in DEPLOYMENTS.items():
            words = (f"deployment/{name}", f"--replicas={replicas}")
            trial.nodes.kubectl("scale", "-n", "models", *words)
            enough = lambda each=labels: len(trial.pods("models", each)) == replicas  # noqa: E731
            wait_for(enough, name)

    return to


# What can happen to a pod.


def evict(trial, pod):
    """As when a node is drained."""
    name = pod["metadata"]["name"]
    what = {"apiVersion": "policy/v1", "kind": "Eviction"}
    body = {**what, "metadata": {"name": name, "namespace": "models"}}
    path = f"/api/v1/namespaces/models/pods/{name}/eviction"
    trial.nodes.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(body))


def roll(trial, pod):
    """As when its Deployment is changed."""
    is_envoy = ENVOY.items() <= pod["metadata"]["labels"].items()
    name = "iris-envoy" if is_envoy else "iris-treatment"
    trial.nodes.kubectl("rollout", "restart", "-n", "models", f"deployment/{name}")


def delete(trial, pod):
    where = ("-n", pod["metadata"]["namespace"])
    trial.nodes.kubectl("delete", "pod", *where, pod["metadata"]["name"], "--wait=false")


def kill(trial, pod):
    """As when its node is gone."""
    words = ("--grace-period=0", "--force", "--wait=false")
    trial.nodes.kubectl("delete", "pod", "-n", "models", pod["metadata"]["name"], *words)


def crash(trial, pod):
    """As when its memory was not enough: the first process of its container dies."""
    container = pod["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
    processes = (each for each in Path("/proc").iterdir() if each.name.isdecimal())
    inside = [int(each.name) for each in processes if container in _cgroups(each)]
    if not inside:
        pytest.skip("NOT TESTED: the processes of this cluster are not on this machine")
    os.kill(min(inside), signal.SIGKILL)


def _cgroups(process):
    try:
        return (process / "cgroup").read_text()
    except OSError:  # it has ended
        return ""


@dataclass(frozen=True)
class Fault:
    """What happens to one pod of each kind, of how many, and what it may cost.

    `told` is the note that there must be of the treatment, whose server it was. What another one
    shows as well is `long`.
    """

    name: str
    strike: Callable
    struck: tuple
    replicas: int = 1
    seconds: int = 20
    lost: float = 0
    told: str = ""
    long: bool = False


GONE, RESTARTED = "targetsGone", "restarts"
LEAVING_SECONDS = 35  # for those who leave in order
MANY = float("inf")
FAULTS = [
    Fault("restart Prometheus", delete, (PROMETHEUS,)),
    Fault("evict", evict, (SERVER, ENVOY), seconds=LEAVING_SECONDS, told=GONE),
    Fault("roll", roll, (SERVER, ENVOY), seconds=LEAVING_SECONDS, told=GONE, long=True),
    Fault("crash one of two servers", crash, (SERVER,), replicas=2, told=RESTARTED),
    Fault("kill one of two Envoys", kill, (ENVOY,), replicas=2, lost=CONNECTIONS, long=True),
    Fault("kill the only server", kill, (SERVER,), lost=MANY, told=GONE),
]


@pytest.mark.parametrize(
    "fault",
    [pytest.param(each, id=each.name, marks=[pytest.mark.long] * each.long) for each in FAULTS],
)
def test_what_a_fault_costs_is_told(trial, scale, fault, record_property):
    scale(fault.replicas)
    before = trial.look()
    summaries, end = strike_under_load(trial, fault)
    outcomes = [outcome(summary) for summary in summaries]
    answered = {name: sum(answers[name] for answers, _ in outcomes) for name in VARIANTS}
    lost, looks = sum(lost for _, lost in outcomes), []

    def complete():
        looks.append(trial.look())
        counted = looks[-1].since(before)
        short = {name for name in VARIANTS if counted[name] < answered[name]}
        # What was counted after the last scrape is gone with its server.
        if fault.told and looks[-1].at > end + SCRAPED_SECONDS:
            short -= {"treatment"}
        told = not fault.told or said(looks[-1].notes, "treatment", fault.told)
        return told and not short

    _await_back(trial, fault)
    wait_for(complete, "the scrapes", lambda: f"{looks[-1].since(before)} of {answered}")
    counted = looks[-1].since(before)
    figures = {"requests": sum(answered.values()) + lost, "lost": lost, "counted": counted}
    for name, figure in figures.items():
        record_property(name, figure)
    # What got no answer may have been counted, by a server whose answer did not arrive.
    assert sum(counted.values()) <= sum(answered.values()) + lost, (counted, answered)
    for summary in summaries:
        # Whoever is asked once more is of the same variant.
        assert summary["movedUsers"] == 0
        require_lost(summary, fault.lost)


def strike_under_load(trial, fault):
    """What the load says, and when it ended: well after the strike.

    Where the machine takes long to strike, it is done once more, under a longer load.
    """
    summaries = []
    for seconds in (fault.seconds, 3 * fault.seconds, 9 * fault.seconds):
        with trial.load(seconds) as summary:
            for labels in fault.struck:
                (pod, *_) = trial.pods("models", labels).values()
                fault.strike(trial, pod)
            struck = time.time()
        summaries += summary
        if (end := time.time()) - struck > fault.seconds / 2:
            return summaries, end
        _await_back(trial, fault)
    raise AssertionError("the load was over too soon")


def _await_back(trial, fault):
    for labels in fault.struck:
        back = lambda each=labels: len(trial.pods("models", each)) == fault.replicas  # noqa: E731
        wait_for(back, "what was struck")


def require_lost(summary, limit):
    """At most so many; who is too slow to send does not know what lost the others."""
    if any("unsent" in each["errors"] for each in summary["variants"]):
        pytest.skip("NOT TESTED: what is lost, as this machine is too slow for the load")
    assert outcome(summary)[1] <= limit, summary


def said(notes, variant, code):
    return (variant, code) in [(note["facts"].get("variant"), note["code"]) for note in notes]


def test_the_api_server_dies_during_a_shift(trial):
    if trial.nodes.kubeconfig.resolve() != ROOT / "build" / "cluster" / "kubeconfig":
        pytest.skip("NOT TESTED: only the cluster of `make cluster-up` lets its API server die")
    known = len(trial.entries())
    shift = ("shift", trial.file, "treatment=30%", "--yes")
    with trial.load(30) as summaries, ThreadPoolExecutor() as pool:
        shifted = pool.submit(trial.nodes.abctl, *shift)
        wait_for(lambda: len(trial.entries()) > known, "the intent")
        subprocess.run([sys.executable, CLUSTER, "kill", "kube-apiserver"], check=True)
        code, _, err = shifted.result()
        # It went on when the server was back, or says once what was not done.
        assert (code, err.count("error: ")) in {(0, 0), (5, 1)}, err
        ready = ("get", "--raw=/readyz")
        wait_for(lambda: not trial.nodes.kubectl(*ready, check=False).returncode, "the API server")
        code, _, err = trial.nodes.abctl(*shift)
        assert code == 0, err
    assert [entry["phase"] for entry in trial.entries()[known:]] == ["intent", "applied"]
    require_lost(summaries[0], 0)


def test_shifts_under_load_take_seconds_and_lose_nothing(trial, scale, record_property):
    scale(2)
    known, took = len(trial.entries()), []
    users = [f"somebody-{number}" for number in range(100)]
    with trial.load_until_done() as summaries:
        for number in range(SHIFTS):
            # All of them differ.
            shares_bp = {"treatment": 700 * number % 5000, "worse": 1100 * number % 5000}
            split = [f"{name}={share / 100:g}%" for name, share in shares_bp.items()]
            began = time.monotonic()
            assert trial.abctl("shift", *split, "--yes")["confirmed"]
            took.append(time.monotonic() - began)
            assert trial.answers(users) == [_expected(user, shares_bp) for user in users], split
    (summary,) = summaries
    record_property("seconds", sorted(round(each, 1) for each in took))
    # By its own the kubelet, which has its defaults, would take half a minute more often than not.
    assert statistics.median(took) < UNTOLD_SECONDS / 4, took
    pods = trial.pods("models", ENVOY).values()
    assert all(WANTED in pod["metadata"]["annotations"] for pod in pods)
    phases = [entry["phase"] for entry in trial.entries()[known:]]
    assert phases == ["intent", "applied"] * SHIFTS
    require_lost(summary, 0)


def _expected(user, shares_bp):
    """The first half of all points begins with the treatment, the second one with the worse."""
    point = xxhash.xxh64_intdigest(f"{SALT}:{user}".encode()) % 10_000
    for first, name in ((0, "treatment"), (5000, "worse")):
        if first <= point < first + shares_bp[name]:
            return name
    return "control"
