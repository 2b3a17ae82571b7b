"""Options of the commands that work on a cluster: durations, and what the tab key offers."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from abctl.cli import _session, shift
from abctl.cli._shift import variants
from abctl.cli.main import run
from abctl.errors import UsageError

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
    ("given", "seconds"), [("90", 90.0), ("1.5", 1.5), ("90s", 90.0), ("5m", 300.0), (150.0, 150.0)]
)
def test_a_timeout_is_a_duration_or_seconds(given, seconds):
    assert _session._seconds(given) == seconds


@pytest.mark.parametrize("given", ["-1", "nan", "5x", "", "inf", "1e300"])
def test_a_timeout_that_is_none_is_refused(given):
    with pytest.raises(UsageError, match="--timeout"):
        _session._seconds(given)


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


@pytest.mark.parametrize("name", ["apply", "diff", "delete"])
def test_an_object_is_no_experiment_file(name, kubeconfig, capsys):
    assert run([name, "sdep/iris"]) == 2
    assert "sdep/iris is no experiment file\nhint: abctl shift" in capsys.readouterr().err
