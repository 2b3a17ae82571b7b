"""Servers with the API of Prometheus that CI does not build: `make servers-all` builds them."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from api_server import path_from
from compatible import Serving, prometheus, running, until
from own_ports import free_ports

HOST = "127.0.0.1"


@contextmanager
def sidecar(folder: Path, prometheus_url: str) -> Iterator[str]:
    """What Thanos puts beside a Prometheus; gives where it can be asked."""
    grpc, http = free_ports(2)
    command = [path_from("go-program", "--cached", "thanos"), "sidecar"]
    command += [f"--prometheus.url={prometheus_url}"]
    command += [f"--grpc-address={HOST}:{grpc}", f"--http-address={HOST}:{http}"]
    with running(folder, http, "/-/ready", command):
        # It says that it is ready before it is.
        until(lambda: _listens(grpc), lambda: True, folder / "log")
        yield f"{HOST}:{grpc}"


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


@contextmanager
def querier(folder: Path, *more: str) -> Iterator[str]:
    """What Thanos answers with; gives its address."""
    grpc, http = free_ports(2)
    command = [path_from("go-program", "--cached", "thanos"), "query"]
    command += ["--query.replica-label=replica", *more]
    command += [f"--grpc-address={HOST}:{grpc}", f"--http-address={HOST}:{http}"]
    with running(folder, http, "/-/ready", command) as url:
        yield url


@contextmanager
def thanos(folder: Path) -> Iterator[Serving]:
    """A querier that merges two Prometheus, each with its sidecar; both are to be written to."""
    with ExitStack() as stack:
        writes, stores = [], []
        for replica in ("one", "two"):
            place = folder / replica
            url, write = stack.enter_context(prometheus(place, replica=replica))
            writes.append(write)
            stores.append(stack.enter_context(sidecar(place / "sidecar", url)))
        strict = [f"--endpoint-strict={store}" for store in stores]
        yield stack.enter_context(querier(folder / "query", *strict)), *writes


@contextmanager
def mimir(folder: Path, *more: str) -> Iterator[Serving]:
    """All of Mimir that takes and answers, in one process; it tells nobody of it."""
    http, grpc = free_ports(2)
    rings = ("ingester.ring", "distributor.ring", "compactor.ring", "store-gateway.sharding-ring")
    rings += ("querier.ring", "query-scheduler.ring", "ruler.ring", "overrides-exporter.ring")
    flags = {
        "target": "distributor,ingester,querier,query-frontend,query-scheduler,store-gateway",
        "auth.multitenancy-enabled": "false",
        "usage-stats.enabled": "false",
        "server.http-listen-address": HOST,
        "server.http-listen-port": http,
        "server.grpc-listen-address": HOST,
        "server.grpc-listen-port": grpc,
        "memberlist.bind-addr": HOST,
        "memberlist.bind-port": 0,
        "query-frontend.instance-addr": HOST,
        "ingester.ring.replication-factor": 1,
        "store-gateway.sharding-ring.replication-factor": 1,
        "activity-tracker.filepath": "activity",
        "common.storage.backend": "filesystem",
        "common.storage.filesystem.dir": "storage",
        "blocks-storage.storage-prefix": "blocks",
        "blocks-storage.tsdb.dir": "tsdb",
        "blocks-storage.bucket-store.sync-dir": "sync",
        "compactor.data-dir": "compactor",
    }
    flags |= {f"{ring}.store": "inmemory" for ring in rings}
    flags |= {f"{ring}.instance-addr": HOST for ring in rings}
    command = [path_from("go-program", "--cached", "mimir")]
    command += [f"-{name}={value}" for name, value in flags.items()] + list(more)
    with running(folder, http, "/ready", command) as url:
        yield f"{url}/prometheus", f"{url}/api/v1/push"


APART = {"thanos": thanos, "mimir": mimir}
