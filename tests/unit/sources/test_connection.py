"""How Prometheus is reached: a server that is strict about who asks, and says what it was sent."""

import json
import socket
import ssl
import subprocess
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import authorities
import pytest
import urllib3

from abctl.errors import SourceError
from abctl.sources import connection
from abctl.sources.connection import Connection, ServerSettings
from abctl.sources.prometheus import Prometheus

SECRET = "s3cret-of-a-test"
CLOCK = json.dumps({"status": "success", "data": {"result": [1700000000, "1700000000"]}})
Answer = tuple[int, str, dict[str, str]]
GOOD: Answer = (200, CLOCK, {})


class Server(ThreadingHTTPServer):
    """Answers by `answer`, and keeps what each request was."""

    daemon_threads = True

    def __init__(self, answer: Callable[["Server", Any], Answer | None]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.seen: list[tuple[str, dict[str, str]]] = []

    def handle_error(self, *_: Any) -> None:
        """A client that gives up is what some tests are about."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        named = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append((self.path, named))
        if (answer := self.server.answer(self.server, named)) is None:
            # A reset, not an end: what was sent is lost.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.close_connection = True
            self.connection.close()
            return
        status, body, headers = answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running(answer: Any, context: ssl.SSLContext | None = None) -> Iterator[tuple[Server, str]]:
    server = Server(answer)
    if context:
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server, f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[Server, str]]]:
    with ExitStack() as stack:
        yield lambda answer=lambda *_: GOOD, context=None: stack.enter_context(
            running(answer, context)
        )


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No proxy, no netrc and no pauses of this machine."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr("urllib3.util.retry.time.sleep", lambda _: None)


@pytest.fixture(scope="session")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a server's certificate, a client's, and a key with a password."""
    folder = tmp_path_factory.mktemp("papers")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(*("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.crt"), "-subj", "/CN=ca")
    for name, extension in (("server", "subjectAltName=IP:127.0.0.1"), ("client", "nsComment=c")):
        openssl("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=x")
        (folder / "ext").write_text(extension)
        signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "ext")
        openssl("x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.crt")
    locked = ("-aes256", "-passout", "pass:locked")
    openssl("ec", "-in", "client.key", *locked, "-out", "locked.key")
    return folder


def tls(papers: Path, *, client: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers / "server.crt", papers / "server.key")
    if client:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(papers / "ca.crt")
    return context


def only(authorization: str) -> Callable[..., Answer]:
    def answer(_: Server, headers: dict[str, str]) -> Answer:
        return GOOD if headers.get("authorization") == authorization else (401, "who?", {})

    return answer


def refused(source: Callable[[], Any]) -> str:
    """The error, of which no part tells the secret."""
    with pytest.raises(SourceError) as caught:
        source().now()
    assert SECRET not in repr(caught.value) + caught.value.message + caught.value.hint
    return f"{caught.value.message} | {caught.value.hint}"


def basic(user: str, password: str) -> str:
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def test_basic_auth_by_variable_file_or_address(serve, monkeypatch, tmp_path: Path) -> None:
    _, url = serve(only(basic("ann", SECRET)))
    monkeypatch.setenv("PROMETHEUS_PASSWORD", SECRET)
    (tmp_path / "password").write_text(f"{SECRET}\n")
    by_variable = {"username": "ann", "password_env": "PROMETHEUS_PASSWORD"}
    by_file = {"username": "ann", "password_file": str(tmp_path / "password")}
    for options in (by_variable, by_file):
        assert Prometheus(url, options).now() == 1_700_000_000
    typed = Prometheus(url.replace("//", f"//ann:{SECRET}@"))
    assert typed.now() == 1_700_000_000
    assert SECRET not in typed.place + repr(typed) + repr(typed._by)

    assert "HTTP 401, sent: no credentials" in refused(lambda: Prometheus(url))
    (tmp_path / "password").write_text("wrong")
    assert "sent: basic auth as ann" in refused(lambda: Prometheus(url, by_file))


