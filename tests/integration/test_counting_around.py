"""Counting stands around any runtime: with workers, batches, streams, gRPC and large tensors."""

import json
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub
from model_server import IDENTITY, Server, of, wait
from own_folder import MiB, asked, channel, counted_as, folder_of, latencies, message, stream

STOPPED_SECONDS = 1
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "no worker": ({"parallel_workers": 0}, {}),
    "one worker": ({"parallel_workers": 1}, {}),
    "two workers": ({"parallel_workers": 2}, {}),
    "batches": ({"parallel_workers": 0}, {"max_batch_size": 8, "max_batch_time": 0.05}),
}


@pytest.fixture(scope="module", params=list(WAYS))
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folder = folder_of(tmp_path_factory.mktemp("own") / "iris", *WAYS[request.param])
    with Server(folder).running() as running:
        yield running


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One without workers."""
    folder = folder_of(tmp_path_factory.mktemp("alone") / "iris", *WAYS["no worker"])
    with Server(folder).running() as running:
        yield running


def test_a_runtime_of_ones_own_is_counted_with_its_variant(server: Server) -> None:
    with server.counting() as counted:
        response = server.infer(asked(id="r1"), x_user_id="u1")
    assert response.json()["outputs"][0]["data"] == [10]
    assert response.headers["x-ab-variant"] == "control"
    assert response.headers["x-ab-bucket"] == of("u1")
    key = "ab_predictions_total,class=10"
    # A class that nobody announced is counted from its first time on.
    assert counted.pop(key, 1) == 1
    assert counted == latencies() | counted_as("2xx", of("u1"))


def test_at_once_each_request_counts_in_its_own_bucket(server: Server) -> None:
    users = [f"u{i}" for i in range(40)]
    with server.counting() as counted, ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda user: server.infer(asked(), x_user_id=user), users))
    assert [each.headers["x-ab-bucket"] for each in answers] == [of(user) for user in users]
    for bucket in set(map(of, users)):
        key = f"ab_requests_total,bucket={bucket},code=2xx"
        assert counted[key] == [of(user) for user in users].count(bucket)
    assert counted["ab_request_duration_seconds_count"] == len(users)
    assert counted["ab_predictions_total,class=10"] == len(users)


def test_the_latency_is_that_of_the_whole_answer(server: Server) -> None:
    def total() -> float:
        return server.count("ab_request_duration_seconds_sum")

    before, start = total(), time.perf_counter()
    assert server.infer(asked("slow")).ok
    seen = time.perf_counter() - start
    assert 0.3 <= total() - before <= seen


def test_a_fault_of_the_model_is_a_5xx(server: Server) -> None:
    with server.counting() as counted:
        response = server.infer(asked("broken"), x_user_id="u1")
    assert response.status_code == 500
    assert response.headers["x-ab-variant"] == "control"
    assert counted == latencies() | counted_as("5xx", of("u1"))


def test_grpc_is_counted_by_its_status(server: Server) -> None:
    metadata = (("x-user-id", "u2"),)
    with server.counting(3) as counted, channel(server) as to:
        stub = GRPCInferenceServiceStub(to)
        response, call = stub.ModelInfer.with_call(message(), metadata=metadata)
        assert dict(call.trailing_metadata())["x-ab-bucket"] == of("u2")
        assert response.parameters["variant"].string_param == "control"
        with pytest.raises(grpc.RpcError) as raised:
            stub.ModelInfer(message("broken"), metadata=metadata)
        assert raised.value.code() == grpc.StatusCode.INTERNAL
        with pytest.raises(grpc.RpcError) as raised:
            stub.ModelInfer(message(model="no-such"), metadata=metadata)
        assert raised.value.code() == grpc.StatusCode.NOT_FOUND
    counted.pop("ab_predictions_total,class=10")
    assert counted == latencies(2) | {
        f"ab_requests_total,bucket={of('u2')},code={code}": 1 for code in ("2xx", "4xx", "5xx")
    }


@pytest.mark.parametrize("server", ["no worker", "one worker", "two workers"], indirect=True)
def test_eight_megabytes_pass_both_ways(server: Server) -> None:
    rows, many = 8 * MiB // 16, 720_000  # of 16 bytes in tensors, of 12 in JSON
    with server.counting() as counted, channel(server) as to:
        response = GRPCInferenceServiceStub(to).ModelInfer(
            message(rows=rows), metadata=(("x-user-id", "u1"),)
        )
        assert response.outputs[0].shape[0] == rows
        sent = json.dumps(asked(rows=many))
        assert len(sent) > 8 * MiB
        url, headers = server.url("/v2/models/iris/infer"), {"x-user-id": "u1"}
        headers["content-type"] = "application/json"
        assert requests.post(url, data=sent, headers=headers).ok
    assert counted == latencies(2) | counted_as("2xx", of("u1"), 2) | {
        "ab_predictions_total,class=10": rows + many
    }


def test_an_answer_has_no_limit_that_only_one_way_has(alone: Server) -> None:
    rows = 18 * MiB // 8
    sent = {"content-type": "application/json", "x-user-id": "u1"}
    with alone.counting(2) as counted, channel(alone) as to:
        stub = GRPCInferenceServiceStub(to)
        response = stub.ModelInfer(message("large"), metadata=(("x-user-id", "u1"),))
        assert response.outputs[0].shape[0] == rows
        url = alone.url("/v2/models/iris/infer")
        assert len(requests.post(url, json=asked("large"), headers=sent).content) > 16 * MiB
    assert counted[f"ab_requests_total,bucket={of('u1')},code=2xx"] == 2


def test_a_dead_worker_takes_no_count_along(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "iris", *WAYS["one worker"])
    with Server(folder).running() as server:
        assert server.infer(asked(), x_user_id="u1").ok
        assert server.infer(asked("dies"), x_user_id="u1").status_code == 500
        wait(lambda: server.infer(asked(), x_user_id="u2").ok)
        page = server.page()
    labels = {("variant", "control"), ("bucket", of("u1"))}
    for code in ("2xx", "5xx"):
        assert page["ab_requests_total", frozenset({*labels, ("code", code)})] == 1
    assert page["process_start_time_seconds", frozenset()] < time.time()
    started = page["ab_start_time_seconds", frozenset({("variant", "control")})]
    assert page["process_start_time_seconds", frozenset()] <= started


def test_a_stream_is_counted_once_when_it_ends(alone: Server) -> None:
    with alone.counting() as counted:
        response = stream(alone, "rows", x_user_id="u1")
        assert response.headers["x-ab-bucket"] == of("u1")
        events = [line for line in response.iter_lines() if line]
    assert len(events) == 3
    assert counted == latencies() | counted_as("2xx", of("u1"))


def test_a_stream_that_breaks_is_a_5xx_though_it_began_as_200(alone: Server) -> None:
    with alone.counting() as counted:
        response = stream(alone, "breaks", x_user_id="u1")
        assert response.status_code == 200
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            list(response.iter_content())
    assert counted == latencies() | counted_as("5xx", of("u1"))


@pytest.mark.parametrize(("name", "status"), [("busy", 503), ("broken", 500)])
def test_a_stream_that_never_began_says_so(alone: Server, name: str, status: int) -> None:
    with alone.counting() as counted:
        response = stream(alone, name, x_user_id="u1")
        assert response.status_code == status
    assert counted == latencies() | counted_as("5xx", of("u1"))


def test_a_stream_of_an_unknown_model_is_a_404(alone: Server) -> None:
    with alone.counting() as counted:
        url = alone.url("/v2/models/no-such/infer_stream")
        response = requests.post(url, json=asked(), headers={"x-user-id": "u1"})
    assert response.status_code == 404
    assert counted == counted_as("4xx", of("u1"))


def test_streams_of_grpc_are_counted_by_their_status(alone: Server) -> None:
    metadata = (("x-user-id", "u3"),)
    leave = ["endless", "flood"] * 10  # between two messages, and while one is written
    with alone.counting(2 + len(leave)) as counted, channel(alone) as to:
        stub = GRPCInferenceServiceStub(to)
        call = stub.ModelStreamInfer(iter([message(), message()]), metadata=metadata)
        assert len(list(call)) == 6
        assert dict(call.trailing_metadata())["x-ab-bucket"] == of("u3")
        with pytest.raises(grpc.RpcError):
            list(stub.ModelStreamInfer(iter([message("breaks")]), metadata=metadata))
        for name in leave:
            left = stub.ModelStreamInfer(iter([message(name)]), metadata=metadata)
            next(left)
            left.cancel()
    codes = {"2xx": 1, "5xx": 1, "none": len(leave)}
    assert counted == latencies(2 + len(leave)) | {
        f"ab_requests_total,bucket={of('u3')},code={code}": n for code, n in codes.items()
    }


def test_a_stopped_server_does_not_look_quick(alone: Server) -> None:
    def ask() -> float:
        start = time.perf_counter()
        assert alone.infer(asked(), x_user_id="u1").ok
        return time.perf_counter() - start

    ask()
    before = alone.count("ab_request_duration_seconds_sum")
    assert alone.process is not None
    with ThreadPoolExecutor(6) as pool:
        alone.process.send_signal(signal.SIGSTOP)
        try:
            waiting = [pool.submit(ask) for _ in range(6)]
            time.sleep(STOPPED_SECONDS)
        finally:
            alone.process.send_signal(signal.SIGCONT)
        seen = sum(each.result() for each in waiting)
    counted = alone.count("ab_request_duration_seconds_sum") - before
    assert 0.8 * seen < counted < seen + 6 * 0.004  # the kernel's clock ticks every few ms


def test_several_models_of_a_server_and_those_of_the_variant_count(tmp_path: Path) -> None:
    for name in ("iris", "wine"):
        folder_of(tmp_path / name, {}, {"name": name})
        (tmp_path / name / "settings.json").unlink()
    (tmp_path / "settings.json").write_text('{"parallel_workers": 0, "debug": false}')
    shutil.copy(tmp_path / "iris" / "own_model.py", tmp_path)
    with Server(tmp_path, environment=IDENTITY | {"AB_MODELS": "iris"}).running() as server:
        with server.counting() as counted, channel(server) as to:
            stub = GRPCInferenceServiceStub(to)
            for model in ("iris", "wine"):
                url = server.url(f"/v2/models/{model}/infer")
                assert requests.post(url, json=asked(), headers={"x-user-id": "u1"}).ok
                stub.ModelInfer(message(model=model), metadata=(("x-user-id", "u1"),))
        assert counted == latencies(2) | counted_as("2xx", of("u1"), 2) | {
            "ab_predictions_total,class=10": 2
        }
        told = [line for line in server.log().splitlines() if "not counted: " in line]
    assert any("model wine" in line for line in told)
    assert any("POST /explain" in line for line in told)
