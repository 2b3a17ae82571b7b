"""Connections to an API server: kept, made anew where they broke, never mixed up, or by a proxy."""

import json
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Barrier, Event, Thread, Timer

import pytest
import urllib3
from urllib3.util import connection

from abctl.cluster.kube import ClusterClient
from abctl.core.change import Ref
from abctl.errors import UnreachableError

REF = Ref("v1", "ConfigMap", "default", "x")
POD = Ref("v1", "Pod", "default", "p")


class Server(ThreadingHTTPServer):
    """Answers with the path that was asked for; keeps connections until it is told to end them."""

    daemon_threads = True

    def __init__(self):
        self.connections, self.asked, self.dying, self.silent = [], [], [], Event()
        self.together, self.left = None, Event()
        super().__init__(("127.0.0.1", 0), Handler)

    def get_request(self):
        accepted = super().get_request()
        self.connections.append(accepted[0])
        return accepted

    def hang_up(self):
        for each in self.connections:
            each.shutdown(socket.SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, self.headers))
        if self.command in self.server.dying:
            self.server.dying.remove(self.command)
            self.close_connection = True
            return
        if "silent" in self.path:
            self.server.silent.wait(30)
        if "drip" in self.path:
            self.send_response(200)
            self.end_headers()
            self.close_connection = True
            with suppress(OSError):
                while not self.server.silent.wait(0.02):
                    self.wfile.write(b" ")
                return
            self.server.left.set()  # whoever asked has hung up
            return
        text = json.dumps({"metadata": {"name": self.path}}).encode()
        if "together" in self.path and self.server.together:
            self.server.together.wait(10)
        if "large" in self.path:
            text = b" " * 2**17
        if "elsewhere" in self.path:
            text = b""
            self.send_response(302)
            self.send_header("Location", "/api/v1/namespaces/default/configmaps/there")
        else:
            self.send_response(200)
        if self.path.endswith("large"):
            self.end_headers()
            self.close_connection = True
            with suppress(OSError):
                self.wfile.write(text)
            return
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_PUT = answer  # noqa: N815 - as the library calls them

    def log_message(self, *_):
        pass


