"""What `-v` and ABCTL_LOG show: silent by default, and secrets at no level."""

import json
import logging
import re
import subprocess
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from abctl.cli import _log
from abctl.cli.main import run
from abctl.cluster.directory import DirectoryClient
from abctl.core.experiment import Experiment
from abctl.core.split import Split
from abctl.errors import AbctlError
from abctl.evidence.cache import Cache
from abctl.platforms import envoy
from abctl.session.apply import start
from abctl.session.session import Session
from abctl.session.shift import plan
from abctl.sources.prometheus import Prometheus

SECRET = "s3cret/of+a=test"
LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (INFO|DEBUG) (abctl\.[\w.]+): (.+)")
CLOCK = {"status": "success", "data": {"result": [1700000000, "1700000000"]}}
Screen = pytest.CaptureFixture[str]


class Server(ThreadingHTTPServer):
    """An API server that knows nobody, and a Prometheus that knows everybody."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.busy = 0
        self.authorizations: list[str | None] = []

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.authorizations.append(self.headers.get("Authorization"))
        code, body = 401, {"kind": "Status", "message": "Unauthorized", "code": 401}
        if "/query" in self.path:
            code, body = 200, CLOCK
        if self.server.busy:
            self.server.busy -= 1
            code = 503
        text = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "ABCTL_LOG"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr("time.sleep", lambda _: None)
    running = Server()
    threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


def kubeconfig(folder: Path, server: str, user: dict[str, Any], **cluster: str) -> str:
    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "x", "user": user}],
    }
    (folder / "config").write_text(json.dumps(config))
    return f"--kubeconfig={folder / 'config'}"


def messages(text: str) -> list[tuple[str, str]]:
    """The lines of the log: level and message."""
    return [(found[2], found[4]) for line in text.splitlines() if (found := LINE.fullmatch(line))]


SHIFT = ["shift", "vs/iris", "treatment=30%"]


@pytest.mark.parametrize("words", [["-v", *SHIFT], [*SHIFT, "-v"], [*SHIFT, "--verbose"], None])
def test_requests_and_retries_are_shown_to_who_asks(
    server: Server,
    words: list[str] | None,
    tmp_path: Path,
    capsys: Screen,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = kubeconfig(tmp_path, f"http://{server.host}", {})
    if words is None:
        monkeypatch.setenv("ABCTL_LOG", "info")
    server.busy = 1
    assert run([*(words or SHIFT), config]) == 5
    found = messages(capsys.readouterr().err)
    assert {level for level, _ in found} == {"INFO"}
    asked = [said for _, said in found if said.startswith(f"GET http://{server.host}/apis/")]
    assert [re.sub(r".*: (\d+), .*", r"\1", said) for said in asked] == ["503", "401"]
    assert all(re.search(r": \d+, [\d,]+ bytes, \d+ ms$", said) for said in asked)
    assert any(said.endswith("again in 0.1 s") for _, said in found)


@pytest.mark.parametrize(("verbose", "levels"), [("-v", {"INFO"}), ("-vv", {"INFO", "DEBUG"})])
def test_twice_shows_more(
    server: Server, verbose: str, levels: set[str], tmp_path: Path, capsys: Screen
) -> None:
    config = kubeconfig(tmp_path, f"http://{server.host}", {})
    assert run([*SHIFT, config, verbose]) == 5
    assert {level for level, _ in messages(capsys.readouterr().err)} == levels


def test_it_is_silent_by_default_and_again_after_a_command(
    server: Server, tmp_path: Path, capsys: Screen
) -> None:
    config = kubeconfig(tmp_path, f"http://{server.host}", {})
    assert run([*SHIFT, config, "-vv"]) == 5
    assert messages(capsys.readouterr().err)
    assert run([*SHIFT, config]) == 5
    assert [line[:6] for line in capsys.readouterr().err.splitlines()] == ["error:", "hint: "]


def test_a_level_that_there_is_not_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: Screen
) -> None:
    monkeypatch.setenv("ABCTL_LOG", "loud")
    assert run(["platforms"]) == 2
    assert "ABCTL_LOG='loud'" in capsys.readouterr().err


METRICS = """
  metrics:
    - {name: accuracy, role: primary, kind: proportion, of: accuracy, direction: increase, mde: 5pp}