def test_basic_auth_of_any_letters(serve) -> None:
    _, url = serve(only(basic("änn", "pässwörd:x")))
    options = {"username": "änn", "password": "pässwörd:x"}
    assert Prometheus(url, options).now() == 1_700_000_000


def test_a_token_is_read_anew_for_each_request(serve, monkeypatch, tmp_path: Path) -> None:
    server, url = serve()
    path = tmp_path / "token"
    path.write_text("first\n")
    source = Prometheus(url, {"bearer_token_file": str(path)})
    source.now()
    path.write_text(SECRET)
    source.now()
    sent = [headers["authorization"] for _, headers in server.seen]
    assert sent == ["Bearer first", f"Bearer {SECRET}"]
    path.unlink()
    assert f"{path}: No such file" in refused(lambda: source)
    monkeypatch.setenv("TOKEN", SECRET)
    Prometheus(url, {"bearer_token_env": "TOKEN"}).now()
    assert server.seen[-1][1]["authorization"] == f"Bearer {SECRET}"


def test_a_secret_that_is_missing_is_told_before_anybody_is_asked(
    serve, monkeypatch, tmp_path: Path
) -> None:
    server, url = serve()
    (tmp_path / "empty").touch()
    monkeypatch.setenv("BAD", "two\nlines")
    for options, message in (
        ({"username": "ann", "password_env": "NOT_THERE"}, "$NOT_THERE is not set"),
        ({"bearer_token_file": str(tmp_path / "none")}, "No such file"),
        ({"bearer_token_file": str(tmp_path / "empty")}, "empty: empty"),
        ({"bearer_token_env": "BAD"}, "characters that are not allowed"),
        ({"headers_env": {"x-api-key": "NOT_THERE"}}, "$NOT_THERE is not set"),
        ({"ca_file": str(tmp_path / "empty")}, "tlsConfig.caFile"),
        ({"cert_file": str(tmp_path / "none")}, "tlsConfig.certFile"),
    ):
        assert message in refused(lambda options=options: Prometheus(url, options))
    assert server.seen == []


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://far", {"bearer_token_env": "TOKEN"}),
        ("http://far", {"username": "ann", "password_env": "TOKEN"}),
        ("http://far", {"headers_env": {"x-key": "TOKEN"}}),
        ("http://ann:pw@far", {}),
        ("http://127.0.0.1:9", {"bearer_token_env": "TOKEN", "proxy_url": "http://far:3128"}),
        ("http://far", {"bearer_token_env": "TOKEN", "proxy_url": "http://127.0.0.1:3128"}),
    ],
)
def test_a_secret_never_leaves_this_machine_in_plain_text(monkeypatch, url, options) -> None:
    monkeypatch.setenv("TOKEN", SECRET)
    assert "is plain http, which would expose" in refused(lambda: Prometheus(url, options))
    if url != "http://127.0.0.1:9":
        Prometheus(url.replace("http:", "https:"), options)
    if "proxy_url" not in options:
        Prometheus(url.replace("far", "localhost"), options)


def test_headers_say_whose_metrics_they_are(serve, monkeypatch) -> None:
    server, url = serve()
    monkeypatch.setenv("KEY", SECRET)
    source = Prometheus(
        url, {"headers": {"X-Scope-OrgID": "team"}, "headers_env": {"X-Api-Key": "KEY"}}
    )
    source.now()
    sent = server.seen[0][1]
    assert (sent["x-scope-orgid"], sent["x-api-key"]) == ("team", SECRET)
    assert SECRET not in repr(source) + repr(source._by)


def test_a_server_that_repeats_our_secrets_does_not_make_us_print_them(serve, monkeypatch) -> None:
    monkeypatch.setenv("TOKEN", SECRET)
    monkeypatch.setenv("KEY", f"{SECRET}-2")
    _, url = serve(lambda _, headers: (418, json.dumps(headers), {}))
    options = {"bearer_token_env": "TOKEN", "headers_env": {"x-api-key": "KEY"}}
    assert "HTTP 418" in refused(lambda: Prometheus(url, options))


