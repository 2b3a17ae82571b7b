"""How a Prometheus is to be reached, as a file says it."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import urllib3

from abctl.errors import SourceError, SpecError
from abctl.session.analyze import source_of
from abctl.session.session import Session
from abctl.sources.prometheus import Prometheus
from abctl.spec import parse, reach

EXPERIMENT = (Path(__file__).parents[2] / "golden/experiment.yaml").read_text(encoding="utf-8")
PLAIN = 'prometheus: {url: "http://prometheus:9090"}'


def told(text: str) -> str:
    """What is wrong with the source; it is the only thing that is wrong."""
    with pytest.raises(SpecError) as caught:
        parse(EXPERIMENT.replace(PLAIN, f"prometheus: {text}"), "iris.yaml")
    return f"{caught.value.message} | {caught.value.hint}"


def options(text: str) -> dict[str, object]:
    source = parse(EXPERIMENT.replace(PLAIN, f"prometheus: {text}"), "iris.yaml").source
    assert source is not None
    return dict(source.options)


def test_everything_that_can_be_said_reaches_the_source() -> None:
    assert options(
        "{url: 'https://p/x', basicAuth: {username: ann, passwordEnv: PW}, "
        "tlsConfig: {caFile: ca.pem, certFile: me.pem, keyFile: me.key}, "
        "headers: {X-Scope-OrgID: team}, headersEnv: {X-Token: KEY}, "
        "proxyUrl: 'http://proxy:3128', timeout: 2m}"
    ) == {
        "url": "https://p/x",
        "username": "ann",
        "password_env": "PW",
        "ca_file": "ca.pem",
        "cert_file": "me.pem",
        "key_file": "me.key",
        "headers": {"x-scope-orgid": "team"},
        "headers_env": {"x-token": "KEY"},
        "proxy_url": "http://proxy:3128",
        "timeout_seconds": 120.0,
    }
    assert options("{url: 'http://p', bearerTokenFile: t}")["bearer_token_file"] == "t"
    assert options("{url: 'http://p', tlsConfig: {insecureSkipVerify: true}}") == {
        "url": "http://p",
        "insecure_skip_verify": True,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{headers: {a: b}}", "0 of url and service given, must be one"),
        ("{url: 'http://p', service: p}", "2 of url and service given, must be one"),
        ("{url: 'http://p', path: /x}", "prometheus.path in iris.yaml: is only for service"),
        ("{service: p, path: x}", "must be a path: /prometheus"),
        ("{url: 'http://p', basicAuth: {username: a}}", "0 of passwordFile and passwordEnv"),
        ("{url: 'http://p', basicAuth: {username: a, password: b}}", "basicAuth.password"),
        (
            "{url: 'http://p', bearerTokenEnv: A, bearerTokenFile: b}",
            "more than one given | configure exactly one",
        ),
        ("{url: 'http://p', bearerTokenEnv: 'not a name'}", "the name of an environment variable"),
        ("{url: 'http://p', tlsConfig: {keyFile: b}}", "tlsConfig.certFile in iris.yaml"),
        ("{url: 'http://p', headers: {Authorization: x}}", "headersEnv: {authorization: VARIABLE}"),
        ("{service: p, bearerTokenEnv: A}", "remove them: the kubeconfig"),
        ("{url: 'http://p', proxyUrl: 'http://u:p@proxy'}", "proxyUrl in iris.yaml: must be http"),
    ],
)
def test_what_cannot_be_is_told_with_its_place(text: str, message: str) -> None:
    assert message in told(text)


def test_a_password_in_the_file_is_not_repeated() -> None:
    assert "hunter2" not in told("{url: 'http://p', basicAuth: {username: a, password: hunter2}}")


def test_a_service_is_reached_through_the_api_server() -> None:
    source = options("{service: 'monitoring/prometheus:9090', path: /prom}")
    pool, headers = urllib3.PoolManager(), list
    access = SimpleNamespace(
        server="https://api:6443",
        pool=pool,
        words="context kind",
        credentials=SimpleNamespace(headers=headers),
    )
    found = reach.prometheus(source, "models", SimpleNamespace(access=access))  # type: ignore[arg-type]
    assert isinstance(found, Prometheus)
    assert found.place == "service monitoring/prometheus:9090 of context kind"
    assert found._client.url == (
        "https://api:6443/api/v1/namespaces/monitoring/services/prometheus:9090/proxy/prom"
    )
    bare = reach.prometheus({"service": "prometheus"}, "models", SimpleNamespace(access=access))  # type: ignore[arg-type]
    assert bare.place == "service models/prometheus:80 of context kind"
    with pytest.raises(SourceError, match="service p needs a cluster"):
        reach.prometheus({"service": "p"}, "models", None)


def test_a_file_of_its_own_says_the_same(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "prometheus.yaml"
    path.write_text("url: https://one\nbearerTokenEnv: TOKEN\n")
    monkeypatch.setenv("TOKEN", "t")
    experiment = parse(EXPERIMENT, "iris.yaml")
    session = Session(None, None, experiment)  # type: ignore[arg-type]
    for url, place in ((None, "https://one"), ("https://two:1/x/", "https://two:1/x")):
        found = source_of(replace(session, prometheus_url=url, prometheus_config=path))
        assert found.place == place
        assert found._by.bearer_token_env == "TOKEN"  # type: ignore[attr-defined]
    plain = source_of(replace(session, prometheus_url="http://two:1"))
    assert plain._by.bearer_token_env is None  # type: ignore[attr-defined]
    path.write_text("bearerTokenEnv: TOKEN\n")
    with pytest.raises(SpecError, match=r"prometheus\.yaml: 0 of url and service"):
        source_of(replace(session, prometheus_config=path))
    path.write_text("urll: https://one\n")
    with pytest.raises(SpecError, match=r"urll in .*prometheus\.yaml"):
        source_of(replace(session, prometheus_config=path))
