"""A real nginx with the configuration that abctl ships.

Behind each variant's upstream is a second server of the same nginx that answers with the variant's
name and with what the request was told.
"""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

from api_server import DEADLINE_SECONDS
from own_ports import free_ports

from abctl.core.change import Object
from abctl.core.experiment import Experiment
from abctl.core.split import Split
from abctl.platforms import _nginx_log, nginx
from abctl.platforms._nginx_config import configuration

HOST = "127.0.0.1"
PIPELINED = 200
# Else its workers are nobody's, who cannot write into a test's folder.
_USER = "user root;" if os.geteuid() == 0 else ""
Headers = Mapping[str, str]


class Answer(NamedTuple):
    """Who answered, who nginx says has answered, and what the model server was told."""

    variant: str
    stamped: str
    randomized: str


class RealNginx:
    """A running nginx with the configuration of an experiment."""

    def __init__(
        self,
        program: str,
        experiment: Experiment,
        folder: Path,
        *,
        in_pod: bool = False,
        address: str = HOST,
        **others: Any,
    ) -> None:
        """`others` are what the configuration is told besides."""
        self.experiment, self._address = experiment, address
        self._file = folder / nginx._FILE
        self.port, self.http2, self.admin, *behind = free_ports(3 + len(experiment.variants))
        self._servers = dict(zip(experiment.split.names, behind, strict=True))
        upstreams = {name: (HOST, port) for name, port in self._servers.items()}
        text = configuration(
            experiment,
            upstreams,
            listen=f"{HOST}:{self.port}",
            admin=f"{address}:{self.admin}",
            **others,
        )
        text = text.replace("/tmp/", f"{folder}/").replace(
            "error_log stderr", f"error_log {folder}/log"
        )
        text = text.replace(_nginx_log.FOLDER, str(folder))
        text = text.replace("worker_processes auto", "worker_processes 1")
        # Its log says which upstream a request went to, by REST.
        self.asked = folder / "asked"
        text = text.replace(
            "access_log off;", f"log_format up '$proxy_host';\n  access_log {self.asked} up;"
        )
        # Debian's nginx is older than 1.25, where one port takes HTTP/1.1 and HTTP/2.
        both = f"listen {HOST}:{self.port};\n    listen {HOST}:{self.http2} http2;"
        text = text.replace(f"listen {HOST}:{self.port};\n    http2 on;", both)
        self.object = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": "iris-nginx",
                "namespace": experiment.namespace,
                "labels": {"abctl.dev/experiment": "iris"},
            },
            "data": {nginx._FILE: text},
        }
        self._write()
        command = [program, "-p", str(folder), "-c", str(self._file), "-g", f"daemon off; {_USER}"]
        path = os.environ["PATH"]
        if in_pod:
            command = ["/bin/sh", "-c", nginx._RUN.replace(nginx._MOUNT, str(folder))]
            path = f"{Path(program).parent}:{path}"
        with (folder / "said").open("wb") as said:
            self._process = subprocess.Popen(command, stderr=said, env={"PATH": path})

    def wait(self) -> None:
        until(lambda: self.ask([{"x-user-id": "a"}]) != [], self._process)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(DEADLINE_SECONDS)

    def shift(self, split: Split) -> None:
        """Change the split as abctl does, have it loaded, and wait until it is."""
        self.load(nginx.with_split(self.object, split))
        assert nginx.split_of(self.object) == split

    def load(self, obj: Object) -> None:
        self.object = obj
        before = self._workers()
        self._write()
        self._process.send_signal(signal.SIGHUP)
        # The old worker may take connections as long as it lives.
        until(lambda: bool(self._workers()) and not before & self._workers(), self._process)

    def _workers(self) -> set[str]:
        pid = self._process.pid
        return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())

    def _write(self) -> None:
        """Write the configuration, and the servers behind it."""
        told = '"$http_x_ab_randomized"'
        behind = "".join(
            f"server {{ listen {HOST}:{port}; location / {{ default_type text/plain; "
            f"add_header x-told {told}; return 200 {name}; }} }}\n"
            for name, port in self._servers.items()
        )
        text = self.object["data"][nginx._FILE].rstrip().removesuffix("}")
        self._file.write_text(f"{text}{behind}}}\n")

    def ask(self, requests: Sequence[Headers], path: str = "/v2") -> list[Answer]:
        """The answer to each request, over one connection at a time."""
        found: list[Answer] = []
        for i in range(0, len(requests), PIPELINED):
            batch = requests[i : i + PIPELINED]
            with socket.create_connection((HOST, self.port), DEADLINE_SECONDS) as connection:
                connection.sendall(b"".join(_written(each, path) for each in batch))
                received = b""
                while len(answers := _read(received)) < len(batch):
                    more = connection.recv(1 << 16)
                    if not more:  # as when it is loaded anew just then
                        raise ConnectionResetError(received.decode())
                    received += more
            found += answers
        return found

    def loaded(self) -> Split:
        """The split that nginx says it has loaded."""
        inquiry = nginx.CAPABILITIES.inquiry
        with urlopen(f"http://{self._address}:{self.admin}/{inquiry.path}") as answer:
            status = inquiry.status(self.object, json.load(answer))
        return nginx.programmed({**self.object, "status": status})

    def variants(self, users: Sequence[str]) -> list[str]:
        answers = self.ask([{"x-user-id": user} for user in users])
        assert all(answer.variant == answer.stamped for answer in answers)
        return [answer.variant for answer in answers]


def _written(headers: Headers, path: str) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET {path} HTTP/1.1\r\nhost: h\r\n{lines}\r\n".encode()


def _read(received: bytes) -> list[Answer]:
    """The answers that are complete."""
    found = []
    while b"\r\n\r\n" in received:
        head, _, rest = received.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        length = int(headers["content-length"])
        if len(rest) < length:
            break
        told = headers.get("x-told", "not told" if " 200" in status else status.split()[1])
        found.append(Answer(rest[:length].decode(), headers.get("x-ab-variant", ""), told))
        received = rest[length:]
    return found


def until(test: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, "nginx has ended"
        try:
            if test():
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise AssertionError("not in time")
