"""What the entrance of Envoy and of nginx lets in, and that one id has one variant."""

import http.client
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import grpc
import pytest
from api_server import DEADLINE_SECONDS, HOST, path_from, wait_for
from real_envoy import RealEnvoy
from real_nginx import RealNginx

from abctl.core.assignment import explain
from abctl.core.experiment import Experiment
from abctl.platforms import envoy, nginx
from abctl.platforms._entrance import MOST_BODY_BYTES

Proxy = RealEnvoy | RealNginx
SERVICE = "/inference.GRPCInferenceService/"
GRPC_ASIDE = ("ServerLive", "ServerReady", "ServerMetadata", "ModelReady", "ModelMetadata")
INFER = "/v2/models/iris/infer"
USERS = [f"user-{i}" for i in range(60)]


class Answering(grpc.GenericRpcHandler):
    """A model server of a variant that answers each call with its name and what it was told."""

    def __init__(self, name: str) -> None:
        self.name = name

    def service(self, details: Any) -> Any:
        told = dict(details.invocation_metadata)
        words = f"{self.name} {told.get('x-ab-randomized')} {told.get('x-user-id')}".encode()
        if details.method.endswith("/ModelStreamInfer"):
            return grpc.stream_stream_rpc_method_handler(
                lambda requests, _: (words for _ in requests)
            )
        return grpc.unary_unary_rpc_method_handler(lambda _, __: words)


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, tuple[str, int]]]:
    """Where each variant takes gRPC."""
    running, places = [], {}
    for name in ("control", "treatment"):
        options = [("grpc.max_receive_message_length", -1)]
        server = grpc.server(ThreadPoolExecutor(4), handlers=[Answering(name)], options=options)
        places[name] = (HOST, server.add_insecure_port(f"{HOST}:0"))
        server.start()
        running.append(server)
    yield places
    for each in running:
        each.stop(0).wait()


@pytest.fixture(scope="module", params=["envoy", "nginx"])
def proxy(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    make_experiment: Callable[..., Experiment],
    servers: dict[str, tuple[str, int]],
) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("entrance")
    experiment = make_experiment(shares_bp=(5000, 5000), override="x-ab-force")
    running: Proxy
    if request.param == "envoy":
        running = RealEnvoy(experiment, folder, servers)
    else:
        running = RealNginx(path_from("debian", "nginx"), experiment, folder, grpc=servers)
    running.wait()
    yield running
    running.stop()


def asked(
    proxy: Proxy, path: str, *lines: bytes, body: bytes = b"", version: str = "1.1"
) -> http.client.HTTPResponse:
    """The answer to a request as it is written, byte by byte."""
    verb = "POST" if body else "GET"
    first = f"{verb} {path} HTTP/{version}\r\n".encode()
    host = (b"host: iris", b"connection: close") if version == "1.1" else ()
    with socket.create_connection((HOST, proxy.port), DEADLINE_SECONDS) as connection:
        connection.sendall(first + b"".join(each + b"\r\n" for each in (*host, *lines)) + b"\r\n")
        if body:
            connection.sendall(body)
        answer = http.client.HTTPResponse(connection, method=verb)
        answer.begin()
        answer.read()
        return answer


def variant(proxy: Proxy, *lines: bytes, **how: Any) -> str | None:
    answer = asked(proxy, INFER, *lines, **how)
    assert answer.status == 200
    return answer.headers["x-ab-variant"]


def expected(proxy: Proxy, unit: str) -> str | None:
    experiment = proxy.experiment
    platform = envoy if isinstance(proxy, RealEnvoy) else nginx
    draw = platform.CAPABILITIES.draw
    assert draw is not None
    return explain(experiment.assignment, experiment.split, {"x-user-id": unit}, draw).variant


@pytest.mark.parametrize(
    "path",
    [
        *("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/iris", "/v2/models/iris/ready"),
        *(INFER, f"{INFER}?a=b", f"{INFER}_stream", "/v2/models/iris/versions/2/infer"),
        *("/v2/models/iris/generate", "/v2/models/iris/versions/2/generate_stream"),
    ],
)
def test_what_is_for_clients_is_let_in(proxy: Proxy, path: str) -> None:
    assert asked(proxy, path).status == 200