@contextmanager
def serving():
    server = Server()
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.silent.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def server(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    with serving() as running:
        yield running


@pytest.fixture
def client_to(tmp_path):
    """A client to an address, by what else the kubeconfig says of the cluster and of the user."""

    def make(address, user=None, **cluster):
        config = {
            "current-context": "x",
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
            "clusters": [{"name": "x", "cluster": {"server": address, **cluster}}],
            "users": [{"name": "x", "user": user or {}}],
        }
        (tmp_path / "config").write_text(json.dumps(config))
        return ClusterClient(kubeconfig=tmp_path / "config", sleep=lambda _: None)

    return make


@pytest.fixture
def client(server, client_to):
    return client_to(f"http://127.0.0.1:{server.server_port}")


def read(client, name="x"):
    return client.get(Ref("v1", "ConfigMap", "default", name))["metadata"]["name"].split("/")[-1]


def write(client):
    meta = {"name": "x", "namespace": "default", "resourceVersion": "1"}
    return client.replace({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})


def test_requests_share_one_connection(client, server):
    assert [read(client, name) for name in "abc"] == ["a", "b", "c"]
    write(client)
    assert len(server.connections) == 1


def test_a_connection_that_the_server_has_ended_is_made_anew_even_for_a_write(client, server):
    read(client)
    server.hang_up()
    write(client)
    assert len(server.connections) == 2
    assert [verb for verb, *_ in server.asked] == ["GET", "PUT"]


def test_a_write_that_was_cut_off_is_read_back_before_it_is_repeated(client, server):
    read(client)
    server.dying += ["GET", "GET"]
    assert read(client) == "x"
    server.dying += ["PUT", "PUT"]
    write(client)
    verbs = [verb for verb, *_ in server.asked]
    assert verbs == ["GET"] * 4 + ["PUT", "GET"] * 2 + ["PUT"]
    server.dying += ["PUT"] * 9
    with pytest.raises(UnreachableError, match="closed connection without response") as caught:
        write(client)
    assert "finished or reverted by the next command" in caught.value.hint


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next(client, server, monkeypatch):
    monkeypatch.setattr("abctl.cluster.kube._POD_TIMEOUT_SECONDS", 0.05)
    with pytest.raises(UnreachableError, match="timed out"):
        client.ask_pod(POD, 1, "silent")
    server.silent.set()
    assert read(client, "a") == "a"


def test_what_is_given_up_before_it_was_sent_is_never_sent(client, server, monkeypatch):
    held, before = Event(), set(threading.enumerate())

    def later(*words, connect=urllib3.util.connection.create_connection, **more):
        held.wait(30)
        return connect(*words, **more)

    monkeypatch.setattr("urllib3.util.connection.create_connection", later)
    monkeypatch.setattr("abctl.cluster._client._TIMEOUT_SECONDS", 0.05)
    with pytest.raises(UnreachableError, match="timed out"):
        write(client)
    [waiting] = set(threading.enumerate()) - before
    held.set()
    waiting.join(10)
    monkeypatch.undo()
    assert read(client) == "x"
    assert [verb for verb, *_ in server.asked] == ["GET"]


def test_those_who_ask_at_once_do_not_wait_for_each_other(client, server):
    names = [f"together-{number}" for number in range(4)]
    server.together = Barrier(len(names))
    with ThreadPoolExecutor(len(names)) as threads:
        assert list(threads.map(lambda name: read(client, name), names)) == names
    assert len(server.connections) == len(names)
    server.together = None
    assert [read(client, name) for name in names] == names
    assert len(server.connections) == len(names)


@pytest.mark.parametrize("sized", [False, True])
def test_an_answer_that_is_too_large_is_left(client, server, monkeypatch, sized):
    assert read(client) == "x"
    monkeypatch.setattr("abctl.cluster._connections._PART_BYTES", 2**10)
    monkeypatch.setattr("abctl.cluster._connections.LARGEST_BYTES", 2**16)
    with pytest.raises(UnreachableError, match="more than 65,536 bytes"):
        read(client, "large-sized" if sized else "large")
    assert read(client) == "x"
    assert sum("large" in path for _, path, _ in server.asked) == 1  # it would not be smaller


def test_nobody_is_followed_elsewhere(client, server):
    with pytest.raises(UnreachableError):
        read(client, "elsewhere")
    assert [path.rpartition("/")[2] for _, path, _ in server.asked] == ["elsewhere"]


@pytest.mark.parametrize("proxied", [False, True])
def test_an_answer_that_drips_is_not_waited_for(client_to, server, monkeypatch, proxied):
    monkeypatch.setattr("abctl.cluster._client._TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr("abctl.cluster._client._LONGEST_SECONDS", 0.3, raising=False)
    real = f"http://127.0.0.1:{server.server_port}"
    client = (
        client_to("http://api.example.com:81", **{"proxy-url": real})
        if proxied
        else client_to(real)
    )
    assert read(client, "a") == "a"
    ending = Timer(3, server.silent.set)
    ending.start()
    with pytest.raises(UnreachableError, match=r"no answer from .* \(timed out after 0.2 s\)"):
        read(client, "drip")
    ending.cancel()
    assert not server.silent.is_set()
    assert server.left.wait(10)
    assert read(client, "b") == "b"
    # Somebody who once answered is asked again, but not for ever.
    assert sum("drip" in path for _, path, _ in server.asked) == 2


def test_where_nobody_listens_is_said_at_once(client_to):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(UnreachableError, match="Connection refused"):
            read(client_to(address))


def test_a_new_pod_waits_until_it_is_let_out(client_to, server, monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    connected, refused = connection.create_connection, []

    def late(*words, **options):
        if len(refused) < 7:
            refused.append(words)
            raise ConnectionRefusedError
        return connected(*words, **options)

    monkeypatch.setattr(connection, "create_connection", late)
    assert read(client_to(f"http://127.0.0.1:{server.server_port}"), "b") == "b"
    assert len(refused) == 7


def test_a_server_may_be_behind_a_path(client_to, server):
    read(client_to(f"http://127.0.0.1:{server.server_port}/k8s/clusters/c-1/"))
    assert server.asked[0][1] == "/k8s/clusters/c-1/api/v1/namespaces/default/configmaps/x"


@pytest.mark.parametrize("proxied", [False, True])
def test_what_is_said_is_the_same_with_a_proxy_between(client_to, server, proxied):
    real = f"http://127.0.0.1:{server.server_port}"
    groups = ["a"] if proxied else ["a", "b"]  # in plain HTTP urllib3 makes one header of several
    user = {"token": "t", "as": "ann", "as-groups": groups}
    if proxied:
        client = client_to("http://api.example.com:81", user, **{"proxy-url": real})
        host = "http://api.example.com:81"
    else:
        client, host = client_to(real, user), ""
    assert read(client, "a") == "a"
    server.dying += ["PUT"] * 9
    with pytest.raises(UnreachableError, match="closed connection"):
        write(client)
    (_, path, headers), (verb, *_), *_ = server.asked
    assert (path, verb) == (f"{host}/api/v1/namespaces/default/configmaps/a", "PUT")
    assert headers.get_all("Impersonate-Group") == groups
    assert headers["Authorization"] == "Bearer t"
    assert headers["Host"] == (host or real).removeprefix("http://")


@pytest.mark.process
def test_a_shift_imports_nothing_slow(tmp_path):
    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": "https://127.0.0.1:1"}}],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    program = f"""
import sys
from pathlib import Path
from abctl.cli.main import run
from abctl.session import shift
assert run(["shift", "vs/x", "b=1%", "--kubeconfig={tmp_path / "config"}"]) == 5
slow = {{"kubernetes", "numpy", "requests", "rich", "scipy", "abctl.stats.estimate"}}
sys.exit(",".join(slow & set(sys.modules)) or 0)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, "Connection refused" in done.stderr) == (0, True), done.stderr
