"""A real Prometheus that lets in only who has a certificate and a password, below a path."""

import json
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_server import DEADLINE_SECONDS as SECONDS
from api_server import path_from
from own_ports import free_ports

from abctl.errors import SourceError
from abctl.local.identity import wait_for
from abctl.sources.prometheus import Prometheus

PASSWORD = "s3cret-of-a-test"
BCRYPT = "$2b$04$aiByh7WSWZTSU7xAdWprg.rcBhWxWI/XVcuv5JnSxlOL9dWeX9Viy"


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and a certificate that it gave to server and client alike."""
    folder = tmp_path_factory.mktemp("guarded")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=ca")
    (folder / "ext").write_text("subjectAltName=IP:127.0.0.1")
    openssl("req", *curve, "-keyout", "me.key", "-out", "me.csr", "-subj", "/CN=me")
    signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "ext")
    openssl("x509", "-req", "-in", "me.csr", *signed, "-out", "me.crt")
    return folder


@pytest.fixture(scope="module")
def guarded(papers: Path) -> Iterator[str]:
    """Its address."""
    program = path_from("debian", "prometheus")
    tls = {"cert_file": "me.crt", "key_file": "me.key", "client_ca_file": "ca.crt"}
    tls |= {"client_auth_type": "RequireAndVerifyClientCert"}
    web = {"tls_server_config": tls, "basic_auth_users": {"ann": BCRYPT}}
    (papers / "web.json").write_text(json.dumps(web))  # JSON is YAML
    (port,) = free_ports(1)
    address = f"https://127.0.0.1:{port}/deep/down"
    scrape = {
        "job_name": "itself",
        "scheme": "https",
        "metrics_path": "/deep/down/metrics",
        "basic_auth": {"username": "ann", "password": PASSWORD},
        "tls_config": {"ca_file": "ca.crt", "cert_file": "me.crt", "key_file": "me.key"},
        "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
    }
    every = {"scrape_interval": "300ms", "scrape_timeout": "300ms"}
    (papers / "prometheus.json").write_text(
        json.dumps({"global": every, "scrape_configs": [scrape]})
    )
    options = {
        "config.file": "prometheus.json",
        "web.config.file": "web.json",
        "storage.tsdb.path": "data",
        "web.listen-address": f"127.0.0.1:{port}",
        "web.external-url": address,
    }
    context = ssl.create_default_context(cafile=str(papers / "ca.crt"))
    context.load_cert_chain(papers / "me.crt", papers / "me.key")
    log = papers / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [program, *(f"--{name}={value}" for name, value in options.items())],
            cwd=papers,
            stdout=file,
            stderr=subprocess.STDOUT,
        )

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"{address}/-/ready", context=context, timeout=SECONDS).close()
        except urllib.error.HTTPError as error:
            return error.code == 401
        except OSError:
            return False
        return True

    try:
        assert wait_for(answers, SECONDS), log.read_text()
        yield address
    finally:
        process.terminate()
        process.wait(SECONDS)


@pytest.fixture
def entitled(papers: Path) -> dict[str, str]:
    """Everything that it wants."""
    (papers / "password").write_text(PASSWORD)
    files = {"ca_file": "ca.crt", "cert_file": "me.crt", "key_file": "me.key"}
    files |= {"password_file": "password"}
    return {name: str(papers / file) for name, file in files.items()} | {"username": "ann"}


def test_who_has_all_that_is_wanted_reads_samples(guarded: str, entitled: dict[str, str]) -> None:
    source = Prometheus(f"{guarded}/", entitled)
    assert source.place == guarded

    def samples() -> int:
        now = source.now()
        found = source.series('prometheus_http_requests_total{handler="/metrics"}', now - 30, now)
        return sum(len(series.times) for series in found)

    assert wait_for(lambda: samples() > 2, SECONDS)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (("username",), r"HTTP 401, sent: the certificate .*me\.crt"),
        (("cert_file", "key_file"), "TLS failed|closed the connection"),
        (("ca_file",), "TLS failed: certificate verify failed"),
    ],
)
def test_who_has_not_is_told_why(
    missing: tuple[str, ...], message: str, guarded: str, entitled: dict[str, str]
) -> None:
    options = {name: value for name, value in entitled.items() if name not in missing}
    with pytest.raises(SourceError, match=message) as caught:
        Prometheus(guarded, options).now()
    assert PASSWORD not in repr(caught.value)


def test_without_its_path_it_is_not_there(guarded: str, entitled: dict[str, str]) -> None:
    with pytest.raises(SourceError, match="HTTP 404") as caught:
        Prometheus(guarded.removesuffix("/deep/down"), entitled).now()
    assert "a path in front of /api/v1" in caught.value.hint
