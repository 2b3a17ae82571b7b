"""Which world a session is opened in."""

import json
from pathlib import Path

import pytest

from abctl import plugins
from abctl.cluster.directory import DirectoryClient
from abctl.cluster.flag_file import FlagFileClient
from abctl.errors import ClusterError, SpecError, UsageError
from abctl.local import stack
from abctl.session import adopt, apply
from abctl.session.open import STATE_ROOT, Where, in_cluster, open_session
from abctl.spec import load

EXPERIMENT = """
apiVersion: abctl.dev/v1alpha1
kind: Experiment
metadata: {name: iris, namespace: models}
spec:
  platform: envoy
  assignment: {unit: user, key: x-user-id, salt: s}
  variants:
    - {name: control,   split: 90%, model: {name: iris, version: v1, image: "iris:v1"}}
    - {name: treatment, split: 10%, model: {name: iris, version: v2, image: "iris:v2"}}
  metrics:
    - {name: accuracy, role: primary, kind: proportion, of: accuracy, direction: increase, mde: 2pp}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    Path("iris.yaml").write_text(EXPERIMENT)


@pytest.fixture
def kubeconfig():
    """Of a cluster that nobody has to talk to."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "dev",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [],
        "contexts": [
            {"name": name, "context": {"cluster": "c", "namespace": f"{name}-models"}}
            for name in ("dev", "prod")
        ],
    }
    Path("config").write_text(json.dumps(config))
    return Path("config")


def opened(word="iris.yaml", **where):
    return open_session(word, Where(**where))


def test_without_a_cluster_it_is_the_local_stack():
    found = opened()
    assert isinstance(found.world, DirectoryClient)
    assert found.state_dir == STATE_ROOT / "iris"
    assert "local stack" in found.words


def test_with_a_kubeconfig_it_is_its_cluster(kubeconfig):
    found = opened()
    assert (found.state_dir, found.experiment.namespace) == (None, "models")
    assert found.words == "context dev, namespace models"
    assert opened(context="prod").words == "context prod, namespace models"
    assert opened(namespace="other").experiment.namespace == "other"


def test_a_local_stack_of_that_name_comes_first_unless_a_cluster_is_meant(kubeconfig):
    folder = STATE_ROOT / "iris"
    folder.mkdir(parents=True)
    (folder / stack.STATE_FILE).touch()
    assert opened().state_dir == folder
    for where in ({"context": "dev"}, {"kubeconfig": kubeconfig}, {"namespace": "models"}):
        assert opened(**where).state_dir is None


def test_a_state_folder_is_a_local_stack_whatever_else_there_is(kubeconfig, tmp_path):
    assert opened(state=tmp_path / "s").state_dir == tmp_path / "s"
    with pytest.raises(UsageError, match="--state"):
        opened(state=tmp_path, context="dev")
    with pytest.raises(UsageError, match="experiment file"):
        opened("sdep/iris", state=tmp_path)


def test_a_cluster_without_a_kubeconfig_is_an_error():
    with pytest.raises(ClusterError, match="no kubeconfig"):
        opened(namespace="models")


def test_a_file_comes_before_an_address(kubeconfig):
    Path("sdep").mkdir()
    Path("sdep/iris").write_text(EXPERIMENT)
    assert not opened("sdep/iris").adopted


def test_every_platform_has_words_for_what_carries_its_split():
    for name in plugins.names("abctl.platforms"):
        assert any(name in adopt._platforms(word) for word in adopt._WORDS[name])
    assert set(adopt._WORDS) == set(plugins.names("abctl.platforms"))
    assert adopt.is_address("httproutes.gateway.networking.k8s.io/iris")
    for path in ("iris.yaml", "experiments/iris.yaml", "a/b/c", "/iris", "sdep/"):
        assert not adopt.is_address(path)


def of_file(tmp_path):
    folder = tmp_path / "team"
    folder.mkdir()
    without = EXPERIMENT.replace(', image: "iris:v1"', "").replace(', image: "iris:v2"', "")
    text = without.replace("platform: envoy", "platform: flagset\n  flagFile: flags.json")
    (folder / "iris.yaml").write_text(text)
    return folder


def test_a_flag_in_a_file_is_in_no_cluster_and_no_stack(tmp_path, kubeconfig):
    folder = of_file(tmp_path)
    session = opened("team/iris.yaml")
    assert isinstance(session.world, FlagFileClient)
    assert session.words == f"the file {folder / 'flags.json'}"
    assert apply.apply(session, why="it begins") is False
    # Wherever it is looked at from, the ledger is that beside the file.
    assert [each.name for each in (folder / STATE_ROOT).iterdir()] == ["flags.json"]
    assert opened(str(folder / "iris.yaml")).observe().asked.shares_bp == (9000, 1000)
    for where in ({"state": folder}, {"namespace": "models"}, {"context": "dev"}):
        with pytest.raises(UsageError, match="flagFile"):
            opened("team/iris.yaml", **where)


def test_a_flag_in_a_file_is_nothing_for_a_cluster(tmp_path):
    experiment = load(of_file(tmp_path) / "iris.yaml")
    with pytest.raises(SpecError, match="is in no cluster"):
        in_cluster(None, experiment)
