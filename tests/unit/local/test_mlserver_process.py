import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from abctl import installation
from abctl.errors import SpecError, UsageError
from abctl.local import mlserver
from abctl.local.model_folder import ModelFolder
from abctl.local.stack import Server

SERVER = Server("treatment", "iris", 1, 2, 3)


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "v2"
    folder.mkdir(parents=True)
    (folder / "model.joblib").touch()
    write(folder / "model-settings.json", {"name": "iris", "parameters": {"uri": "./model.joblib"}})
    return folder


def write(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data))


def test_our_settings_go_over_the_models(model_dir: Path, tmp_path: Path) -> None:
    write(model_dir / "settings.json", {"http_port": 80, "debug": True, "gzip_enabled": False})
    command = mlserver.command(
        SERVER, ModelFolder.at(model_dir), {"AB_VARIANT": "treatment"}, tmp_path
    )
    settings = json.loads((command.folder / "settings.json").read_text())
    assert settings["gzip_enabled"] is False
    assert settings["debug"] is False
    assert (settings["http_port"], settings["grpc_port"], settings["metrics_port"]) == (1, 2, 3)
    assert list(Path(settings["metrics_dir"]).iterdir()) == []
    assert (command.folder / "v2" / "model.joblib").exists()
    assert command.environment == {
        "AB_VARIANT": "treatment",
        "AB_MODELS": "iris",
        "OMP_NUM_THREADS": "1",
    }
    assert settings["parallel_workers"] == 0
    assert json.loads((model_dir / "settings.json").read_text())["http_port"] == 80


@pytest.mark.parametrize(
    ("text", "problem"),
    [('{"name": "wine"}', "wine"), ("{", "not JSON"), ("[]", "must be a mapping")],
)
def test_wrong_model_settings(model_dir: Path, tmp_path: Path, text: str, problem: str) -> None:
    (model_dir / "model-settings.json").write_text(text)
    with pytest.raises(SpecError, match=problem):
        mlserver.command(SERVER, ModelFolder.at(model_dir), {}, tmp_path)


def test_a_folder_that_is_named_is_served_under_the_name_that_requests_use(
    model_dir: Path, tmp_path: Path
) -> None:
    settings = {"name": "wine", "parameters": {"uri": "./model.joblib"}}
    write(model_dir / "model-settings.json", settings)
    command = mlserver.command(SERVER, ModelFolder.at(model_dir, renamed=True), {}, tmp_path)
    served = command.folder / "v2"
    found = json.loads((served / "model-settings.json").read_text())
    assert found == {**settings, "name": "iris"}
    assert (served / "model.joblib").resolve() == model_dir / "model.joblib"
    assert json.loads((model_dir / "model-settings.json").read_text()) == settings


@pytest.mark.parametrize("uri", ["../shared/model.joblib", "x/../../shared/model.joblib"])
def test_a_model_beside_its_folder_is_found_from_the_link(
    model_dir: Path, tmp_path: Path, uri: str
) -> None:
    beside = model_dir.parent / "shared" / "model.joblib"
    beside.parent.mkdir()
    beside.touch()
    (model_dir / "x").mkdir()
    write(model_dir / "model-settings.json", {"name": "iris", "parameters": {"uri": uri, "a": 1}})
    command = mlserver.command(SERVER, ModelFolder.at(model_dir), {}, tmp_path)
    found = json.loads((command.folder / "v2" / "model-settings.json").read_text())
    assert found["parameters"] == {"uri": str(beside), "a": 1}


def test_what_a_server_must_do_goes_over_settings_that_stop_it(
    model_dir: Path, tmp_path: Path
) -> None:
    given = {"load_models_at_startup": False, "metrics_endpoint": None, "root_path": "/x"}
    write(model_dir / "settings.json", {**given, "parallel_workers": 2})
    command = mlserver.command(SERVER, ModelFolder.at(model_dir), {}, tmp_path)
    settings = json.loads((command.folder / "settings.json").read_text())
    assert settings["parallel_workers"] == 2
    assert {name: settings[name] for name in given} == {
        "load_models_at_startup": True,
        "metrics_endpoint": "/metrics",
        "root_path": "",
    }


def test_a_state_folder_that_mlserver_cannot_search(model_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not find models"):
        mlserver.command(SERVER, ModelFolder.at(model_dir), {}, tmp_path / "[1]")


@pytest.mark.parametrize("lacking", ["mlserver", "mlserver_sklearn", "ab_runtime"])
def test_without_mlserver_it_says_how_to_install_it(
    lacking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlserver, "find_spec", lambda name: name != lacking)
    for version, message in (
        ((3, 12, 1), "MLServer is not installed; the extra 'local' has it"),
        ((3, 13, 0), "the local stack's MLServer needs a Python before 3.13, and this is 3."),
    ):
        monkeypatch.setattr(sys, "version_info", version)
        with pytest.raises(UsageError, match=re.escape(message)) as error:
            mlserver.require_installed()
        python = "3.12" if version >= mlserver.TOO_NEW else ""
        assert error.value.hint == installation.again("local", python=python)
    # A later one may run there.
    monkeypatch.setattr(mlserver, "find_spec", lambda _: True)
    mlserver.require_installed()
