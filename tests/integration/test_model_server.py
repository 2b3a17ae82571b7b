"""A real MLServer with the runtime: REST, gRPC, feedback, the page of metrics, and bad starts."""

import shutil
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
from api_server import DEADLINE_SECONDS
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub
from model_server import IDENTITY, ROW, Server, as_stock, of, plain, trained


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def server(models: Path) -> Iterator[Server]:
    """A linear model, as its image starts it."""
    with Server(models / "v1").running() as running:
        yield running


@pytest.fixture(scope="session")
def stock(models: Path) -> Iterator[Server]:
    """The forest in a folder as it is written for stock MLServer, whose runtime knows nothing."""
    folder = as_stock(models / "v3")
    with Server(folder).running() as running:
        yield running


@pytest.fixture(params=["server", "stock"])
def either(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


ONCE = {
    "ab_request_duration_seconds_count": 1,
    "ab_predictions_total,class=0": 1,
}


def test_a_request_is_answered_stamped_and_counted_once(either: Server) -> None:
    with either.counting() as counted:
        response = either.infer(plain(), x_user_id="u1")
    assert response.status_code == 200
    assert response.headers["x-ab-variant"] == "control"
    assert response.headers["x-ab-bucket"] == of("u1")
    content = response.json()
    assert content["parameters"] == {"variant": "control"}
    assert content["outputs"][0]["data"] == [0]
    assert counted == ONCE | {f"ab_requests_total,bucket={of('u1')},code=2xx": 1}


def test_the_short_and_the_long_way_give_the_same_answer(server: Server) -> None:
    request = {"id": "r1", **plain([*ROW, *ROW[::-1]], (2, 4))}
    with server.counting() as counted:
        short = server.infer(request, x_user_id="u1")
        long = server.infer(request | {"outputs": [{"name": "predict"}]}, x_user_id="u1")
    assert short.content == long.content
    assert "ce-id" in long.headers  # it did go the long way
    assert "ce-id" not in short.headers
    assert {k: v for k, v in long.headers.items() if not k.startswith(("ce-", "date"))} == {
        k: v for k, v in short.headers.items() if k != "date"
    }
    assert counted["ab_request_duration_seconds_count"] == 2


def test_mlserver_counts_both_ways_alike(server: Server) -> None:
    def counts() -> list[float]:
        page = server.page()
        path = "/v2/models/{model_name}/infer"
        rest = {"app_name": "mlserver", "method": "POST", "path": path, "status_code": "200"}
        model = {"model": "iris", "version": "None"}
        keys = [
            ("rest_server_requests_total", rest),
            ("rest_server_request_duration_seconds_count", rest),
            ("model_infer_request_success_total", model),
            ("model_infer_request_duration_count", model),
        ]
        return [page.get((name, frozenset(labels.items())), 0) for name, labels in keys]

    for request in (plain(), plain() | {"outputs": [{"name": "predict"}]}):
        before = counts()
        assert server.infer(request).ok
        assert [b - a for a, b in zip(before, counts(), strict=True)] == [1, 1, 1, 1]


@pytest.mark.parametrize("raw", [False, True])
def test_grpc_counts_once(either: Server, raw: bool) -> None:
    tensor = pb.ModelInferRequest.InferInputTensor(name="rows", datatype="FP32", shape=[1, 4])
    request = pb.ModelInferRequest(model_name="iris", inputs=[tensor])
    if raw:
        request.raw_input_contents.append(struct.pack("<4f", *ROW))
    else:
        request.inputs[0].contents.fp32_contents.extend(ROW)
    metadata = (("x-user-id", "u2"),)
    with either.counting() as counted, grpc.insecure_channel(f"127.0.0.1:{either.ports[1]}") as to:
        response, call = GRPCInferenceServiceStub(to).ModelInfer.with_call(
            request, metadata=metadata, timeout=DEADLINE_SECONDS
        )
    assert response.parameters["variant"].string_param == "control"
    sent = dict(call.trailing_metadata())
    assert (sent["x-ab-variant"], sent["x-ab-bucket"]) == ("control", of("u2"))
    assert counted == ONCE | {f"ab_requests_total,bucket={of('u2')},code=2xx": 1}


def test_grpc_refuses_a_wrong_shape(either: Server) -> None:
    tensor = pb.ModelInferRequest.InferInputTensor(name="rows", datatype="FP32", shape=[1, 3])
    request = pb.ModelInferRequest(model_name="iris", inputs=[tensor])
    request.inputs[0].contents.fp32_contents.extend(ROW[:3])
    with (
        either.counting(1) as counted,
        grpc.insecure_channel(f"127.0.0.1:{either.ports[1]}") as to,
        pytest.raises(grpc.RpcError) as raised,
    ):
        GRPCInferenceServiceStub(to).ModelInfer(request, timeout=DEADLINE_SECONDS)
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "features" in raised.value.details() or "[rows, 4]" in raised.value.details()
    assert counted == {"ab_requests_total,bucket=none,code=4xx": 1}


@pytest.mark.parametrize(
    "request_",
    [
        plain(ROW[:3], (1, 3)),
        plain(ROW, (4,)),
        plain(ROW[:2]),
        plain(["a", "b", "c", "d"]),
        plain(datatype="BYTES", data=["a", "b", "c", "d"]),
        plain([], (0, 4)),
        plain() | {"outputs": [{"name": "transform"}]},
        {"inputs": []},
    ],
    ids=str,
)
def test_a_wrong_request_is_a_400_with_a_reason(either: Server, request_: dict[str, Any]) -> None:
    with either.counting() as counted:
        response = either.infer(request_, x_user_id="u1")
    assert response.status_code == 400
    assert len(response.json()["error"]) > 10
    assert counted == {f"ab_requests_total,bucket={of('u1')},code=4xx": 1}


@pytest.mark.parametrize("content", [b"{", b"", b"[]", b'{"inputs": 1}'])
def test_what_is_no_request_is_a_422_and_counts(either: Server, content: bytes) -> None:
    headers = {"content-type": "application/json"}
    with either.counting() as counted:
        url = either.url("/v2/models/iris/infer")
        assert requests.post(url, data=content, headers=headers).status_code == 422
    assert counted == {"ab_requests_total,bucket=none,code=4xx": 1}


def test_an_unknown_model_is_a_404_and_counts(server: Server) -> None:
    url = server.url("/v2/models/iriz/infer")
    with server.counting() as counted:
        response = requests.post(url, json=plain(), headers={"x-user-id": "u1"})
        assert response.status_code == 404
    assert response.headers["x-ab-bucket"] == of("u1")
    assert counted == {f"ab_requests_total,bucket={of('u1')},code=4xx": 1}


@pytest.mark.parametrize(
    ("headers", "bucket_"),
    [
        ({}, "none"),
        ({"x_user_id": ""}, "none"),
        ({"x_user_id": "u1", "x_ab_randomized": "false"}, "none"),
        ({"x_user_id": "u1", "x_ab_randomized": "true"}, of("u1")),
        ({"x_user_id": "grün"}, of("grün")),
        ({"x_ab_randomized": "true"}, of("r7")),
    ],
    ids=str,
)
def test_whose_bucket_a_request_counts_in(
    either: Server, headers: dict[str, str], bucket_: str
) -> None:
    with either.counting() as counted:
        response = either.infer({"id": "r7", **plain()}, **headers)
    assert response.headers["x-ab-bucket"] == bucket_
    assert counted[f"ab_requests_total,bucket={bucket_},code=2xx"] == 1
    compared = headers.get("x_ab_randomized") != "false"
    assert ("ab_request_duration_seconds_count" in counted) == compared


def test_feedback_is_counted_in_the_users_bucket(either: Server) -> None:
    with either.counting() as counted:
        for user, value in (("u1", 2.5), ("u1", -1), (None, 4), ("", 0)):
            response = either.feedback(user=user, outcome="revenue", value=value)
            assert (response.status_code, response.json()) == (200, {"counted": True})
    own, none = (f"bucket={each},outcome=revenue" for each in (of("u1"), "none"))
    assert counted == {
        f"ab_outcome_count_total,{own}": 2,
        f"ab_outcome_sum_total,{own},sign=positive": 2.5,
        f"ab_outcome_sum_total,{own},sign=negative": 1,
        f"ab_outcome_sumsq_total,{own}": 7.25,
        f"ab_outcome_count_total,{none}": 2,
        f"ab_outcome_sum_total,{none},sign=positive": 4,
        f"ab_outcome_sumsq_total,{none}": 16,
    }


def test_a_repeated_feedback_id_counts_once(either: Server) -> None:
    content = {"user": "u3", "outcome": "accuracy", "value": 1, "id": "feedback-1"}
    with either.counting() as counted:
        answers = [either.feedback(**content).json() for _ in range(3)]
    assert answers == [{"counted": True}, {"counted": False}, {"counted": False}]
    assert counted[f"ab_outcome_count_total,bucket={of('u3')},outcome=accuracy"] == 1
    assert counted["ab_feedback_duplicates_total"] == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"variant": "treatment"}, "'control'"),
        ({"outcome": "clicks"}, "accuracy, revenue"),
        ({"value": "much"}, "valid number"),
        ({"value": None}, "valid number"),
        ({"value": 1e300}, "1000000000000"),
        ({"user": 7}, "valid string"),
        ({"usr": "u1"}, "not permitted"),
    ],
    ids=str,
)
def test_nonsense_is_a_422_with_a_reason(
    either: Server, change: dict[str, Any], reason: str
) -> None:
    with either.counting() as counted:
        response = either.feedback(**{"outcome": "accuracy", "value": 1, "user": "u1"} | change)
    assert response.status_code == 422
    assert reason in response.text
    assert counted == {}


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999"])
def test_no_number_is_a_422(either: Server, value: str) -> None:
    content = f'{{"variant": "control", "outcome": "accuracy", "value": {value}}}'
    headers = {"content-type": "application/json"}
    response = requests.post(either.url("/feedback"), data=content, headers=headers)
    assert response.status_code == 422


