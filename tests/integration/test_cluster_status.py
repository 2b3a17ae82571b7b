"""Status on a real API server: what it costs, and what a watch makes of a server that goes away."""

import json
import os
import signal
import subprocess
import sysconfig
from contextlib import contextmanager
from pathlib import Path

import pytest
from api_server import wait_for

from abctl.cli.main import run
from abctl.cluster._client import ApiClient
from abctl.session.apply import apply
from abctl.session.open import Where, open_session
from abctl.session.status import status

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
        original = getattr(ApiClient, name)

        def counted(*words, _original=original, **more):
            asked.append(words[1:])
            return _original(*words, **more)

        monkeypatch.setattr(ApiClient, name, counted)
    return asked


@pytest.mark.parametrize("platform", ["envoy", "seldon"])
def test_its_requests_are_few_whatever_the_number_of_pods(
    platform, crds, namespace, write_example, requests
):
    where = Where(kubeconfig=crds.kubeconfig, namespace=namespace)
    session = open_session(write_example(platform), where)
    apply(session, why="", wait=False)

    def cost():
        requests.clear()
        found = status(session)
        return len(requests), sum(len(branch.pods) for branch in found.tree.branches)

    crds.kubectl("create", "-f", "-", stdin=pods(namespace, "control", range(1)))
    few, one = cost()
    crds.kubectl("create", "-f", "-", stdin=pods(namespace, "control", range(1, 200)))
    many, all_of_them = cost()
    assert (one, all_of_them) == (1, 200)
    assert few == many <= 6


@contextmanager
def watching(folder, *command):
    """Runs a command; gives what it has answered and remarked so far, and ends it by Ctrl-C."""
    out, err = folder / f"{command[0]}.out", folder / f"{command[0]}.err"
    with out.open("w") as answers, err.open("w") as remarks:
        running = subprocess.Popen([ABCTL, *command], stdout=answers, stderr=remarks)
    try:
        yield out.read_text, err.read_text
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 130
        assert err.read_text().count("looking again") == 1
        assert "error" not in err.read_text().replace("error: interrupted", "")
    finally:
        if running.poll() is None:
            os.kill(running.pid, signal.SIGKILL)
            running.wait(60)


def test_a_watch_outlives_an_api_server_that_goes_away(make_api_server, write_example, tmp_path):
    server, file = make_api_server(), write_example("envoy")
    # What there is to count does not matter to who watches for a verdict.
    pages = tmp_path / "pages.jsonl"
    text = Path(file).read_text()
    Path(file).write_text(f"{text}  source: {{scrape: {{file: {pages}}}}}\n")
    server.kubectl("create", "namespace", "models")
    place = ["--kubeconfig", str(server.kubeconfig)]
    assert run(["apply", file, "--yes", "--no-wait", *place]) == 0
    status = ("status", file, "--watch", "-o", "json", *place)
    analyze = ("analyze", file, "--watch", "--interval", "1s", "-o", "json", *place)
    with (
        watching(tmp_path, *status) as (out, err),
        watching(tmp_path, *analyze) as (verdicts, remarks),
    ):
        wait_for(lambda: out().endswith("}\n"), "the first answer", err)
        wait_for(lambda: verdicts().endswith("}\n"), "the first verdict", remarks)
        first = out()
        server.kill()
        wait_for(lambda: "; looking again" in err(), "word of the outage", err)
        wait_for(lambda: "looking again every 1s" in remarks(), "word of the outage", remarks)
        server.start()
        known = verdicts().count('"kind": "Analysis"')
        # Nothing is said again that is known already; what is new is.
        assert out() == first
        server.kubectl("create", "-f", "-", stdin=pods("models", "control", range(1)))
        wait_for(lambda: '"control-0"' in out(), "what is new", err)
        again = "a look after the outage"
        wait_for(lambda: verdicts().count('"kind": "Analysis"') > known, again, remarks)
