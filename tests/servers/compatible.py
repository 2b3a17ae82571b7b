"""Servers with the API of Prometheus, as processes of a test; `.ci/compatible` finds them."""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest

FIND = Path(__file__).parents[2] / ".ci/compatible"
PATIENCE_SECONDS = 90.0
# It takes ten minutes of a processor to build: `.ci/compatible thanos`.
NOT_IN_CI = ("thanos",)


def program(name: str) -> str:
    found = subprocess.run([FIND, "--cached", name], check=False, capture_output=True, text=True)
    if found.returncode:
        if os.environ.get("CI") == "true" and name not in NOT_IN_CI:
            pytest.fail(found.stderr)
        pytest.skip(found.stderr.strip())
    return found.stdout.strip()


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@contextmanager
def running(folder: Path, port: int, ready: str, command: Sequence[object]) -> Iterator[str]:
    """A process, from when it says at `ready` that it is, until the end; gives its address."""
    url, log = f"http://127.0.0.1:{port}", folder / "log"
    folder.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        words = list(map(str, command))
        process = subprocess.Popen(words, cwd=folder, stdout=file, stderr=subprocess.STDOUT)
        try:
            until(lambda: answers(url + ready), lambda: process.poll() is None, log)
            yield url
        finally:
            process.terminate()
            process.wait(60)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def until(done: Callable[[], bool], alive: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        assert alive(), log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


@contextmanager
def prometheus(folder: Path, *more: str, name: str = "prometheus") -> Iterator[tuple[str, str]]:
    """Gives the address, and the one to write to."""
    (port,) = free_ports(1)
    folder.mkdir()
    (folder / "config.yaml").write_text("global: {external_labels: {replica: one}}\n")
    command = [
        program(name),
        "--config.file=config.yaml",
        "--storage.tsdb.path=data",
        "--web.enable-remote-write-receiver",
        f"--web.listen-address=127.0.0.1:{port}",
        *more,
    ]
    with running(folder, port, "/-/ready", command) as url:
        yield url, f"{url}/api/v1/write"


@contextmanager
def victoria(folder: Path, *more: str) -> Iterator[tuple[str, str]]:
    (port,) = free_ports(1)
    address = f"-httpListenAddr=127.0.0.1:{port}"
    command = [program("victoria-metrics"), address, "-storageDataPath=data", *more]
    with running(folder, port, "/health", command) as url:
        yield url, f"{url}/api/v1/write"


@contextmanager
def sidecar(folder: Path, prometheus_url: str) -> Iterator[str]:
    """What Thanos puts beside a Prometheus; gives where it can be asked."""
    grpc, http = free_ports(2)
    command = [program("thanos"), "sidecar", f"--prometheus.url={prometheus_url}"]
    command += [f"--grpc-address=127.0.0.1:{grpc}", f"--http-address=127.0.0.1:{http}"]
    with running(folder, http, "/-/ready", command):
        yield f"127.0.0.1:{grpc}"


@contextmanager
def querier(folder: Path, *more: str) -> Iterator[str]:
    """What Thanos answers with; gives its address."""
    grpc, http = free_ports(2)
    command = [program("thanos"), "query", "--query.replica-label=replica", *more]
    command += [f"--grpc-address=127.0.0.1:{grpc}", f"--http-address=127.0.0.1:{http}"]
    with running(folder, http, "/-/ready", command) as url:
        yield url


@contextmanager
def thanos(folder: Path) -> Iterator[tuple[str, str]]:
    """A querier, a sidecar, and the Prometheus that it sits beside."""
    with (
        prometheus(folder, name="prometheus-3") as (behind, write),
        sidecar(folder / "sidecar", behind) as store,
        querier(folder / "query", f"--endpoint={store}") as url,
    ):
        yield url, write


Started = AbstractContextManager[tuple[str, str]]
SERVERS: Mapping[str, Callable[..., Started]] = {
    "prometheus": prometheus,
    "prometheus-3": partial(prometheus, name="prometheus-3"),
    "victoria-metrics": victoria,
    "thanos": thanos,
}
