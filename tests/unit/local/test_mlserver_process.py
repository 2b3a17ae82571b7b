import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from abctl import installation
from abctl.errors import NotFoundError, SpecError, UsageError
from abctl.local import mlserver
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
    command = mlserver.command(SERVER, model_dir, {"AB_VARIANT": "treatment"}, tmp_path)
    settings = json.loads((command.folder / "settings.json").read_text())
    assert settings["gzip_enabled"] is False
    assert settings["debug"] is False
    assert (settings["http_port"], settings["grpc_port"], settings["metrics_port"]) == (1, 2, 3)
    assert list(Path(settings["metrics_dir"]).iterdir()) == []
    assert (command.folder / "v2" / "model.joblib").exists()
    assert command.environment == {"AB_VARIANT": "treatment", "OMP_NUM_THREADS": "1"}
    assert json.loads((model_dir / "settings.json").read_text())["http_port"] == 80


def test_a_missing_model_says_where_it_is_looked_for(model_dir: Path, tmp_path: Path) -> None:
    recipe = model_dir.parent / "train.py"
    for name in ("model.joblib", "model-settings.json"):
        (model_dir / name).unlink()
        with pytest.raises(NotFoundError, match=name) as error:
            mlserver.command(SERVER, model_dir, {}, tmp_path)
        assert error.value.hint == "--models names the folder that has one for each version"
    recipe.touch()  # as in a checkout of abctl
    with pytest.raises(NotFoundError) as error:
        mlserver.command(SERVER, model_dir, {}, tmp_path)
    assert error.value.hint.startswith(f"python {recipe} makes those of that folder; --models")


@pytest.mark.parametrize(
    ("text", "problem"),
    [('{"name": "wine"}', "wine"), ("{", "not JSON"), ("[]", "must be a mapping")],
)
def test_wrong_model_settings(model_dir: Path, tmp_path: Path, text: str, problem: str) -> None:
    (model_dir / "model-settings.json").write_text(text)
    with pytest.raises(SpecError, match=problem):
        mlserver.command(SERVER, model_dir, {}, tmp_path)


def test_a_state_folder_that_mlserver_cannot_search(model_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not find models"):
        mlserver.command(SERVER, model_dir, {}, tmp_path / "[1]")


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
