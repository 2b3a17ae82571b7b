"""Clients that leave, whose time is over, that break off: counted so, and no loss of others."""

import json
import socket
from collections.abc import Iterator

import grpc
import pytest
import requests
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub
from model_server import Server, of, wait
from own_folder import MiB, asked, channel, counted_as, folder_of, latencies, message, stream

PAGE = "https://shop.example.com"
CORS = {
    "allow_origins": [PAGE],
    "allow_methods": ["POST"],
    "allow_headers": ["x-user-id"],
}
BATCHES = {"max_batch_size": 8, "max_batch_time": 0.2}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One without workers, which answers in batches, also to pages of another origin."""
    settings = {"parallel_workers": 0, "cors_settings": CORS}
    folder = folder_of(tmp_path_factory.mktemp("own") / "iris", settings, BATCHES)
    with Server(folder).running() as running:
        yield running


def begun(server: Server, body: bytes, user: str, *, more: str = "") -> socket.socket:
    """A request by REST whose head says what is sent of its body, unless `more` says another."""
    raw = socket.create_connection(("127.0.0.1", server.ports[0]))
    more = more or f"content-length: {len(body)}"
    head = f"POST /v2/models/iris/infer HTTP/1.1\r\nhost: a\r\nx-user-id: {user}\r\n{more}\r\n"
    raw.sendall(f"{head}content-type: application/json\r\n\r\n".encode() + body)
    return raw


@pytest.mark.parametrize("name", ["endless", "flood"])
def test_a_stream_that_is_left_has_no_answer(alone: Server, name: str) -> None:
    """Its parts arrive as they are made, long before the end; it is left between two, or in one."""
    user = f"leaves-{name}"
    with alone.counting(1) as counted:
        response = stream(alone, name, x_user_id=user)
        assert next(response.iter_lines()).startswith(b"data:")
        response.close()
    assert counted == latencies() | counted_as("none", of(user))
    assert alone.infer(asked()).ok


def test_a_client_that_left_before_its_answer_got_none(alone: Server) -> None:
    def inside() -> float:
        labels = {"app_name": "mlserver", "method": "POST"}
        return alone.page().get(("rest_server_requests_in_progress", frozenset(labels.items())), 0)

    user = "no-patience"
    hold = alone.folder / "hold"
    hold.touch()
    with alone.counting(2) as counted:
        with begun(alone, json.dumps(asked("held")).encode(), user):
            wait(lambda: inside() == 1)
        with channel(alone) as to:
            ask = GRPCInferenceServiceStub(to).ModelInfer
            with pytest.raises(grpc.RpcError):
                ask(message("held"), metadata=(("x-user-id", user),), timeout=0.2)
        hold.unlink()
    assert counted == latencies(2) | counted_as("none", of(user), 2)


@pytest.mark.parametrize("leaves", range(3))
def test_who_leaves_a_batch_takes_nobody_along(alone: Server, leaves: int) -> None:
    users = ["leaves" if i == leaves else f"stays-{i}" for i in range(3)]
    hold, begun = alone.folder / "hold", alone.folder / "held"
    begun.unlink(missing_ok=True)
    hold.touch()
    with alone.counting(3) as counted, channel(alone) as to:
        ask = GRPCInferenceServiceStub(to).ModelInfer
        calls = [ask.future(message("held"), metadata=(("x-user-id", user),)) for user in users]
        wait(begun.exists)
        calls.pop(leaves).cancel()
        hold.unlink()
        assert all(call.result(timeout=60).outputs for call in calls)
    assert counted.pop(f"ab_requests_total,bucket={of('leaves')},code=none") == 1
    assert {key.rpartition("=")[2] for key in counted if "requests_total" in key} == {"2xx"}


def test_whose_time_is_over_while_a_message_is_sent_has_no_answer(alone: Server) -> None:
    """To gRPC it looks like a message over the limit, which is the client's mistake."""
    large = message(rows=12 * MiB // 16)
    with alone.counting() as counted, channel(alone) as to:
        stub = GRPCInferenceServiceStub(to)
        stub.ModelInfer(message())
        for i in range(30):
            call = stub.ModelInfer.future(large, timeout=0.002 * (i + 1))
            assert call.exception() is None or call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        stub.ModelInfer(message())
    codes = {key.rpartition("=")[2] for key in counted if "requests_total" in key}
    assert {"2xx", "none"} == codes


def test_half_a_body_has_no_answer_and_one_that_is_no_http_is_told_so(alone: Server) -> None:
    user, body = "breaks-off", json.dumps(asked()).encode()
    with alone.counting(1) as counted:
        begun(alone, body[:20], user, more=f"content-length: {len(body)}").close()
    assert counted == latencies() | counted_as("none", of(user))
    chunked = "transfer-encoding: chunked"
    with (
        alone.counting(1) as counted,
        begun(alone, b"2\r\n{}\r\nZZ\r\n", user, more=chunked) as raw,
    ):
        assert raw.recv(1000).startswith(b"HTTP/1.1 400")
    assert counted == counted_as("4xx", of(user))


@pytest.mark.parametrize("path", ["/v2/models/iris/infer", "/feedback"])
def test_a_browser_asks_first_which_is_no_request(alone: Server, path: str) -> None:
    """As `cors_settings` of MLServer's settings allow it; another origin may not."""
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "x-user-id"}
    with alone.counting() as counted:
        allowed = requests.options(alone.url(path), headers={"origin": PAGE, **asks})
        refused = requests.options(alone.url(path), headers={"origin": "https://a.b", **asks})
    assert (allowed.status_code, refused.status_code) == (200, 400)
    assert allowed.headers["access-control-allow-origin"] == PAGE
    assert counted == {}


def test_the_answer_to_a_page_of_another_origin_is_its_to_read(alone: Server) -> None:
    answer = alone.infer(asked(), x_user_id="u1", origin=PAGE)
    assert answer.headers["access-control-allow-origin"] == PAGE
    # Its own headers are hidden from a page; the content says the same.
    assert answer.json()["parameters"]["variant"] == "control"
