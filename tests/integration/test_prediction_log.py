"""The log of predictions of real servers: one line for each request, however it came and ended."""

import http.client
import json
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import grpc
import pytest
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub
from model_server import IDENTITY, OURS, SERVERS, Server, of, plain, trained, wait

pytestmark = pytest.mark.process
FILE = "predictions.jsonl"
KEYS = {"at", "id", "unit", "bucket", "variant", "model", "version", "latencySeconds", "code"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("models"))


def own(place: Path) -> Path:
    """A model of one's own, which can stream."""
    place.mkdir(parents=True)
    shutil.copy(SERVERS.parent / "tests" / "servers" / "own_model.py", place)
    metrics = {"metrics_dir": str(place / "metrics"), "debug": False, "parallel_workers": 0}
    (place / "settings.json").write_text(json.dumps(metrics))
    settings = {"name": "iris", "implementation": "own_model.Own", "parameters": {"version": "v7"}}
    (place / "model-settings.json").write_text(json.dumps(settings))
    return place


def logging(folder: Path, log: Path, **more: str) -> Server:
    return Server(folder, environment={**IDENTITY, "AB_LOG": str(log), **more})


def lines(log: Path) -> list[dict[str, Any]]:
    file = log / FILE
    return [json.loads(each) for each in file.read_text().splitlines()] if file.exists() else []


def of_id(log: Path, request_id: str) -> dict[str, Any]:
    """The only line of a request, as soon as it is there."""
    wait(lambda: any(each["id"] == request_id for each in lines(log)))
    (found,) = [each for each in lines(log) if each["id"] == request_id]
    return found


