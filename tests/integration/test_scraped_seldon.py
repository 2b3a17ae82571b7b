"""Pods as Seldon's operator makes them, scraped by what `k8s/components` has: each counter once."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from api_server import DEADLINE_SECONDS as SECONDS
from api_server import ROOT, path_from
from prometheus_server import serving
from scraped import asked, configured, make, monitored, targets

from abctl.local.identity import wait_for
from abctl.spec import load
from abctl.spec.render import render

pytestmark = pytest.mark.process
EXECUTOR = {
    "name": "seldon-container-engine",
    "image": "seldonio/seldon-core-executor:1.17.1",
    "ports": [
        {"name": "http", "containerPort": 8000},
        {"name": "metrics", "containerPort": 8000},
        {"name": "grpc", "containerPort": 5001},
    ],
}
COUNTED = {"control": 40, "treatment": 10}
SERVER = 'ab_requests_total{{variant="{0}",bucket="1",code="2xx"}} {1}\n'
SECONDS_COUNTED = "seldon_api_executor_server_requests_seconds_count"
EXECUTED = (
    f"{SECONDS_COUNTED}{{{{"
    'deployment_name="iris",predictor_name="{0}",service="predictions",code="200"}} {1}\n'
)


def pods(namespace: str, first: int) -> Iterator[dict[str, Any]]:
    """What the operator makes of the worked example: a pod for each predictor."""
    (obj,) = render(load(ROOT / "k8s" / "experiments" / "seldon.yaml"))
    for number, predictor in enumerate(obj["spec"]["predictors"]):
        (server,) = predictor["componentSpecs"][0]["spec"]["containers"]
        env = [*server["env"], {"name": "MLSERVER_METRICS_ENDPOINT", "value": "/prometheus"}]
        server = {**server, "env": env, "volumeMounts": []}
        labels = {"seldon-deployment-id": "iris", "version": predictor["name"]}
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"iris-{predictor['name']}-0-iris",
                "namespace": namespace,
                "labels": {**predictor["labels"], **labels},
            },
            "spec": {"containers": [server, EXECUTOR], "nodeName": "n"},
            "status": {"phase": "Running", "podIP": f"127.9.{first}.{number}"},
        }


@contextmanager
def page(address: tuple[str, int], text: str) -> Iterator[None]:
    """Counters at /prometheus, and at no other path."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/prometheus" else 404)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(address, Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("config", "first"), [(configured, 3), (monitored, 4)])
def test_executor_and_server_are_found_and_count_once(
    config: Callable[[str, Path], str], first: int, cluster: Any, namespace: str, tmp_path: Path
) -> None:
    if not hasattr(cluster, "write_kubeconfig"):
        pytest.skip("NOT TESTED: needs an API server of our own, not a given cluster")
    program = Path(path_from("go-program", "--cached", "prometheus"))
    made = list(pods(namespace, first))
    with ExitStack() as stack:
        for pod in made:
            make(cluster, pod)
            name, ip = pod["metadata"]["labels"]["version"], pod["status"]["podIP"]
            for port, text in ((8082, SERVER), (8000, EXECUTED)):
                stack.enter_context(page((ip, port), text.format(name, COUNTED[name])))
        text = config(namespace, cluster.kubeconfig).replace("15s", "1s")
        url = stack.enter_context(serving(tmp_path / "server", config=text, program=program))
        up = f"query?query={quote('sum(up)')}"

        def scraped() -> bool:
            found = asked(url, up)["result"]
            return bool(found) and found[0]["value"][1] == "4"

        assert wait_for(scraped, SECONDS), targets(url)
        found = {(each["scrapePool"], each["scrapeUrl"]) for each in targets(url)}
        assert found == {
            ("seldon", f"http://{pod['status']['podIP']}:{port}/prometheus")
            for pod in made
            for port in (8000, 8082)
        }
        of_executor = 'deployment_name="iris",predictor_name="{0}",service="predictions"'
        for variant, counted in COUNTED.items():
            labels = f'variant="{variant}",experiment="iris",namespace="{namespace}"'
            for selector in (
                f"ab_requests_total{{{labels}}}",
                f"{SECONDS_COUNTED}{{{of_executor.format(variant)},{labels}}}",
            ):
                (series,) = asked(url, f"query?query={quote(selector)}")["result"]
                assert series["value"][1] == str(counted)
