"""What counting costs: the same folder by `mlserver start` and by `ab-runtime`, in turns.

A folder as it is written for stock MLServer, one connection, and requests that alternate between
both servers, so that whatever else the machine does strikes both alike. Scrapes of the page run
beside a part of them.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
from _table import machine, markdown, target
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub

from abctl.local import examples
from abctl.local.ports import kept

BARE = (str(Path(sys.executable).with_name("mlserver")), "start")
OURS = (sys.executable, "-m", "ab_runtime")
IDENTITY = {"AB_VARIANT": "control", "AB_SALT": "bench-1", "AB_OUTCOMES": "accuracy,revenue"}
FLOWER = [5.1, 3.5, 1.4, 0.2]
SCRAPE_SECONDS = 0.25
Ask = Callable[[], None]


@contextmanager
def server(program: tuple[str, ...], folder: Path) -> Iterator[tuple[int, int, int]]:
    """A server of a folder; gives its ports for HTTP, gRPC and metrics."""
    with kept(3) as ports:
        names = [f"MLSERVER_{each}_PORT" for each in ("HTTP", "GRPC", "METRICS")]
        environment = dict(zip(names, map(str, ports), strict=True))
        process = subprocess.Popen(
            [*program, str(folder)],
            env={**os.environ, "OMP_NUM_THREADS": "1", **IDENTITY, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while not _ready(ports[0]):
                if process.poll() is not None:
                    sys.exit(f"error: {program} did not start")
                time.sleep(0.1)
            yield ports[0], ports[1], ports[2]
        finally:
            process.terminate()
            process.wait()


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/models/iris/ready", timeout=1):
            return True
    except OSError:
        return False


def rest(port: int, rows: int) -> Ask:
    """Asks by REST, on one connection."""
    tensor = {"name": "predict", "shape": [rows, 4], "datatype": "FP32", "data": FLOWER * rows}
    body = json.dumps({"inputs": [tensor]}).encode()
    head = (
        "POST /v2/models/iris/infer HTTP/1.1\r\nhost: bench\r\nx-user-id: u1\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    sent = head.encode() + body
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask() -> None:
        connection.sendall(sent)
        found = b""
        while b"\r\n\r\n" not in found:
            part = connection.recv(65536)
            if not part:
                sys.exit("error: the server closed the connection")
            found += part
        head, _, body = found.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            sys.exit(f"error: {head[:200]!r}")
        left = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]) - len(body)
        while left > 0:
            left -= len(connection.recv(65536))

    return ask


def by_grpc(port: int) -> Ask:
    """Asks by gRPC."""
    tensor = pb.ModelInferRequest.InferInputTensor(name="predict", datatype="FP32", shape=[1, 4])
    tensor.contents.fp32_contents.extend(FLOWER)
    request = pb.ModelInferRequest(model_name="iris", inputs=[tensor])
    stub = GRPCInferenceServiceStub(grpc.insecure_channel(f"127.0.0.1:{port}"))
    return lambda: stub.ModelInfer(request, metadata=(("x-user-id", "u1"),))


def seconds(ask: Ask) -> float:
    start = time.perf_counter()
    ask()
    return time.perf_counter() - start


def compare(bare: Ask, ours: Ask, requests: int) -> tuple[list[float], list[float]]:
    """The latencies of both, sorted."""
    found: tuple[list[float], list[float]] = ([], [])
    for i in range(requests + 50):
        if i % 2:  # who comes second finds another's data in the caches
            pair = seconds(bare), seconds(ours)
        else:
            pair = tuple(reversed((seconds(ours), seconds(bare))))
        if i >= 50:
            found[0].append(pair[0])
            found[1].append(pair[1])
    return sorted(found[0]), sorted(found[1])


@contextmanager
def scraping(ports: list[int]) -> Iterator[None]:
    """Reads pages meanwhile, as a Prometheus does."""
    done = threading.Event()

    def read() -> None:
        while not done.wait(SCRAPE_SECONDS):
            for port in ports:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
                    page.read()

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def page_seconds(port: int) -> float:
    """How long a page keeps a server: no request waits longer for it, and that none is quicker."""

    def read() -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
            page.read()

    return min(seconds(read) for _ in range(30))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=3000, help="for each kind and server")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, ExitStack() as running:
        folder = Path(place) / "v1"
        examples.write(Path(place), {"v1"})
        settings = {"name": "iris", "implementation": "mlserver_sklearn.SKLearnModel"}
        settings["parameters"] = {"uri": "./model.joblib", "version": "v1"}
        (folder / "model-settings.json").write_text(json.dumps(settings))
        bare = running.enter_context(server(BARE, folder))
        ours = running.enter_context(server(OURS, folder))
        kinds: dict[str, tuple[Callable[[], tuple[Ask, Ask]], int]] = {
            "REST, one row": (lambda: (rest(bare[0], 1), rest(ours[0], 1)), options.requests),
            "REST, 10,000 rows": (lambda: (rest(bare[0], 10_000), rest(ours[0], 10_000)), 200),
            "REST, 10,000 rows, bare and bare": (
                lambda: (rest(bare[0], 10_000), rest(bare[0], 10_000)),
                200,
            ),
            "gRPC, one row": (lambda: (by_grpc(bare[1]), by_grpc(ours[1])), options.requests),
        }
        rows, wanted = [], []
        for name, (connect, requests) in kinds.items():
            before, after = compare(*connect(), requests)
            rows.append(line(name, before, after))
            if name.endswith("bare"):  # what noise there is
                continue
            added = 1e6 * (statistics.median(after) - statistics.median(before))
            allowed = max(50.0, 0.05e6 * statistics.median(before))
            wanted.append((f"{name}: added at p50", *target(added, allowed, " us", at_least=False)))
        with scraping([bare[2], ours[2]]):
            before, after = compare(rest(bare[0], 1), rest(ours[0], 1), options.requests)
        rows.append(line("REST, one row, with scrapes", before, after))
        page_ms = 1e3 * page_seconds(ours[2])
        wanted.append(("a page", *target(page_ms, 5, " ms", at_least=False)))
    print(f"{options.requests} requests of each kind, in turns; {machine()}\n")
    columns = ("", "bare p50 us", "counted p50 us", "bare p99 us", "counted p99 us", "ratio of p50")
    print(markdown(columns, rows))
    print()
    print(markdown(("", "measured", "wanted", ""), wanted))


def line(name: str, bare: list[float], ours: list[float]) -> tuple[str, ...]:
    def at(found: list[float], share: float) -> float:
        return 1e6 * found[int(share * len(found))]

    p50, p99 = ((at(bare, share), at(ours, share)) for share in (0.5, 0.99))
    return (name, *(f"{each:.0f}" for each in (*p50, *p99)), f"{p50[1] / p50[0]:.3f}")


if __name__ == "__main__":
    main()
