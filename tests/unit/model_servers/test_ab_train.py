"""The example models: the same every time, two alike and one worse."""

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris

from ab_runtime import artefact
from ab_runtime.linear import linear_predict

ROOT = Path(__file__).parents[3]
ROWS = load_iris().data


@pytest.fixture(scope="module")
def train() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train", ROOT / "model_servers/train.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(train: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train.py", str(folder)])
        train.main()
    return folder


def test_two_are_good_and_the_third_is_worse_and_slower(train: ModuleType) -> None:
    trained = {version: (model, accuracy) for version, _, model, accuracy in train.train()}
    assert list(trained) == ["v1", "v2", "v3"]
    assert trained["v1"][1] > 0.9
    assert trained["v2"][1] == trained["v1"][1]  # what is held out does not tell them apart
    assert 0.5 < trained["v3"][1] < 0.8
    assert (trained["v1"][0].C, trained["v2"][0].C) == (1.0, 0.03)
    assert linear_predict(trained["v1"][0]) is not None
    assert linear_predict(trained["v3"][0]) is None
    assert len(trained["v3"][0].estimators_) == 20


def test_the_same_every_time(train: ModuleType, folder: Path) -> None:
    for version, _, model, _ in train.train():
        saved = joblib.load(folder / version / "model.joblib")
        np.testing.assert_array_equal(saved.predict_proba(ROWS), model.predict_proba(ROWS))


def test_the_runtime_takes_what_is_written(folder: Path) -> None:
    for version in ("v1", "v2", "v3"):
        assert artefact.load(folder / version / "model.joblib").n_features_in_ == 4
        names = sorted(path.name for path in (folder / version).iterdir())
        assert names == ["model.joblib", "model.joblib.sha256"]
        line = (folder / version / "model.joblib.sha256").read_text()
        content = (folder / version / "model.joblib").read_bytes()
        assert line == f"{hashlib.sha256(content).hexdigest()}  model.joblib\n"


def test_it_says_how_good_they_are(
    train: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", str(tmp_path)])
    train.main()
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == ["version", "v1", "v2", "v3"]
    assert "93.3%" in printed[1]