def test_every_series_is_there_before_the_first_request(models: Path) -> None:
    with Server(models / "v2", environment=IDENTITY | {"AB_BUCKETS": "2"}).running() as fresh:
        ours = {key: value for key, value in fresh.page().items() if key[0].startswith("ab_")}
        started = ours.pop(("ab_start_time_seconds", frozenset({("variant", "control")})))
        assert 0 < started <= time.time()
        assert set(ours.values()) == {0.0}
        assert len([1 for name, _ in ours if name == "ab_requests_total"]) == 3 * 4
        assert len([1 for name, _ in ours if name == "ab_outcome_sum_total"]) == 3 * 2 * 2
        assert len([1 for name, _ in ours if name == "ab_predictions_total"]) == 3
        fresh.infer(plain(), x_user_id="a-secret-user")
        fresh.feedback(user="a-secret-user", outcome="accuracy", value=1)
        after = fresh.page()
        now = {key for key in after if key[0].startswith("ab_")}
        assert {key for key in now if key[0] != "ab_start_time_seconds"} == set(ours)
        assert "a-secret-user" not in str(after)


def test_a_model_is_loaded_again_without_losing_a_count(models: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(models / "v1", tmp_path / "v1")
    with Server(folder, environment=IDENTITY | {"AB_ADMIN": "true"}).running() as fresh:
        reload = fresh.url("/v2/repository/models/iris/load")
        seen = {"user": "u1", "outcome": "accuracy", "value": 1, "id": "f1"}
        fresh.infer(plain(), x_user_id="u1")
        fresh.feedback(**seen)
        assert requests.post(reload).status_code == 200
        assert fresh.feedback(**seen).json() == {"counted": False}
        (folder / "model.joblib").write_bytes(b"something else")
        refused = requests.post(reload)
        assert refused.status_code == 400
        assert "was altered" in refused.text
        with fresh.counting() as counted:
            assert fresh.infer(plain(), x_user_id="u1").ok
        key = ("ab_requests_total", {"variant": "control", "bucket": of("u1"), "code": "2xx"})
        assert fresh.page()[key[0], frozenset(key[1].items())] == 2
        assert counted["ab_request_duration_seconds_count"] == 1


def missing(model: Path) -> None:
    model.unlink()


def altered(model: Path) -> None:
    with model.open("ab") as content:
        content.write(b"!")


BAD = {
    missing: "model.joblib is missing; write both",
    altered: "model.joblib was altered",
}


@pytest.fixture(scope="module")
def failed(
    models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Callable[[Path], None], tuple[int, str]]]:
    """How bad starts end, all at once: exit code and log."""
    started = {}
    for spoil in BAD:
        bad = Server(shutil.copytree(models / "v1", tmp_path_factory.mktemp("bad") / "v1"))
        spoil(bad.folder / "model.joblib")
        started[spoil] = (bad, bad.start())
    try:
        yield {
            spoil: (process.wait(DEADLINE_SECONDS), bad.log())
            for spoil, (bad, process) in started.items()
        }
    finally:
        for _, process in started.values():
            process.kill()
            process.wait()


@pytest.mark.parametrize("spoil", BAD)
def test_a_bad_start_ends_with_its_reason(
    failed: dict[Callable[[Path], None], tuple[int, str]], spoil: Callable[[Path], None]
) -> None:
    code, log = failed[spoil]
    assert code == 1
    last = log.splitlines()[-1]
    assert last.startswith("error: ")
    assert BAD[spoil] in last
    assert "Traceback" not in log