@pytest.fixture(scope="module")
def linear(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    log = tmp_path_factory.mktemp("log") / "here"
    with logging(models / "v1", log, AB_LOG_INPUTS="rows").running() as running:
        yield running, log


def test_short_way_long_way_and_grpc_are_alike_in_the_log(linear: tuple[Server, Path]) -> None:
    server, log = linear
    before = time.time()
    short = server.infer({**plain(), "id": "short"}, x_user_id="alice").json()
    # A tensor of rows within rows takes the long way.
    nested = plain([[5.1, 3.5, 1.4, 0.2]], parameters={"content_type": "np"})
    server.infer({**nested, "id": "long"}, x_user_id="alice").raise_for_status()
    tensor = pb.ModelInferRequest.InferInputTensor(name="rows", datatype="FP32", shape=[1, 4])
    tensor.contents.fp32_contents.extend([5.1, 3.5, 1.4, 0.2])
    request = pb.ModelInferRequest(model_name="iris", id="grpc", inputs=[tensor])
    with grpc.insecure_channel(f"127.0.0.1:{server.ports[1]}") as channel:
        GRPCInferenceServiceStub(channel).ModelInfer(request, metadata=(("x-user-id", "alice"),))
    found = [of_id(log, each) for each in ("short", "long", "grpc")]
    for each in found:
        assert set(each) == KEYS | {"prediction", "inputs"}
        assert each["inputs"]["rows"] == pytest.approx([5.1, 3.5, 1.4, 0.2])
        assert each["prediction"] == short["outputs"][0]["data"]
        assert (each["variant"], each["model"], each["version"]) == ("control", "iris", "v1")
        assert (each["code"], each["bucket"]) == ("2xx", of("alice"))
        assert 0 < each["latencySeconds"] < time.time() - before
    assert len({each["unit"] for each in found}) == 1
    assert "alice" not in (log / FILE).read_text()
    wait(lambda: server.count("ab_log_lines_total", what="written") >= 3)
    assert server.count("ab_log_lines_total", what="dropped") == 0


def test_what_is_refused_or_has_no_user_has_a_line_too(linear: tuple[Server, Path]) -> None:
    server, log = linear
    assert server.infer({**plain(shape=(1, 3)), "id": "wrong"}, x_user_id="bob").status_code == 400
    assert server.infer({**plain(), "id": "nobody\x9b\n"}).ok
    assert of_id(log, "wrong")["code"] == "4xx"
    assert of_id(log, "wrong")["prediction"] is None
    assert of_id(log, "nobody\x9b\n")["unit"] is None
    assert (log / FILE).read_text().isascii()


@pytest.fixture(scope="module")
def streaming(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    place = tmp_path_factory.mktemp("own")
    with logging(own(place / "iris"), place / "log", AB_LOG_UNITS="plain").running() as running:
        yield running, place / "log"


def test_a_stream_is_one_line_and_units_are_plain_if_asked(
    streaming: tuple[Server, Path],
) -> None:
    server, log = streaming
    tensor = pb.ModelInferRequest.InferInputTensor(name="rows", datatype="INT32", shape=[1, 4])
    tensor.contents.int_contents.extend([1, 2, 3, 4])
    sent = [
        pb.ModelInferRequest(model_name="iris", id=f"part-{i}", inputs=[tensor]) for i in range(4)
    ]
    with grpc.insecure_channel(f"127.0.0.1:{server.ports[1]}") as channel:
        stub = GRPCInferenceServiceStub(channel)
        metadata = (("x-user-id", "carol"),)
        assert len(list(stub.ModelStreamInfer(iter(sent), metadata=metadata))) == 12
    found = of_id(log, "part-0")
    assert (found["unit"], found["code"], found["version"]) == ("carol", "2xx", "v7")
    assert "inputs" not in found
    broken = {"name": "broken", "shape": [1, 4], "datatype": "INT32", "data": [1, 2, 3, 4]}
    assert server.infer({"inputs": [broken], "id": "broken"}).status_code == 500
    assert of_id(log, "broken")["code"] == "5xx"
    assert not [each for each in lines(log) if each["id"] in ("part-1", "part-2", "part-3")]


def test_a_disk_that_is_full_is_told_once_and_answers_go_on(models: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    server = logging(models / "v2", log)
    server.program = ("prlimit", "--fsize=65536:unlimited", *OURS)
    with server.running() as running:
        while not running.count("ab_log_lines_total", what="dropped"):
            for _ in range(100):
                assert running.infer(plain(), x_user_id="u1").ok
        told = "log of predictions is written again"
        for number in range(100):  # a shorter part may still fit in what is left
            assert running.infer({**plain(), "id": str(number)}).ok
        assert running.log().count("log of predictions is not written") == 1
        assert told not in running.log()
        assert len(lines(log)) > 100  # whole ones
        assert running.process is not None
        unlimited = ["prlimit", "--fsize=unlimited", "--pid", str(running.process.pid)]
        subprocess.run(unlimited, check=True)
        assert running.infer({**plain(), "id": "after"}).ok
        wait(lambda: told in running.log() or not running.infer(plain()).ok)
        assert running.infer({**plain(), "id": "later"}).ok
        of_id(log, "later")


def test_what_waits_is_written_when_the_server_ends(models: Path, tmp_path: Path) -> None:
    with logging(models / "v2", tmp_path / "log").running() as running:
        for i in range(20):
            assert running.infer({**plain(), "id": str(i)}).ok
    assert {each["id"] for each in lines(tmp_path / "log")} >= {str(i) for i in range(20)}


def test_a_folder_that_cannot_be_written_ends_the_start(models: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    server = logging(models / "v1", tmp_path / "file")
    process = server.start()
    assert process.wait(120) == 1
    assert "error: AB_LOG=" in server.log()


class Client:
    """A connection that is kept open."""

    def __init__(self, server: Server) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.ports[0])
        self._body = json.dumps(plain())
        self._headers = {"content-type": "application/json", "x-user-id": "u1"}
        self.seconds: list[float] = []

    def ask(self) -> None:
        began = time.perf_counter()
        self._connection.request("POST", "/v2/models/iris/infer", self._body, self._headers)
        answer = self._connection.getresponse()
        answer.read()
        self.seconds.append(time.perf_counter() - began)
        assert answer.status == 200

    def close(self) -> None:
        self._connection.close()

    def median(self) -> float:
        found, self.seconds = statistics.median(self.seconds), []
        return found


def test_the_log_costs_little_at_the_median(models: Path, tmp_path: Path) -> None:
    """Within 5% or 50 us of a server without it, request by request in one run."""
    without = Server(shutil.copytree(models / "v1", tmp_path / "without"))
    with_log = logging(shutil.copytree(models / "v1", tmp_path / "with"), tmp_path / "log")
    with without.running() as a, with_log.running() as b, ExitStack() as stack:
        clients = [stack.enter_context(closing(Client(each))) for each in (a, b)]
        found = []
        for _ in range(5):
            for i in range(1000):
                for client in clients if i % 2 else clients[::-1]:
                    client.ask()
            off, on = (client.median() for client in clients)
            found.append((off, on))
            if on <= off + max(0.05 * off, 50e-6):
                return
    pytest.fail(f"medians without and with: {found}")
