"""MLServer processes that tests start, and what their pages say."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from api_server import DEADLINE_SECONDS
from own_ports import free_ports
from prometheus_client.parser import text_string_to_metric_families

from abctl.core.assignment import bucket

SERVERS = Path(__file__).parents[2] / "model_servers"
OURS = (sys.executable, "-m", "ab_runtime")
IDENTITY = {
    "AB_VARIANT": "control",
    "AB_SALT": "salt-1",
    "AB_BUCKETS": "8",
    "AB_OUTCOMES": "accuracy,revenue",
}
ROW = [5.1, 3.5, 1.4, 0.2]

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def plain(data: Any = ROW, shape: tuple[int, ...] = (1, 4), **more: Any) -> dict[str, Any]:
    tensor = {"name": "rows", "shape": list(shape), "datatype": "FP32", "data": data} | more
    return {"inputs": [tensor]}


@dataclass
class Server:
    """A model server of this machine."""

    folder: Path
    program: tuple[str, ...] = OURS
    environment: dict[str, str] = field(default_factory=lambda: dict(IDENTITY))
    ports: list[int] = field(default_factory=lambda: free_ports(3))
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> "subprocess.Popen[bytes]":
        names = ("MLSERVER_HTTP_PORT", "MLSERVER_GRPC_PORT", "MLSERVER_METRICS_PORT")
        ports = {name: str(port) for name, port in zip(names, self.ports, strict=True)}
        inherited = {
            name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ
        }
        with (self.folder / "log").open("wb") as log:
            return subprocess.Popen(
                [*self.program, str(self.folder)],
                env={**inherited, "MLSERVER_HOST": "127.0.0.1", **ports, **self.environment},
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @contextmanager
    def running(self) -> Iterator["Server"]:
        process = self.process = self.start()
        try:
            deadline = time.monotonic() + DEADLINE_SECONDS
            while not self.ready():
                assert process.poll() is None, self.log()
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.05)
            yield self
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def ready(self) -> bool:
        try:
            return requests.get(self.url("/v2/models/iris/ready")).ok
        except requests.ConnectionError:
            return False

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.ports[0]}{path}"

    def infer(self, request: Any, **headers: str) -> requests.Response:
        named = {key.replace("_", "-"): value.encode() for key, value in headers.items()}
        return requests.post(self.url("/v2/models/iris/infer"), json=request, headers=named)

    def feedback(self, **content: Any) -> requests.Response:
        return requests.post(self.url("/feedback"), json={"variant": "control", **content})

    def page(self) -> Series:
        text = requests.get(f"http://127.0.0.1:{self.ports[2]}/metrics").text
        families = text_string_to_metric_families(text)
        samples = [sample for family in families for sample in family.samples]
        return {(each.name, frozenset(each.labels.items())): each.value for each in samples}

    def count(self, name: str, **labels: str) -> float:
        """One number of the page, of this variant; zero where there is none."""
        return self.page().get((name, frozenset({"variant": "control", **labels}.items())), 0)

    @contextmanager
    def counting(self, requests_: int = 0) -> Iterator[dict[str, float]]:
        """What is counted meanwhile, by name and labels (without the variant).

        It waits until so many requests are counted: gRPC answers errors before it tells.
        """
        before: Series = self.page()
        found: dict[str, float] = {}
        yield found
        wait(lambda: _requests(self.page()) >= _requests(before) + requests_)
        for key, value in self.page().items():
            if key[0].startswith("ab_") and value != before.get(key, 0):
                labels = dict(key[1])
                assert labels.pop("variant") == "control"
                name = ",".join([key[0], *(f"{k}={labels[k]}" for k in sorted(labels))])
                found[name] = value - before.get(key, 0)
        # Times differ from run to run; how many there were does not.
        for name in [each for each in found if "_request_duration_seconds_" in each]:
            if name != "ab_request_duration_seconds_count":
                del found[name]


def _requests(page: Series) -> float:
    return sum(value for (name, _), value in page.items() if name == "ab_requests_total")


def of(user: str) -> str:
    """The bucket of a user of IDENTITY's experiment."""
    return str(bucket("salt-1", user, 8))


def trained(folder: Path) -> Path:
    """The example models, as their images have them: v1 and v2 are linear, v3 is a forest."""
    subprocess.run([sys.executable, SERVERS / "train.py", folder], check=True, capture_output=True)
    for version in ("v1", "v2", "v3"):
        for name in ("settings.json", "model-settings.json"):
            shutil.copy(SERVERS / version / name, folder / version)
    return folder


def as_stock(folder: Path) -> Path:
    """The folder, as it is written for stock MLServer, whose runtime knows nothing of variants."""
    settings = {"name": "iris", "implementation": "mlserver_sklearn.SKLearnModel"}
    parameters = {"uri": "./model.joblib", "version": folder.name}
    (folder / "model-settings.json").write_text(json.dumps({**settings, "parameters": parameters}))
    return folder


def wait(met: Callable[[], bool]) -> None:
    """Until a server has seen what its client did."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.01)