@pytest.mark.parametrize(
    "path",
    [
        *("/v2/repository/index", "/v2/repository/models/iris/unload", "//v2/repository/index"),
        *("/v2/models/../repository/index", "/v2/models/%2e%2e/repository/index"),
        *("/v2/docs", "/v2/models/iris/docs", "/openapi.json", "/docs", "/metrics", "/"),
        *("/v2/models/iris/load", "/v2/models/a/b/infer", "/stats", "/quitquitquit"),
        *(f"{SERVICE}RepositoryIndex", f"{SERVICE}RepositoryModelUnload", "/loaded"),
    ],
)
@pytest.mark.parametrize("body", [b"", b"{}"])
def test_what_is_for_owners_is_not(proxy: Proxy, path: str, body: bytes) -> None:
    length = (f"content-length: {len(body)}".encode(),) if body else ()
    assert asked(proxy, path, *length, b"x-ab-force: treatment", body=body).status == 404


@pytest.mark.parametrize("told", [True, False], ids=["length", "chunks"])
@pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 413)])
def test_bodies_are_limited(proxy: Proxy, more: int, status: int, *, told: bool) -> None:
    body = b" " * (MOST_BODY_BYTES + more)
    connection = http.client.HTTPConnection(HOST, proxy.port, timeout=DEADLINE_SECONDS)
    # A proxy may answer, and close, before it has all of it.
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.request("POST", INFER, body if told else iter([body]))
    assert connection.getresponse().status == status
    connection.close()


def test_the_old_http_is_accepted(proxy: Proxy) -> None:
    for user in USERS[:10]:
        line = f"x-user-id: {user}".encode()
        assert variant(proxy, line, version="1.0") == expected(proxy, user)


