"""A real proxy with its access log, the process that counts it, and servers that do as told."""

import os
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import requests
from answering_envoy import AnsweringEnvoy
from api_server import DEADLINE_SECONDS, HOST, path_from, wait_for
from own_ports import free_ports
from prometheus_client.parser import text_string_to_metric_families
from real_nginx import RealNginx, until
from told_servers import ToldServer

from abctl.core.experiment import Experiment
from abctl.core.server import clients_environment
from abctl.local import access_log
from abctl.local.plan import Command
from abctl.platforms import _nginx_log, envoy, nginx

Counts = Counter[tuple[str, str, str]]
"""Answers by variant, bucket and class."""


class Reader:
    """The process that counts the log of a proxy; `page` has its counters."""

    def __init__(self, command: Command, page: str, folder: Path) -> None:
        self._command, self.page, self._log = command, page, folder / "reader.log"
        self.start()

    def start(self) -> None:
        """Start to count, from zero."""
        with self._log.open("ab") as log:
            own = os.environ | self._command.environment
            self.process = subprocess.Popen(self._command.argv, env=own, stdout=log, stderr=log)
        wait_for(self._reads, "the reader", self._log.read_text)

    def _reads(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()
        try:
            return requests.get(self.page, timeout=DEADLINE_SECONDS).ok
        except requests.ConnectionError:
            return False

    def kill(self) -> None:
        """It ends at once."""
        self.process.kill()
        self.process.wait(DEADLINE_SECONDS)

    def counts(self) -> Counts:
        """What was counted so far."""
        found = Counts()
        for labels, value in self.values("ab_client_requests_total"):
            if value:
                found[labels["variant"], labels["bucket"], labels["code"]] = int(value)
        return found

    def timed(self) -> Counts:
        """How many latencies were counted, without class."""
        found = self.values("ab_client_bucket_request_duration_seconds_count_total")
        return Counts({(of["variant"], of["bucket"], ""): int(n) for of, n in found if n})

    def values(self, name: str) -> list[tuple[dict[str, str], float]]:
        """The series of a name on the page."""
        page = requests.get(self.page, timeout=DEADLINE_SECONDS).text
        return [
            (sample.labels, sample.value)
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name == name
        ]


class LoggedEnvoy(AnsweringEnvoy):
    """It answers at `port`, and at `calls_port` by gRPC."""

    draw = staticmethod(envoy.CAPABILITIES.draw)

    def __init__(self, experiment: Experiment, folder: Path) -> None:
        names = experiment.split.names
        port, admin, page, *behind = free_ports(3 + 2 * len(names))
        places = {name: behind[2 * i : 2 * i + 2] for i, name in enumerate(names)}
        self.servers = {name: ToldServer(*ports) for name, ports in places.items()}
        self.url, self.calls_port = f"http://{HOST}:{port}", port
        command = access_log.command(experiment, f"log-{admin}", page, folder)
        bootstrap = envoy.bootstrap(
            experiment,
            listen=port,
            admin=admin,
            upstreams={name: (HOST, ports[0]) for name, ports in places.items()},
            grpc={name: (HOST, ports[1]) for name, ports in places.items()},
            routes_dir=str(folder),
            others=envoy.Others(log=f"log-{admin}"),
        )
        config = next(o for o in envoy.objects(experiment) if o["kind"] == "ConfigMap")
        (folder / envoy.ROUTES_FILE).write_text(config["data"][envoy.ROUTES_FILE])
        self.reader = Reader(command, f"http://{HOST}:{page}/metrics", folder)
        super().__init__(folder, bootstrap, port, admin)
        self.until(lambda: self.get("/ready") == b"LIVE\n", "Envoy")

    def stop(self) -> None:
        super().stop()
        self.reader.kill()
        for server in self.servers.values():
            server.kill()


class LoggedNginx(RealNginx):
    """The same, whose log is a file in its folder."""

    draw = staticmethod(nginx.CAPABILITIES.draw)

    def __init__(self, experiment: Experiment, folder: Path) -> None:
        page, *calls = free_ports(1 + len(experiment.split.names))
        grpc = {n: (HOST, port) for n, port in zip(experiment.split.names, calls, strict=True)}
        self.log = folder / _nginx_log.FILE
        log = f"{_nginx_log.FOLDER}/{_nginx_log.FILE}"
        program = path_from("debian", "nginx")
        super().__init__(program, experiment, folder, grpc=grpc, log=log)
        self.url, self.calls_port = f"http://{HOST}:{self.port}", self.http2
        self.servers = {n: ToldServer(port, grpc[n][1]) for n, port in self._servers.items()}
        told = clients_environment(experiment, f"file:{self.log}", f"{HOST}:{page}")
        # A command of the local stack, but for what it is told.
        command = access_log.command(experiment, "", page, folder)
        command = replace(command, environment=told)
        self.reader = Reader(command, f"http://{HOST}:{page}/metrics", folder)
        ready = f"{self.url}/nginx-ready"
        until(lambda: requests.get(ready, timeout=DEADLINE_SECONDS).ok, self._process)

    def _write(self) -> None:
        self._file.write_text(self.object["data"][nginx._FILE])

    def until(self, reached: Callable[[], bool], what: str) -> None:
        wait_for(reached, what)

    def stop(self) -> None:
        super().stop()
        self.reader.kill()
        for server in self.servers.values():
            server.kill()
