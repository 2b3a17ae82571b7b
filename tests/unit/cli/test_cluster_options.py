"""Options of the commands that work on a cluster: durations, and what the tab key offers."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from abctl.cli import _session, shift
from abctl.cli._options import duration, patience
from abctl.cli._shift import variants
from abctl.cli.main import run

EXAMPLE = Path(__file__).parents[3] / "k8s/experiments/envoy.yaml"


@pytest.fixture
def kubeconfig(tmp_path, monkeypatch):
    """Of two clusters that nobody has to talk to."""
    contexts = [{"name": name, "context": {"cluster": "c"}} for name in ("dev", "prod")]
    path = tmp_path / "config"
    path.write_text(json.dumps({"contexts": contexts}))
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


@pytest.mark.parametrize(
    ("given", "seconds"), [("1.5s", 1.5), ("90s", 90.0), ("5m", 300.0), (150.0, 150.0)]
)
def test_a_duration_has_a_unit(given, seconds):
    assert duration(given) == seconds


OF_DURATIONS = [
    (["shift", "iris.yaml", "50/50"], "--timeout"),
    (["apply", "iris.yaml"], "--timeout"),
    (["local", "up", "iris.yaml"], "--timeout"),
    (["analyze", "iris.yaml"], "--interval"),
    (["scrape", "m:80"], "--interval"),
    (["scrape", "m:80"], "--for"),
    (["simulate", "iris.yaml"], "--duration"),
    (["simulate", "iris.yaml"], "--feedback-delay"),
]


@pytest.mark.parametrize(("words", "option"), OF_DURATIONS, ids=str)
@pytest.mark.parametrize("given", ["-5", "nan", "5x", "", "inf", "1e300", "٣s"])
def test_what_is_no_duration_is_refused_by_the_name_of_its_option(words, option, given, capsys):
    assert run([*words, option, given]) == 2
    assert option in capsys.readouterr().err


@pytest.mark.parametrize(("words", "option"), OF_DURATIONS, ids=str)
def test_a_bare_number_is_seconds_of_a_timeout_alone(words, option, capsys):
    run([*words, option, "5"])
    refused = "'5' is not a duration" in capsys.readouterr().err
    assert refused == (option != "--timeout")


@pytest.mark.parametrize(
    ("given", "seconds"), [("90", 90.0), ("0", 0.0), ("5m", 300.0), (1.5, 1.5)]
)
def test_a_timeout_is_a_duration_or_seconds(given, seconds):
    assert patience(given) == seconds


def test_what_is_written_without_a_unit_is_told_with_one(capsys):
    assert run(["simulate", "iris.yaml", "--anonymous", "0.05"]) == 2
    assert "5%" in capsys.readouterr().err
    assert run(["plan", "iris.yaml", "--alpha", "5%"]) == 2
    assert "0.05" in capsys.readouterr().err


def test_the_tab_key_offers_contexts_and_variants(kubeconfig):
    assert _session._contexts("") == ["dev", "prod"]
    assert _session._contexts("p") == ["prod"]
    line = SimpleNamespace(params={"what": str(EXAMPLE)})
    assert variants(line, "t") == ["treatment"]
    assert shift._shares(line, "") == ["control=", "treatment="]


def test_the_tab_key_says_nothing_of_what_is_wrong(kubeconfig, capsys):
    kubeconfig.write_text("contexts: [")
    assert _session._contexts("") == []
    assert variants(SimpleNamespace(params={}), "") == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("what", ["sdep/iris", "sdep/iris.v2"])
@pytest.mark.parametrize("name", ["apply", "diff", "delete"])
def test_an_object_is_no_experiment_file(name, what, kubeconfig, capsys):
    assert run([name, what]) == 2
    assert f"{what} is not an experiment file\nhint: abctl shift" in capsys.readouterr().err
