"""An experiment file may be anybody's: which secrets it has sent where, the user must allow."""

from dataclasses import replace
from pathlib import Path

import pytest

from abctl.cli._source import EvidenceOptions, with_evidence
from abctl.core.experiment import Experiment
from abctl.core.tables import Rows, Tables
from abctl.errors import SourceError
from abctl.session import tables
from abctl.session.analyze import source_of
from abctl.session.session import Session
from abctl.spec import parse, reach

EXPERIMENT = (Path(__file__).parents[2] / "golden/experiment.yaml").read_text(encoding="utf-8")
PLAIN = 'prometheus: {url: "http://prometheus:9090"}'
TOKEN = "url: 'https://far.example:9090', bearerTokenEnv: TOKEN"


def session_of(experiment: Experiment) -> Session:
    """Of no world."""
    return Session(None, None, experiment)  # type: ignore[arg-type]


def of(source: str) -> Experiment:
    return parse(EXPERIMENT.replace(PLAIN, f"prometheus: {{{source}}}"), "iris.yaml")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (TOKEN, "the token in $TOKEN to far.example:9090"),
        ("url: 'https://far', bearerTokenFile: /etc/shadow", "the token in /etc/shadow to far"),
        (
            "url: 'https://far', basicAuth: {username: an, passwordFile: p}, headersEnv: {X-K: S}",
            "the password of an in p and $S as x-k to far",
        ),
        (
            "url: 'https://far', bearerTokenEnv: T, proxyUrl: 'http://near:3128'",
            "the token in $T to far and near:3128",
        ),
        (
            "url: 'http://127.0.0.1:9', bearerTokenEnv: T, proxyUrl: 'http://near:3128'",
            "the token in $T to near:3128",
        ),
        ("service: 'prometheus:9090', headersEnv: {X-Key: K}", "$K as x-key to models/prometheus"),
    ],
)
def test_it_is_said_which_secret_would_go_where(source: str, words: str) -> None:
    experiment = of(source)
    assert str(reach.sending(experiment)) == words
    with pytest.raises(SourceError, match="you have not allowed that") as caught:
        source_of(session_of(experiment))
    assert words in caught.value.message
    for option in ("--allow-credentials", "ABCTL_ALLOW_CREDENTIALS", "--prometheus-config"):
        assert option in caught.value.hint


@pytest.mark.parametrize(
    "source",
    [
        "url: 'http://far'",
        "url: 'https://far', headers: {X-Scope-OrgID: team}, tlsConfig: {certFile: c, keyFile: k}",
        "url: 'http://localhost:9090', bearerTokenEnv: TOKEN",
        "url: 'http://[::1]:9090', bearerTokenEnv: TOKEN",
    ],
)
def test_where_no_secret_leaves_this_machine_nobody_is_asked(source: str) -> None:
    assert reach.sending(of(source)) is None


@pytest.mark.parametrize(
    ("allowed", "enough"),
    [
        ([], False),
        (["far.example"], True),
        (["far.example:9090"], True),
        (["far.example:9091"], False),
        (["example"], False),
        (["other", "far.example"], True),
    ],
)
def test_a_host_that_is_allowed_is_enough(
    allowed: list[str], enough: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "t")
    found = reach.sending(of(TOKEN))
    assert found
    assert found.allowed_by(allowed) is enough
    by_proxy = reach.sending(of(f"{TOKEN}, proxyUrl: 'http://evil:3128'"))
    assert by_proxy
    assert not by_proxy.allowed_by(allowed)


@pytest.fixture
def session() -> Session:
    return session_of(of(TOKEN))


def agreed(session: Session) -> bool:
    source = session.experiment.source
    assert source
    return source.agreed


def test_what_is_allowed_is_said_and_sent(
    session: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOKEN", "t")
    allowed = with_evidence(session, EvidenceOptions(allow_credentials=["far.example"]))
    assert capsys.readouterr().err == "sending the token in $TOKEN to far.example:9090\n"
    assert source_of(allowed).place == "https://far.example:9090"


def test_who_is_there_is_asked(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda text, **_: asked.append(text) or True)
    assert agreed(with_evidence(session, EvidenceOptions()))
    assert asked == [
        "The experiment file wants to send the token in $TOKEN to far.example:9090. Send it?"
    ]
    # A look at the status asks nothing.
    assert not agreed(with_evidence(session, EvidenceOptions(), ask=False))
    assert len(asked) == 1


def test_where_nobody_is_there_nothing_is_sent(session: Session) -> None:
    elsewhere = EvidenceOptions(allow_credentials=["elsewhere"])
    assert not agreed(with_evidence(session, elsewhere))


def test_what_the_user_names_needs_no_consent(session: Session) -> None:
    # The credentials of the file are not used then.
    for given in (EvidenceOptions("https://mine"), EvidenceOptions(None, Path("mine.yaml"))):
        found = with_evidence(session, given)
        assert not agreed(found)
        assert (found.prometheus_url, found.prometheus_config) == (
            given.prometheus,
            given.prometheus_config,
        )


def test_what_was_agreed_is_no_part_of_the_plan() -> None:
    experiment = of(TOKEN)
    assert reach.agreed(experiment) != experiment
    bare = replace(experiment, source=None)
    assert reach.agreed(bare) == bare


def of_tables(**connection: str) -> Experiment:
    seen, done = Rows("seen", "u", "t", variant="v"), Rows("done", "u", "t", name="n")
    secret = {"password": "PGPASSWORD"}
    tables = Tables("postgres", seen, done, connection=connection, connection_env=secret)
    experiment = of("url: 'http://prometheus:9090'")
    assert experiment.source
    return replace(experiment, source=replace(experiment.source, tables=tables))


@pytest.mark.parametrize(
    ("connection", "to"),
    [
        ({"host": "far", "port": "5432", "user": "ann"}, "far"),
        ({"host": "localhost", "hostaddr": "192.0.2.1"}, "192.0.2.1"),
        ({"conninfo": "host=far"}, "host=far"),
        ({"account": "org-name"}, "org-name"),
    ],
)
def test_a_warehouse_gets_no_secret_unasked(
    connection: dict[str, str], to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "p")
    experiment = of_tables(**connection)
    assert str(reach.sending(experiment)) == f"$PGPASSWORD as password to {to}"
    with pytest.raises(SourceError, match="you have not allowed that"):
        tables.of_units(session_of(experiment), None, 0.0)
    # Another Prometheus by the command line is no word about the warehouse.
    elsewhere = EvidenceOptions(prometheus="http://other")
    assert not agreed(with_evidence(session_of(experiment), elsewhere))
    allowed = EvidenceOptions(allow_credentials=[to])
    assert agreed(with_evidence(session_of(experiment), allowed))


@pytest.mark.parametrize("connection", [{"host": "localhost"}, {"host": "::1"}, {"dbname": "x"}])
def test_a_warehouse_of_this_machine_is_asked_at_once(connection: dict[str, str]) -> None:
    assert reach.sending(of_tables(**connection)) is None
