"""Servers with the API of Prometheus, as processes of a test."""

import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from api_server import DEADLINE_SECONDS, path_from
from own_ports import free_ports

from abctl.local.identity import die_with

# The address of a server, and those to write to.
Serving = tuple[str, *tuple[str, ...]]


@contextmanager
def running(folder: Path, port: int, ready: str, command: Sequence[object]) -> Iterator[str]:
    """A process, from when it says at `ready` that it is, until the end; gives its address."""
    url, log = f"http://127.0.0.1:{port}", folder / "log"
    folder.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        words = list(map(str, command))
        process = subprocess.Popen(
            words,
            cwd=folder,
            stdout=file,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with(os.getpid()),  # noqa: PLW1509 - whatever ends the tests ends it
        )
        try:
            until(lambda: answers(url + ready), lambda: process.poll() is None, log)
            yield url
        finally:
            process.terminate()
            process.wait(DEADLINE_SECONDS)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def until(done: Callable[[], bool], alive: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not done():
        assert alive(), log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


@contextmanager
def prometheus(
    folder: Path,
    *more: str,
    found: Sequence[str] = ("debian", "prometheus"),
    replica: str = "one",
) -> Iterator[Serving]:
    (port,) = free_ports(1)
    folder.mkdir(parents=True)
    labels = f"global: {{external_labels: {{replica: {replica}}}}}\n"
    (folder / "config.yaml").write_text(labels)
    command = [
        path_from(*found),
        "--config.file=config.yaml",
        "--storage.tsdb.path=data",
        "--web.enable-remote-write-receiver",
        f"--web.listen-address=127.0.0.1:{port}",
        *more,
    ]
    with running(folder, port, "/-/ready", command) as url:
        yield url, f"{url}/api/v1/write"


@contextmanager
def victoria(folder: Path, *more: str) -> Iterator[Serving]:
    (port,) = free_ports(1)
    address = f"-httpListenAddr=127.0.0.1:{port}"
    command = [path_from("debian", "victoria-metrics"), address, "-storageDataPath=data", *more]
    with running(folder, port, "/health", command) as url:
        yield url, f"{url}/api/v1/write"


SERVERS: dict[str, Callable[..., AbstractContextManager[Serving]]] = {
    "prometheus": prometheus,
    "prometheus-3": partial(prometheus, found=("go-program", "--cached", "prometheus")),
    "victoria-metrics": victoria,
}
