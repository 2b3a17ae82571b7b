"""What clients get wrong or mean ill: bounded, 4xx with a reason, and counted as they saw it."""

import gzip
import json
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import requests
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.grpc import model_repository_pb2 as repository_pb
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub
from mlserver.grpc.model_repository_pb2_grpc import ModelRepositoryServiceStub
from model_server import IDENTITY, ROW, Server, as_stock, of, plain, trained
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as open_metrics,
)
from prometheus_client.parser import text_string_to_metric_families

MiB = 1024 * 1024
LIMIT = 16 * MiB
JSON = {"content-type": "application/json", "x-user-id": "u1"}
LONGEST = 6000  # bytes of any refusal
KINDS = {"AB_OUTCOMES": "accuracy,revenue,clicks", "AB_KINDS": "accuracy=binary,clicks=amount"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def server(models: Path) -> Iterator[Server]:
    """A linear model in the runtime of our own."""
    with Server(models / "v1", environment=IDENTITY | KINDS).running() as running:
        yield running


@pytest.fixture(scope="module")
def stock(models: Path) -> Iterator[Server]:
    """A forest in the stock runtime."""
    with Server(as_stock(models / "v3"), environment=IDENTITY | KINDS).running() as running:
        yield running


@pytest.fixture(params=["server", "stock"])
def either(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


def counted_as(code: str, bucket: str, times: int = 1) -> dict[str, float]:
    return {f"ab_requests_total,bucket={bucket},code={code}": times}


def frame(*columns: dict[str, Any], **more: Any) -> dict[str, Any]:
    named = [
        {"name": f"c{i}", "shape": [1], "datatype": "FP32", "data": [1.0]} | each
        for i, each in enumerate(columns)
    ]
    return {"inputs": named, "parameters": {"content_type": "pd"}, **more}


def asked_as(kind: str, name: str = "predict") -> dict[str, Any]:
    return plain() | {"outputs": [{"name": name, "parameters": {"content_type": kind}}]}


MISTAKES = {
    "too few columns": plain(ROW[:3], (1, 3)),
    "pd with null": frame({}, {}, {"data": [None]}, {}),
    "pd with strings": frame({}, {}, {"datatype": "BYTES", "data": ["a"]}, {}),
    "pd with uneven columns": frame({}, {}, {"shape": [2], "data": [1.0, 2.0]}, {}),
    "pd with a lie about the shape": frame({}, {}, {"shape": [3], "data": [1.0, 2.0]}, {}),
    "datetime": plain(parameters={"content_type": "datetime"}),
    "datetime of words": plain(
        ["noon"] * 4, datatype="BYTES", parameters={"content_type": "datetime"}
    ),
    "pillow": plain(["x"] * 4, datatype="BYTES", parameters={"content_type": "base64"}),
    "a type that nobody knows": plain(datatype="FP128"),
    "a number that overflows": plain([1e300, 1, 1, 1]),
    "output as str": asked_as("str"),
    "output as datetime": asked_as("datetime"),
    "output that it does not have": plain() | {"outputs": [{"name": "transform"}]},
    "output of another object": plain() | {"outputs": [{"name": "__init__"}]},
    "no inputs": {"inputs": []},
    "nulls": plain([None] * 4),
}
# The forest takes missing values, and pandas repeats a single one.
TAKEN = {
    ("v3", mistake)
    for mistake in (
        "nulls",
        "pd with null",
        "pd with uneven columns",
        "pd with a lie about the shape",
    )
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_of_a_client_is_4xx_with_a_reason(either: Server, mistake: str) -> None:
    with either.counting() as counted:
        response = either.infer(MISTAKES[mistake], x_user_id="u1")
    if response.status_code == 200:
        assert (either.folder.name, mistake) in TAKEN
        assert counted[f"ab_requests_total,bucket={of('u1')},code=2xx"] == 1
        return
    assert response.status_code in (400, 422), (response.status_code, response.text)
    assert 10 < len(response.content) < LONGEST
    assert response.json().keys() & {"error", "detail"}
    assert counted == counted_as("4xx", of("u1"))


BODIES = {
    "not UTF-8, as bytes": (b"\xff\xfe{", "application/octet-stream"),
    "not UTF-8, as JSON": (b'{"id": "\xff"}', "application/json"),
    "binary tensors": (b'{"inputs":[]}' + b"\x00\x80" * 50, "application/octet-stream"),
    "a form": (b"inputs=1", "application/x-www-form-urlencoded"),
    "no type": (b"{}", ""),
    "long nonsense": (json.dumps({"inputs": "x" * 1000}).encode() * 1000, "application/json"),
    "a long word": (json.dumps({"inputs": "x" * MiB}).encode(), "application/json"),
    "long keys": (json.dumps({"inputs": [{"k" * MiB: 1}]}).encode(), "application/json"),
    "many mistakes": (json.dumps({"inputs": [1] * 300_000}).encode(), "application/json"),
    "deep": (b"[" * MiB, "application/json"),
    "blanks": (b" " * (LIMIT - 1), "application/json"),
}


@pytest.mark.parametrize("body", BODIES)
def test_what_is_no_request_is_4xx_and_never_repeated(either: Server, body: str) -> None:
    content, kind = BODIES[body]
    headers = {"x-user-id": "u1", "content-type": kind} if kind else {"x-user-id": "u1"}
    with either.counting() as counted:
        response = requests.post(either.url("/v2/models/iris/infer"), content, headers=headers)
    assert response.status_code in (400, 422), (response.status_code, response.text[:500])
    assert len(response.content) < LONGEST
    assert counted == counted_as("4xx", of("u1"))


@pytest.mark.parametrize(
    "id_", ["a\nb", "ünï中", "x" * MiB, "tab\there", " blank ", "\x7f"], ids=lambda each: each[:9]
)
def test_an_id_of_any_kind_is_answered(either: Server, id_: str) -> None:
    with either.counting() as counted:
        # One output by name: so it goes the long way.
        request = {"id": id_, **plain(), "outputs": [{"name": "predict"}]}
        response = either.infer(request, x_user_id="u1")
    assert response.status_code == 200
    assert response.json()["id"] == id_
    assert sum(len(k) + len(v) for k, v in response.headers.items()) < LONGEST
    assert counted[f"ab_requests_total,bucket={of('u1')},code=2xx"] == 1


def memory_mib(server: Server) -> float:
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def parts(size: int) -> Iterator[bytes]:
    for _ in range(size // MiB):
        yield b" " * MiB


TOO_LARGE: dict[str, Any] = {
    "said so": (b" " * (60 * MiB), {}),
    "in parts": (60 * MiB, {}),
    "packed": (gzip.compress(b" " * (500 * MiB), 1), {"content-encoding": "gzip"}),
}


@pytest.mark.parametrize("way", TOO_LARGE)
def test_a_body_over_the_limit_is_a_413(either: Server, way: str) -> None:
    content, more = TOO_LARGE[way]
    before = memory_mib(either)
    with either.counting() as counted:
        body = parts(content) if isinstance(content, int) else content
        url = either.url("/v2/models/iris/infer")
        response = requests.post(url, body, headers=JSON | more)
    assert response.status_code == 413
    assert str(LIMIT) in response.json()["error"]
    assert counted == counted_as("4xx", of("u1"))
    assert memory_mib(either) - before < 100
    # The connection or a new one goes on at once.
    assert either.infer(plain()).ok


def test_a_packed_body_is_taken(either: Server) -> None:
    body = gzip.compress(json.dumps(plain()).encode())
    url, packed = either.url("/v2/models/iris/infer"), JSON | {"content-encoding": "gzip"}
    assert requests.post(url, body, headers=packed).json()["outputs"][0]["data"] == [0]
    with either.counting() as counted:
        assert requests.post(url, b"not packed", headers=packed).status_code == 400
    assert counted == counted_as("4xx", of("u1"))


def test_grpc_has_the_same_limit_and_counts_what_it_refuses(either: Server) -> None:
    request = pb.ModelInferRequest(model_name="iris", raw_input_contents=[b" " * (LIMIT + 1)])
    metadata = (("x-user-id", "u1"),)
    unlimited = [("grpc.max_send_message_length", -1)]
    with (
        either.counting(3) as counted,
        grpc.insecure_channel(f"127.0.0.1:{either.ports[1]}", options=unlimited) as to,
    ):
        stub = GRPCInferenceServiceStub(to)
        with pytest.raises(grpc.RpcError) as raised:
            stub.ModelInfer(request, metadata=metadata)
        assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        with pytest.raises(grpc.RpcError) as raised:
            list(stub.ModelStreamInfer(iter([request]), metadata=metadata))
        assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        garbage = to.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        with pytest.raises(grpc.RpcError) as raised:
            garbage(b"\xff\xff\xff", metadata=metadata)
        assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert counted == counted_as("4xx", of("u1"), 3)


def test_what_manages_models_is_closed(either: Server) -> None:
    for path in ("index", "models/iris/load", "models/iris/unload"):
        assert requests.post(either.url(f"/v2/repository/{path}"), json={}).status_code == 404
    for path in ("/v2/docs", "/v2/docs/dataplane.json", "/v2/models/iris/docs", "/openapi.json"):
        assert requests.get(either.url(path)).status_code == 404
    with grpc.insecure_channel(f"127.0.0.1:{either.ports[1]}") as to:
        unload = pb.RepositoryModelUnloadRequest(model_name="iris")
        other = repository_pb.RepositoryModelUnloadRequest(model_name="iris")
        for method, request in (
            (GRPCInferenceServiceStub(to).RepositoryModelUnload, unload),
            (GRPCInferenceServiceStub(to).RepositoryIndex, pb.RepositoryIndexRequest()),
            (ModelRepositoryServiceStub(to).RepositoryModelUnload, other),
        ):
            with pytest.raises(grpc.RpcError) as raised:
                method(request)
            assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED
        assert GRPCInferenceServiceStub(to).ModelReady(pb.ModelReadyRequest(name="iris")).ready
    assert requests.get(either.url("/v2/models/iris")).json()["name"] == "iris"
    assert either.infer(plain()).ok


def test_names_that_clients_invent_never_become_labels(either: Server) -> None:
    def page() -> bytes:
        return requests.get(f"http://127.0.0.1:{either.ports[2]}/metrics").content

    def invent(i: int) -> None:
        with requests.Session() as session:
            for path in (f"models/m{i}/infer", f"models/iris/versions/w{i}/infer", f"p{i}/x"):
                found = session.post(either.url(f"/v2/{path}"), json=plain(), headers=JSON)
                assert found.status_code == 404
            found = session.request(f"M{i}", either.url("/v2/models/iris/infer"))
            assert found.status_code == 400  # it is no HTTP for the server

    def invent_for_grpc(some: range) -> None:
        with grpc.insecure_channel(f"127.0.0.1:{either.ports[1]}") as to:
            for i in some:
                request = pb.ModelInferRequest(model_name="iris", model_version=f"g{i}")
                with pytest.raises(grpc.RpcError) as raised:
                    GRPCInferenceServiceStub(to).ModelInfer(request)
                assert raised.value.code() == grpc.StatusCode.NOT_FOUND

    invent(0)
    invent_for_grpc(range(1))
    before = len(page())
    with either.counting(3500) as counted, ThreadPoolExecutor(4) as pool:
        list(pool.map(invent, range(1, 1501)))
        invent_for_grpc(range(1, 501))
    assert counted == counted_as("4xx", of("u1"), 3000) | counted_as("4xx", "none", 500)
    # Numbers have more digits now; each name would take a hundred bytes, in many series.
    assert len(page()) < before + 20_000
    assert b"m77" not in page()
    assert b"w77" not in page()


SENT = {
    "twice": ([("x-user-id", "u1"), ("x-user-id", "u1")], "none"),
    "two values": ([("x-user-id", "u1"), ("x-user-id", "u2")], "none"),
    "blanks": ([("x-user-id", " u1\t ")], of("u1")),
    "another case": ([("X-User-ID", "u1")], of("u1")),
    "UTF-8": ([("x-user-id", "grün".encode())], of("grün")),
    "Latin-1": ([("x-user-id", "grün".encode("latin-1"))], "none"),
    "only blanks": ([("x-user-id", "   ")], "none"),
}


@pytest.mark.parametrize("way", SENT)
def test_one_id_has_one_bucket_or_none(either: Server, way: str) -> None:
    pairs, bucket = SENT[way]
    body = json.dumps(plain()).encode()
    lines = [b"POST /v2/models/iris/infer HTTP/1.1", b"host: a", b"content-type: application/json"]
    for name, value in pairs:
        raw = value.encode() if isinstance(value, str) else value
        lines.append(name.encode() + b": " + raw)
    lines += [b"connection: close", b"content-length: %d" % len(body), b"", body]
    with either.counting() as counted:
        answer = raw_answer(either, b"\r\n".join(lines))
    assert answer.startswith(b"HTTP/1.1 200")
    assert f"x-ab-bucket: {bucket}\r\n".encode() in answer
    assert counted[f"ab_requests_total,bucket={bucket},code=2xx"] == 1


def raw_answer(server: Server, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.ports[0])) as raw:
        raw.sendall(sent)
        return b"".join(iter(lambda: raw.recv(MiB), b""))


@pytest.mark.parametrize(
    ("metadata", "bucket"),
    [
        ([("x-user-id", "u1")], of("u1")),
        ([("x-user-id", "u1"), ("x-user-id", "u1")], "none"),
        ([], "none"),
    ],
)
def test_one_id_has_one_bucket_or_none_over_grpc(
    either: Server, metadata: list[tuple[str, str]], bucket: str
) -> None:
    tensor = pb.ModelInferRequest.InferInputTensor(name="rows", datatype="FP32", shape=[1, 4])
    request = pb.ModelInferRequest(model_name="iris", inputs=[tensor])
    request.raw_input_contents.append(struct.pack("<4f", *ROW))
    with either.counting() as counted, grpc.insecure_channel(f"127.0.0.1:{either.ports[1]}") as to:
        GRPCInferenceServiceStub(to).ModelInfer(request, metadata=metadata)
    assert counted[f"ab_requests_total,bucket={bucket},code=2xx"] == 1


def test_an_output_that_is_asked_twice_counts_once(either: Server) -> None:
    for names, times in ((["predict"] * 2, 1), (["predict_proba"], 0), (["predict", "predict"], 1)):
        if either.folder.name == "v1" or "predict_proba" not in names:
            with either.counting() as counted:
                outputs = [{"name": each} for each in names]
                assert either.infer(plain() | {"outputs": outputs}, x_user_id="u1").ok
            assert counted.get("ab_predictions_total,class=0", 0) == times


@pytest.mark.parametrize(
    ("outcome", "value", "status"),
    [
        ("accuracy", 1, 200),
        ("accuracy", 0.0, 200),
        ("accuracy", 5, 422),
        ("accuracy", 0.5, 422),
        ("accuracy", -1, 422),
        ("clicks", 7, 200),
        ("clicks", -7, 422),
        ("revenue", -7.25, 200),
    ],
)
def test_a_value_that_an_outcome_cannot_have_is_refused(
    either: Server, outcome: str, value: float, status: int
) -> None:
    with either.counting() as counted:
        response = either.feedback(user="u1", outcome=outcome, value=value)
    assert response.status_code == status
    assert bool(counted) == (status == 200)


def test_refused_feedback_is_never_repeated(either: Server) -> None:
    for change in ({"user": "x" * 50_000}, {"y" * 50_000: 1}, {"outcome": ["z"] * 10_000}):
        response = either.feedback(**{"outcome": "accuracy", "value": 1, **change})
        assert response.status_code == 422
        assert len(response.content) < LONGEST
    assert either.feedback(outcome="accuracy", value=1, user="x" * 2 * MiB).status_code == 413


ACCEPTED = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4"


def test_pages_are_of_the_type_that_they_say(either: Server) -> None:
    url = f"http://127.0.0.1:{either.ports[2]}/metrics"
    opened = requests.get(url, headers={"accept": ACCEPTED})
    assert opened.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    plain_ = requests.get(url)
    assert plain_.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    names = [
        {sample.name for family in parse(page.text) for sample in family.samples}
        for parse, page in ((open_metrics, opened), (text_string_to_metric_families, plain_))
    ]
    ours = [{each for each in found if each.startswith(("ab_", "model_"))} for found in names]
    assert ours[0] == ours[1]
    assert {"ab_requests_total", "ab_request_duration_seconds_bucket"} <= ours[0]
    assert requests.get(url.removesuffix("metrics")).status_code == 404


def test_rows_are_answered_as_the_model_answers_them(either: Server) -> None:
    rows = np.tile(ROW, 3).tolist()
    assert either.infer(plain(rows, (3, 4))).json()["outputs"][0]["data"] == [0, 0, 0]