@pytest.mark.parametrize("answer", ["no: {}", '{{"error": {{"message": "no: {}"}}}}'])
def test_not_even_a_part_of_a_long_secret_is_printed(serve, monkeypatch, answer: str) -> None:
    secret = "".join(f"{SECRET}{number}" for number in range(100))
    monkeypatch.setenv("TOKEN", secret)
    _, url = serve(lambda *_: (401, answer.format(secret), {}))
    with pytest.raises(SourceError) as caught:
        Prometheus(url, {"bearer_token_env": "TOKEN"}).now()
    assert str(caught.value).endswith("): no: ***")


def test_nobody_is_by_accident_who_the_netrc_says(serve, tmp_path: Path) -> None:
    server, url = serve()
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login ann password {SECRET}\n")
    Prometheus(url).now()
    assert "authorization" not in server.seen[0][1]


def test_tls_trusts_whom_it_is_told_to(serve, papers: Path) -> None:
    _, url = serve(context=tls(papers))
    assert Prometheus(url, {"ca_file": str(papers / "ca.crt")}).now() == 1_700_000_000
    assert Prometheus(url, {"insecure_skip_verify": True}).now() == 1_700_000_000
    said = refused(lambda: Prometheus(url))
    assert "TLS failed: certificate verify failed" in said
    assert "tlsConfig.caFile" in said
    _, plain = serve()
    said = refused(lambda: Prometheus(plain.replace("http:", "https:")))
    assert "it uses http, not https" in said


@pytest.mark.process
@pytest.mark.parametrize("fault", authorities.FAULTS)
def test_an_authority_that_was_named_need_not_please_strict_clients(
    serve, tmp_path: Path, monkeypatch, fault: str
) -> None:
    authorities.make(tmp_path, fault)
    authority = str(tmp_path / "ca.crt")
    for module in (connection, urllib3.connection):
        authorities.be_strict(monkeypatch, module, "create_urllib3_context")
    _, url = serve(context=authorities.serving(tmp_path))
    assert Prometheus(url, {"ca_file": authority}).now() == 1_700_000_000
    # Of all others Python expects what it likes.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", authority)
    said = refused(lambda: Prometheus(url))
    assert authorities.FAULTS[fault][-1] in said


def test_a_server_may_want_a_certificate(serve, papers: Path) -> None:
    _, url = serve(context=tls(papers, client=True))
    trusting = {"ca_file": str(papers / "ca.crt")}
    named = {"cert_file": str(papers / "client.crt"), "key_file": str(papers / "client.key")}
    assert Prometheus(url, trusting | named).now() == 1_700_000_000
    said = refused(lambda: Prometheus(url, trusting))
    assert "certFile and keyFile" in said
    locked = named | {"key_file": str(papers / "locked.key")}
    assert "certFile and keyFile" in refused(lambda: Prometheus(url, trusting | locked))


def test_a_path_in_front_stays_in_front(serve) -> None:
    server, url = serve(
        lambda s, _: GOOD if s.seen[-1][0].startswith("/select/0/") else (404, "no page", {})
    )
    source = Prometheus(f"{url}/select/0/")
    source.now()
    assert server.seen[0][0].startswith("/select/0/api/v1/query?")
    assert source.place == f"{url}/select/0"
    assert "is there a path in front" in refused(lambda: Prometheus(url))


def test_the_proxy_that_is_named_goes_before_that_of_the_environment(serve, monkeypatch) -> None:
    proxy, address = serve()
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    Prometheus("http://prometheus.example.invalid:9090", {"proxy_url": address}).now()
    path, headers = proxy.seen[0]
    assert path.startswith("http://prometheus.example.invalid:9090/api/v1/query?")
    assert headers["host"] == "prometheus.example.invalid:9090"
    monkeypatch.setenv("http_proxy", f"http://ann:{SECRET}@127.0.0.1:9")
    said = refused(lambda: Prometheus("http://prometheus.example.invalid:9090"))
    assert "the proxy of the environment" in said
    # Who may not be reached by a proxy is reached directly.
    _, url = serve()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert Prometheus(url).now() == 1_700_000_000


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, None])
def test_what_passes_is_tried_again(status: int | None, serve) -> None:
    fault = status and (status, "", {})
    server, url = serve(lambda s, _: fault if len(s.seen) < 3 else GOOD)
    assert Prometheus(url).now() == 1_700_000_000
    assert len(server.seen) == 3


