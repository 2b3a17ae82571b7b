"""A real Envoy of a test, and in the place of model servers listeners of the same Envoy.

Each answers with the name of its variant and with what the request was told.
"""

import http.client
import re
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from api_server import DEADLINE_SECONDS, HOST, wait_for

from abctl.local.envoy import command

CONNECTIONS, PIPELINED = 4, 100
Headers = Mapping[str, str]


class Answer(NamedTuple):
    """Who answered, who Envoy says has answered, and what the model server was told.

    Where Envoy itself refused, its status code.
    """

    variant: str
    stamped: str = ""
    randomized: str = ""


class AnsweringEnvoy:
    """A running Envoy, which takes requests at `port`.

    Args:
        folder: of its own.
        bootstrap: with `listeners`.
        port: of the entrance.
        admin: port of its admin pages.
    """

    def __init__(self, folder: Path, bootstrap: Mapping[str, Any], port: int, admin: int) -> None:
        self.port, self.admin, self._log = port, admin, folder / "envoy.log"
        argv = command(bootstrap, admin, folder).argv
        with self._log.open("wb") as log:
            # A controller has it log every request to its standard output.
            self._process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=log)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(DEADLINE_SECONDS)

    def until(self, reached: Callable[[], bool], what: str) -> None:
        """Waits until something holds, as long as Envoy is there."""

        def asked() -> bool:
            assert self._process.poll() is None, f"Envoy has ended: {self.why()}"
            try:
                return reached()
            except OSError:
                return False  # it does not listen yet

        wait_for(asked, what, self.why)

    def why(self) -> str:
        return self._log.read_text()[-3000:]

    def ask(
        self, requests: Sequence[Headers], host: str = "iris", path: str = "/v2/models/iris/infer"
    ) -> list[Answer]:
        """The answer to each request, by its headers, over a few connections."""
        parts = [requests[i::CONNECTIONS] for i in range(CONNECTIONS)]
        answers = [Answer("")] * len(requests)
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            for i, part in enumerate(pool.map(lambda p: self._ask(p, host, path), parts)):
                answers[i::CONNECTIONS] = part
        return answers

    def answered(self, name: str) -> int:
        """How many requests what is behind a variant, or behind the shadow, has answered."""
        return self.count(f"^http.behind_{name}.downstream_rq_completed$")

    def count(self, pattern: str) -> int:
        """The counter of Envoy's whose name matches; 0 before it is born."""
        return int(self.get(f"/stats?filter={pattern}").partition(b":")[2] or 0)

    def get(self, path: str) -> bytes:
        """One of its admin pages."""
        connection = http.client.HTTPConnection(HOST, self.admin, timeout=DEADLINE_SECONDS)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()

    def _ask(self, requests: Sequence[Headers], host: str, path: str) -> list[Answer]:
        found: list[Answer] = []
        while len(found) < len(requests):
            before = len(found)
            found += self._over_one_connection(requests[before:], host, path)
            assert len(found) > before, f"Envoy does not answer: {self.why()}"
        return found

    def _over_one_connection(
        self, requests: Sequence[Headers], host: str, path: str
    ) -> list[Answer]:
        """The answers until Envoy closes it, as it may once it has refused what it was asked."""
        found: list[Answer] = []
        with socket.create_connection((HOST, self.port), DEADLINE_SECONDS) as connection:
            for i in range(0, len(requests), PIPELINED):
                batch = requests[i : i + PIPELINED]
                connection.sendall(b"".join(_written(headers, host, path) for headers in batch))
                received = more = b" "
                while received.count(b"\r\n\r\n") < len(batch) and more:
                    received += (more := connection.recv(1 << 16))
                found += map(_read, received.strip(b" ").split(b"\r\n\r\n")[:-1])
                if not more:
                    break
        return found


def listeners(ports: Mapping[str, int], address: str = HOST) -> list[dict[str, Any]]:
    """What stands for the model servers, by the port of each variant; answers have no body."""
    return [_listener(name, address, port) for name, port in ports.items()]


def _listener(name: str, address: str, port: int) -> dict[str, Any]:
    types = "type.googleapis.com/envoy.extensions.filters"
    told = {"x-answered-by": name, "x-told": "%REQ(x-ab-randomized)%"}
    answer = {
        "match": {"prefix": "/"},
        "direct_response": {"status": 200},
        "response_headers_to_add": [{"header": {"key": k, "value": v}} for k, v in told.items()],
    }
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{types}.http.router.v3.Router"},
    }
    connections = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": f"behind_{name}",
        "http_filters": [router],
        "route_config": {"virtual_hosts": [{"name": name, "domains": ["*"], "routes": [answer]}]},
    }
    network = {"name": "envoy.filters.network.http_connection_manager", "typed_config": connections}
    return {
        "name": f"behind_{name}",
        "address": {"socket_address": {"address": address, "port_value": port}},
        "filter_chains": [{"filters": [network]}],
    }


def _written(headers: Headers, host: str, path: str) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET {path} HTTP/1.1\r\nhost: {host}\r\n{lines}\r\n".encode()


def _read(answer: bytes) -> Answer:
    headers = dict(re.findall(r"^([a-z-]+): (.*?)\r?$", answer.decode(), re.MULTILINE))
    if "x-answered-by" not in headers:
        return Answer(answer.split()[1].decode())
    return Answer(*(headers.get(n, "") for n in ("x-answered-by", "x-ab-variant", "x-told")))