"""


def test_world_and_preset_are_shown_with_the_reason(
    start_experiment: Callable[..., None], capsys: Screen
) -> None:
    start_experiment(METRICS, time.time() - 60)
    run(["analyze", "iris.yaml", "--state", "state", "-v"])
    found = [said for _, said in messages(capsys.readouterr().err)]
    assert "a local stack: --state is given" in found
    assert any(said.startswith("preset abctl: ") for said in found)


def test_the_split_and_what_the_cache_had_are_shown(
    make_experiment: Callable[..., Experiment], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "abctl")
    experiment, client = make_experiment(), DirectoryClient(tmp_path / "world")
    session = Session(client, envoy, experiment, actor="ann", clock=lambda: 1.0)
    start(session, why="")
    wanted = Split(experiment.split.names, (1234, 8766))
    plan(session, wanted)
    assert f"split {wanted} wanted, {experiment.split} asked for now" in caplog.messages
    cache = Cache(tmp_path / "cache", "a source", 1e9)
    assert cache.load(["a question"]) is None
    assert "from the cache" not in caplog.text
    cache.save(["a question"], {"numbers": np.arange(3)})
    assert cache.load(["a question"]) is not None
    assert sum(said.startswith("from the cache") for said in caplog.messages) == 1


def forms(secret: str) -> set[str]:
    """A secret as it may be on its way."""
    encoded = {b64encode(text.encode()).decode() for text in (secret, f"ann:{secret}")}
    return {secret, quote(secret, safe=""), *encoded}


def program(folder: Path) -> dict[str, Any]:
    api = "client.authentication.k8s.io/v1"
    given = {"apiVersion": api, "kind": "ExecCredential", "status": {"token": SECRET}}
    (folder / "given.json").write_text(json.dumps(given))
    variable = {"name": "PASSWORD", "value": SECRET}
    called = {"command": "cat", "args": ["given.json"], "env": [variable]}
    return {"exec": {"apiVersion": api, **called}}


USERS = {
    "token": lambda folder: {"token": SECRET},
    "token file": lambda folder: {"tokenFile": str(folder / "secret")},
    "password": lambda folder: {"username": "ann", "password": SECRET},
    "program": program,
}


@pytest.mark.process
@pytest.mark.parametrize("user", USERS)
def test_the_secrets_of_a_kubeconfig_are_not_in_it(
    server: Server, user: str, tmp_path: Path, capsys: Screen
) -> None:
    (tmp_path / "secret").write_text(SECRET)
    config = kubeconfig(tmp_path, f"http://{server.host}", USERS[user](tmp_path))
    assert run([*SHIFT, config, "-vv"]) == 5
    assert server.authorizations[0]  # the secret was sent
    said = "".join(capsys.readouterr())
    assert messages(said)
    assert not [form for form in forms(SECRET) if form in said]


@pytest.mark.parametrize("where", ["server", "proxy-url"])
def test_passwords_of_addresses_are_not_in_it(
    server: Server, where: str, tmp_path: Path, capsys: Screen
) -> None:
    given = f"http://ann:{quote(SECRET, safe='')}@{server.host}"
    more = {} if where == "server" else {where: given}
    config = kubeconfig(tmp_path, "http://api.invalid" if more else given, {}, **more)
    assert run([*SHIFT, config, "-vv"]) == 5
    said = "".join(capsys.readouterr())
    assert server.authorizations
    assert messages(said)
    assert not [form for form in forms(SECRET) if form in said]


@pytest.mark.process
def test_a_clients_key_is_not_in_it(tmp_path: Path, capsys: Screen) -> None:
    files = ("-keyout", tmp_path / "key", "-out", tmp_path / "crt", "-subj", "/CN=ann")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *files],
        check=True,
        capture_output=True,
    )
    user = {
        f"client-{name}-data": b64encode((tmp_path / part).read_bytes()).decode()
        for name, part in (("certificate", "crt"), ("key", "key"))
    }
    assert run([*SHIFT, kubeconfig(tmp_path, "https://127.0.0.1:1", user), "-vv"]) == 5
    said = "".join(capsys.readouterr())
    assert any("client-certificate" in message for _, message in messages(said))
    key = (tmp_path / "key").read_text().splitlines()[1:-1]
    assert not [line for line in key if line in said]
    assert user["client-key-data"] not in said
    broken = {**user, "client-key-data": b64encode(SECRET.encode()).decode()}
    assert run([*SHIFT, kubeconfig(tmp_path, "https://127.0.0.1:1", broken), "-vv"]) == 5
    said = "".join(capsys.readouterr())
    assert not [form for form in forms(SECRET) if form in said]


SOURCES: dict[str, dict[str, Any]] = {
    "token in a file": {"bearer_token_file": "secret"},
    "token in a variable": {"bearer_token_env": "SECRET"},
    "password in a file": {"username": "ann", "password_file": "secret"},
    "password in a variable": {"username": "ann", "password_env": "SECRET"},
    "header": {"headers": {"X-Key": SECRET}},
    "header in a variable": {"headers_env": {"X-Key": "SECRET"}},
    "address": {},
}


@pytest.mark.parametrize("way", SOURCES)
def test_the_secrets_of_a_source_are_not_in_it(
    server: Server, way: str, tmp_path: Path, capsys: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET", SECRET)
    (tmp_path / "secret").write_text(SECRET)
    login = f"ann:{quote(SECRET, safe='')}@" if way == "address" else ""
    source = Prometheus(f"http://{login}{server.host}", SOURCES[way])
    _log.show(logging.DEBUG)
    try:
        server.busy = 1
        assert source.now() == 1700000000
        server.busy = 9
        with pytest.raises(AbctlError):
            source.now()
    finally:
        _log.silence()
    said = capsys.readouterr().err
    found = [message for _, message in messages(said)]
    assert any(re.fullmatch(r"GET http://[\d.:]+/api/v1/query: 200, .* ms", m) for m in found)
    assert any(message.startswith("503: again") for message in found)
    assert "query=time()" in found
    assert not [form for form in forms(SECRET) if form in said]


@pytest.mark.parametrize(
    "told",
    [
        f"Authorization: Bearer {SECRET}",
        f"basic {b64encode(SECRET.encode()).decode()}",
        f"see https://ann:{SECRET}@prometheus:9090/x",
    ],
)
def test_what_others_say_of_a_secret_is_left_out(told: str, capsys: Screen) -> None:
    _log.show(logging.INFO)
    try:
        logging.getLogger("abctl.test").info("%s", told)
    finally:
        _log.silence()
    said = capsys.readouterr().err
    assert "***" in said
    assert not [form for form in forms(SECRET) if form in said]
