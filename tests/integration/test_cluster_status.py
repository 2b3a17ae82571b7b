"""Status on a real API server: what it costs, and what a watch makes of a server that goes away."""

import json
import os
import signal
import subprocess
import sysconfig
import time
from pathlib import Path

import pytest
from api_server import DEADLINE_SECONDS, wait_for

from abctl.cli.main import run
from abctl.cluster._wire import Wire
from abctl.services.apply import apply
from abctl.services.place import Where, find
from abctl.services.status import status

EXAMPLES = Path(__file__).parents[2] / "k8s" / "experiments"
ABCTL = Path(sysconfig.get_path("scripts")) / "abctl"


@pytest.fixture
def write_example(tmp_path):
    """A worked example whose requests nobody counts."""

    def write(platform):
        text = (EXAMPLES / f"{platform}.yaml").read_text()
        path = tmp_path / f"{platform}.yaml"
        path.write_text("".join(x for x in text.splitlines(True) if "source:" not in x))
        return str(path)

    return write


def pods(namespace, variant, numbers):
    labels = {"abctl.dev/experiment": "iris", "abctl.dev/variant": variant}
    items = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"{variant}-{i}", "namespace": namespace, "labels": labels},
            "spec": {"containers": [{"name": "mlserver", "image": "abctl/iris:v1"}]},
        }
        for i in numbers
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


@pytest.fixture
def requests(monkeypatch):
    """What the API server is asked from now on."""
    asked = []
    for name in ("ask", "ask_once"):
        original = getattr(Wire, name)

        def counted(*words, _original=original, **more):
            asked.append(words[1:])
            return _original(*words, **more)

        monkeypatch.setattr(Wire, name, counted)
    return asked


@pytest.mark.parametrize("platform", ["envoy", "seldon"])
def test_its_requests_are_few_whatever_the_number_of_pods(
    platform, crds, namespace, write_example, requests
):
    place = find(
        write_example(platform), Where(kubeconfig=crds.kubeconfig, namespace=namespace), now=0.0
    )
    objects = place.platform.objects(place.experiment)
    options = {"actor": "ann", "why": "", "clock": time.time, "sleep": time.sleep}
    apply(
        place.door,
        place.platform,
        place.experiment,
        report=print,
        wait=False,
        timeout_seconds=0,
        **options,
    )

    def cost():
        requests.clear()
        found = status(
            place.door, place.platform, place.experiment, clock=time.time, objects=objects
        )
        return len(requests), sum(len(branch.pods) for branch in found.tree.branches)

    crds.kubectl("create", "-f", "-", stdin=pods(namespace, "control", range(1)))
    few, one = cost()
    crds.kubectl("create", "-f", "-", stdin=pods(namespace, "control", range(1, 200)))
    many, all_of_them = cost()
    assert (one, all_of_them) == (1, 200)
    assert few == many <= 6


def test_a_watch_outlives_an_api_server_that_goes_away(make_api_server, write_example, tmp_path):
    server, file = make_api_server(), write_example("envoy")
    server.kubectl("create", "namespace", "models")
    place = ["--kubeconfig", str(server.kubeconfig)]
    assert run(["apply", file, "--yes", "--no-wait", *place]) == 0
    out, err = tmp_path / "out", tmp_path / "err"
    with out.open("w") as answers, err.open("w") as remarks:
        watching = subprocess.Popen(
            [ABCTL, "status", file, "--watch", "-o", "json", *place], stdout=answers, stderr=remarks
        )
    try:
        wait_for(lambda: out.read_text().endswith("}\n"), "the first answer", err.read_text)
        first = out.read_text()
        server.kill()
        wait_for(lambda: "; looking again" in err.read_text(), "word of the outage")
        server.start()
        # Nothing is said again that is known already; what is new is.
        assert out.read_text() == first
        server.kubectl("create", "-f", "-", stdin=pods("models", "control", range(1)))
        wait_for(lambda: '"control-0"' in out.read_text(), "what is new", err.read_text)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(DEADLINE_SECONDS) == 130
        assert err.read_text().count("looking again") == 1
        assert "error" not in err.read_text()
    finally:
        if watching.poll() is None:
            os.kill(watching.pid, signal.SIGKILL)
            watching.wait(DEADLINE_SECONDS)
