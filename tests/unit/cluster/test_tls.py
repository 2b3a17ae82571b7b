"""Whom a client trusts, and how it says who it is: real handshakes with certificates made here."""

import json
import ssl
import subprocess
import tempfile
from base64 import b64encode
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import authorities
import pytest

from abctl.cluster.kube import ClusterClient
from abctl.core.change import Ref
from abctl.errors import UnreachableError

REF = Ref("v1", "ConfigMap", "default", "x")
NAME = "api.internal"


class Certificates:
    """An authority, a server of the name NAME, and the client `ann`, with a locked key as well."""

    def __init__(self, folder):
        self.folder = folder
        self._make("ca", "/CN=ca", "-addext", "basicConstraints=critical,CA:TRUE")
        self._make("other", "/CN=other", "-addext", "basicConstraints=critical,CA:TRUE")
        signed = ("-CA", folder / "ca.crt", "-CAkey", folder / "ca.key")
        self._make("server", "/CN=server", *signed, "-addext", f"subjectAltName=DNS:{NAME}")
        self._make("ann", "/CN=ann", *signed)
        locked = ("-aes256", "-passout", "pass:secret", "-out", folder / "locked.key")
        self._run("pkey", "-in", folder / "ann.key", *locked)

    def _make(self, name, subject, *more):
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        files = ("-keyout", self.folder / f"{name}.key", "-out", self.folder / f"{name}.crt")
        self._run("req", "-x509", *key, "-days", "1", "-subj", subject, *files, *more)

    def _run(self, *words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=60)

    def __getitem__(self, name):
        return self.folder / name

    def data(self, name):
        return b64encode(self[name].read_bytes()).decode()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@contextmanager
def running(tls):
    """An API server that answers with the name in its client's certificate; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            subject = (self.connection.getpeercert() or {}).get("subject", ())
            names = [value for part in subject for key, value in part if key == "commonName"]
            text = json.dumps({"metadata": {"name": "x"}, "data": {"names": names}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def get_request(self):
            connection, address = super().get_request()
            # The handshake is the handler's, so that a client that breaks it off stops nobody.
            return tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            ), address

        def handle_error(self, *_):
            pass  # a client that does not trust us

    server = Server(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def server(made):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(made["server.crt"], made["server.key"])
    tls.load_verify_locations(made["ca.crt"])
    tls.verify_mode = ssl.CERT_OPTIONAL
    with running(tls) as address:
        yield address


@pytest.fixture
def names(server, tmp_path):
    """Whom the server takes us for, with this of the cluster and this of the user."""
    return lambda cluster, user=None: ask(tmp_path, {"server": server, **cluster}, user)


def ask(folder, cluster, user=None):
    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": cluster}],
        "users": [{"name": "x", "user": user or {}}],
    }
    (folder / "config").write_text(json.dumps(config))
    return ClusterClient(kubeconfig=folder / "config").get(REF)["data"]["names"]


def trusted(made):
    return {"certificate-authority-data": made.data("ca.crt"), "tls-server-name": NAME}


def test_a_server_of_the_authority_and_of_the_name_is_trusted(names, made, tmp_path):
    assert names(trusted(made)) == []
    (tmp_path / "ca.crt").write_bytes(made["ca.crt"].read_bytes())
    # A path starts where the kubeconfig is.
    assert names({"certificate-authority": "ca.crt", "tls-server-name": NAME}) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"tls-server-name": None},
        {"tls-server-name": "other.internal"},
        {"certificate-authority-data": None},  # then those of the system count
        {"certificate-authority-data": "other.crt"},
    ],
    ids=str,
)
def test_no_other_server_is_trusted(names, made, wrong):
    wrong = {
        key: made.data(value) if key.endswith("data") and value else value
        for key, value in wrong.items()
    }
    with pytest.raises(UnreachableError, match="certificate"):
        names({**trusted(made), **wrong})


@pytest.mark.process
@pytest.mark.parametrize("fault", authorities.FAULTS)
def test_the_kubeconfigs_authority_need_not_please_strict_clients(tmp_path, monkeypatch, fault):
    authorities.make(tmp_path, fault)
    authority = (tmp_path / "ca.crt").read_bytes()
    authorities.be_strict(monkeypatch, ssl, "create_default_context")
    with running(authorities.serving(tmp_path)) as address:
        for key, value in (
            ("certificate-authority", "ca.crt"),
            ("certificate-authority-data", b64encode(authority).decode()),
        ):
            assert ask(tmp_path, {"server": address, key: value}) == []
        # Of those of the system Python expects what it likes.
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
        with pytest.raises(UnreachableError, match=authorities.FAULTS[fault][-1]):
            ask(tmp_path, {"server": address})


def test_only_who_says_so_trusts_everybody(names, made):
    assert names({"insecure-skip-tls-verify": True}) == []
    for no in (False, "true"):
        with pytest.raises(UnreachableError, match="certificate"):
            names({"insecure-skip-tls-verify": no})


def test_a_client_certificate_is_shown_from_files_and_from_data(names, made):
    files = {f"client-{part}": str(made[f"ann.{end}"]) for part, end in PARTS}
    data = {f"client-{part}-data": made.data(f"ann.{end}") for part, end in PARTS}
    mixed = {**data, "client-key-data": None, "client-key": files["client-key"]}
    for user in (files, data, mixed):
        assert names(trusted(made), user) == ["ann"]


PARTS = (("certificate", "crt"), ("key", "key"))


def test_a_key_from_data_is_nobody_elses_to_read_and_does_not_stay(
    names, made, tmp_path, monkeypatch
):
    folder, seen = tmp_path / "temporary", []
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    load = ssl.SSLContext.load_cert_chain

    def watched(self, *files, **options):
        seen.extend(Path(file).stat().st_mode & 0o777 for file in files)
        assert all(Path(file).parent == folder for file in files)
        return load(self, *files, **options)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", watched)
    data = {f"client-{part}-data": made.data(f"ann.{end}") for part, end in PARTS}
    assert names(trusted(made), data) == ["ann"]
    assert seen == [0o600, 0o600]
    assert list(folder.iterdir()) == []
    with pytest.raises(UnreachableError, match="client-key"):
        names(trusted(made), {**data, "client-key-data": made.data("other.key")})
    assert list(folder.iterdir()) == []


def test_a_locked_key_is_an_error_and_no_question(names, made):
    user = {"client-certificate-data": made.data("ann.crt")}
    with pytest.raises(UnreachableError, match="the key is encrypted"):
        names(trusted(made), {**user, "client-key-data": made.data("locked.key")})


@pytest.mark.process
def test_a_program_gives_a_certificate(names, made, tmp_path):
    api = "client.authentication.k8s.io/v1"
    status = {
        "clientCertificateData": made["ann.crt"].read_text(),
        "clientKeyData": made["ann.key"].read_text(),
    }
    given = {"apiVersion": api, "kind": "ExecCredential", "status": status}
    (tmp_path / "given.json").write_text(json.dumps(given))
    program = {"apiVersion": api, "command": "cat", "args": ["given.json"]}
    assert names(trusted(made), {"exec": program}) == ["ann"]