@pytest.mark.parametrize(
    "how",
    [
        lambda unit: [b"x-user-id: " + unit],
        lambda unit: [b"x-user-id:" + unit + b"  \t"],
        lambda unit: [b"X-User-Id: " + unit, b"x-user-id: " + unit],
        lambda unit: 3 * [b"x-user-id: " + unit],
    ],
    ids=["once", "blanks", "twice", "three times"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_an_id_has_one_variant_however_it_is_sent(
    proxy: Proxy, how: Callable[[bytes], list[bytes]], encoding: str
) -> None:
    units = [*USERS, *(f"Zoë-{i}" for i in range(40))]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda unit: variant(proxy, *how(unit.encode(encoding))), units)
    sent = [unit.encode(encoding).decode(errors="surrogateescape") for unit in units]
    assert list(found) == [expected(proxy, unit) for unit in sent]


ASIDE = (
    *("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/iris", "/v2/models/iris/ready"),
    *("/v2/models/iris/versions/1", "/v2/models/infer/ready", "/feedback"),
)
PREDICTIONS = (INFER, f"{INFER}_stream", "/v2/models/iris/generate")


def upstreams(proxy: Proxy) -> Counter[str]:
    """How many requests by REST each upstream has answered."""
    if isinstance(proxy, RealNginx):
        # The servers behind it, which are of the same nginx, write a dash.
        return Counter(proxy.asked.read_text().replace("-\n", "").split())
    found = re.findall(
        r'^envoy_cluster_upstream_rq_completed\{envoy_cluster_name="(\w+)"\} (\d+)',
        proxy.get("/stats/prometheus").decode(),
        re.MULTILINE,
    )
    rest = {name: int(count) for name, count in found if "grpc" not in name}
    return Counter({name: count for name, count in rest.items() if name != "_admin"})


def test_what_is_no_prediction_is_counted_apart(proxy: Proxy) -> None:
    """Also of who has no id, so whose requests are all the control's."""
    before = upstreams(proxy)
    expected_: Counter[str] = Counter()
    for user in (b"", *(user.encode() for user in USERS[:8])):
        lines = (b"x-user-id: " + user, b"x-ab-variant: treatment")
        place = expected(proxy, user.decode())
        for path in (*ASIDE, *PREDICTIONS):
            assert asked(proxy, path, *lines).status == 200
            of = "treatment" if path == "/feedback" else place
            aside = "_aside" if isinstance(proxy, RealEnvoy) else ".aside"
            expected_[f"{of}{aside}" if path in ASIDE else str(of)] += 1
    wait_for(lambda: upstreams(proxy) - before == expected_, "the counts")


def test_calls_of_grpc_for_no_prediction_are_counted_apart(
    proxy: Proxy, channel: grpc.Channel
) -> None:
    if isinstance(proxy, RealNginx):  # its log does not tell upstreams of gRPC
        text = proxy.object["data"]["nginx.conf"]
        found = dict(re.findall(r"Service/(\S+)\)\$ \{[^}]*grpc_pass grpc://(\S+);", text))
        assert found == {
            "ModelStreamInfer": "$abctl_variant.grpc",
            "ModelInfer": "$abctl_variant.grpc",
            f"({'|'.join(GRPC_ASIDE)})": "$abctl_variant.grpc.aside",
        }
        return
    names = {"ModelInfer": "control_grpc", **dict.fromkeys(GRPC_ASIDE, "control_grpc_aside")}

    def counted() -> Counter[str]:
        every = {name: f"^cluster.{name}.grpc.0$" for name in set(names.values())}
        return Counter({name: proxy.count(pattern) for name, pattern in every.items()})

    before = counted()
    for method in names:
        call(channel, method)
    wait_for(lambda: counted() - before == Counter(names.values()), "the counts")


def test_a_client_gives_no_orders_to_envoy(proxy: Proxy) -> None:
    names = ("x-envoy-upstream-alt-stat-name: evil", "x-envoy-max-retries: 99")
    assert variant(proxy, b"x-user-id: u", *(name.encode() for name in names))
    if isinstance(proxy, RealEnvoy):
        assert b"evil" not in proxy.get("/stats")


READ = {
    RealEnvoy: ("/ready", "/stats/prometheus", "/config_dump?resource=dynamic_route_configs"),
    RealNginx: ("/loaded",),
}
OTHERS = (
    *(("GET", "/config_dump"), ("GET", "/config_dump?resource=static_clusters")),
    *(("GET", "/memory"), ("GET", "/logging"), ("POST", "/quitquitquit"), ("POST", "/ready")),
    *(("POST", "/healthcheck/fail"), ("POST", "/drain_listeners"), ("POST", "/stats")),
)


def test_what_a_proxy_tells_of_itself_can_only_be_read(proxy: Proxy) -> None:
    asked = [*(("GET", path) for path in READ[type(proxy)]), *OTHERS]
    found = []
    for verb, path in asked:
        connection = http.client.HTTPConnection(HOST, proxy.admin, timeout=DEADLINE_SECONDS)
        connection.request(verb, path)
        found.append((verb, path, connection.getresponse().status))
        connection.close()
    readable = READ[type(proxy)]
    assert found == [(v, p, 200 if v == "GET" and p in readable else 404) for v, p in asked]


@pytest.fixture
def channel(proxy: Proxy) -> Iterator[grpc.Channel]:
    port = proxy.port if isinstance(proxy, RealEnvoy) else proxy.http2
    options = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(f"{HOST}:{port}", options) as found:
        yield found


def call(channel: grpc.Channel, method: str, *metadata: tuple[str, str], body: bytes = b"") -> str:
    send = channel.unary_unary(f"{SERVICE}{method}")
    answer: bytes = send(body, metadata=metadata, timeout=DEADLINE_SECONDS)
    return answer.decode()


def test_grpc_is_split_as_rest_is(proxy: Proxy, channel: grpc.Channel) -> None:
    for user in USERS:
        told = f"{expected(proxy, user)} true {user}"
        assert call(channel, "ModelInfer", ("x-user-id", user)) == told
        assert call(channel, "ModelInfer", ("x-user-id", user), ("x-user-id", user)) == told
    assert call(channel, "ModelReady", ("x-user-id", "u"), ("x-ab-force", "treatment")) == (
        "treatment false u"
    )
    assert call(channel, "ServerLive") == "control false None"


def test_a_stream_of_grpc_answers_as_it_is_asked(proxy: Proxy, channel: grpc.Channel) -> None:
    asked_again = threading.Semaphore(0)

    def requests() -> Iterator[bytes]:
        for _ in range(3):
            yield b"x"
            assert asked_again.acquire(timeout=DEADLINE_SECONDS)

    stream = channel.stream_stream(f"{SERVICE}ModelStreamInfer")
    user = USERS[0]
    for answer in stream(requests(), metadata=[("x-user-id", user)], timeout=DEADLINE_SECONDS):
        assert answer.decode() == f"{expected(proxy, user)} true {user}"
        asked_again.release()


def test_grpc_has_the_limits_of_rest(proxy: Proxy, channel: grpc.Channel) -> None:
    body = b" " * (MOST_BODY_BYTES - 5)  # behind five bytes that say how long it is
    assert call(channel, "ModelInfer", body=body) == "control false None"
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, "RepositoryModelUnload")
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, "ModelInfer", body=body + b" ")
    assert caught.value.code() == grpc.StatusCode.UNKNOWN  # 413