def test_what_does_not_pass_is_told_after_some_tries(serve) -> None:
    server, url = serve(lambda *_: (503, "starting", {}))
    assert "HTTP 503: starting" in refused(lambda: Prometheus(url))
    assert len(server.seen) == 4
    server, url = serve(lambda *_: None)
    assert "closed the connection" in refused(lambda: Prometheus(url))
    assert len(server.seen) == 4
    server, url = serve(lambda *_: (400, json.dumps({"error": "parse error"}), {}))
    assert "parse error" in refused(lambda: Prometheus(url))
    assert len(server.seen) == 1


@pytest.mark.parametrize("in_pod", [True, False])
def test_a_new_pod_is_let_out_late(serve, monkeypatch, pauses, in_pod: bool) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    if not in_pod:
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    _, url = serve()
    connected, refusals = urllib3.util.connection.create_connection, iter(range(6))

    def late(*words: Any, **options: Any) -> socket.socket:
        if next(refusals, None) is not None:
            raise ConnectionRefusedError
        return connected(*words, **options)

    monkeypatch.setattr("urllib3.util.connection.create_connection", late)
    if in_pod:
        assert Prometheus(url).now() == 1_700_000_000
        assert sum(pauses) == pytest.approx(12.4)
    else:
        assert "nothing answers" in refused(lambda: Prometheus(url))


def test_nobody_is_sent_on(serve, monkeypatch) -> None:
    other, elsewhere = serve()
    monkeypatch.setenv("TOKEN", SECRET)
    to = f"{elsewhere}/login?state={SECRET}"
    _, url = serve(lambda *_: (302, "", {"location": to}))
    said = refused(lambda: Prometheus(url, {"bearer_token_env": "TOKEN"}))
    assert f"redirects to {elsewhere}/login (sent: the token in $TOKEN)" in said
    assert other.seen == []


def test_a_login_page_is_no_answer(serve) -> None:
    _, url = serve(lambda *_: (200, "<!doctype html><title>Sign in</title>", {}))
    message = refused(lambda: Prometheus(url))
    assert (
        "a web page (Sign in), not as Prometheus does (HTTP 200, sent: no credentials)" in message
    )


def test_other_connections_lead_there_with_their_own_headers(serve) -> None:
    server, url = serve()
    way = ServerSettings(urllib3.PoolManager(), lambda: [("Authorization", f"Bearer {SECRET}")])
    address = f"{url}/api/v1/namespaces/monitoring/services/prometheus:9090/proxy"
    source = Prometheus(address, way=way, place="service monitoring/prometheus:9090")
    assert source.now() == 1_700_000_000
    path, headers = server.seen[0]
    assert path.startswith("/api/v1/namespaces/monitoring/services/prometheus:9090/proxy/api/v1/")
    assert headers["authorization"] == f"Bearer {SECRET}"
    assert source.place == "service monitoring/prometheus:9090"


def test_options_of_others_are_left_alone() -> None:
    assert Connection.of({"url": "x", "timeout_seconds": 1.0}) == Connection(timeout_seconds=1.0)


def test_a_page_that_repeats_the_token_is_quoted_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOKEN", SECRET)

    def page(_: Server, headers: dict[str, str]) -> Answer:
        return 200, f"<html><title>who is {headers['authorization']}?</title></html>", {}

    with running(page) as (_, url):
        said = refused(lambda: Prometheus(url, {"bearer_token_env": "TOKEN"}))
    assert "answered with a web page" in said
    assert SECRET not in said


def test_no_proxy_of_the_environment_is_between_here_and_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with running(lambda *_: GOOD) as (proxy, proxy_url), running(lambda *_: GOOD) as (_, url):
        monkeypatch.setenv("HTTP_PROXY", proxy_url)
        Prometheus(url).now()
    assert proxy.seen == []
