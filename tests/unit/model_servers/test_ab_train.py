"""The example models: the same every time, two alike and one worse."""

import hashlib
import resource
import runpy
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris

from ab_runtime import artefact
from ab_runtime.linear import linear_predict
from abctl.errors import UsageError
from abctl.local import examples

SERVERS = Path(__file__).parents[3] / "model_servers"
ROWS = load_iris().data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    examples.write(folder)
    return folder


def test_two_are_good_and_the_third_is_worse_and_slower() -> None:
    trained = {each.version: (each.model, each.accuracy) for each in examples.train()}
    assert list(trained) == ["v1", "v2", "v3"]
    assert trained["v1"][1] > 0.9
    assert trained["v2"][1] == trained["v1"][1]  # what is held out does not tell them apart
    assert 0.5 < trained["v3"][1] < 0.8
    assert (trained["v1"][0].C, trained["v2"][0].C) == (1.0, 0.03)
    assert linear_predict(trained["v1"][0]) is not None
    assert linear_predict(trained["v3"][0]) is None
    assert len(trained["v3"][0].estimators_) == 20


@pytest.mark.slow
def test_the_same_every_time(folder: Path) -> None:
    for each in examples.train():
        saved = joblib.load(folder / each.version / "model.joblib")
        np.testing.assert_array_equal(saved.predict_proba(ROWS), each.model.predict_proba(ROWS))


def test_the_runtime_takes_what_is_written(folder: Path) -> None:
    for version in ("v1", "v2", "v3"):
        assert artefact.load(folder / version / "model.joblib").n_features_in_ == 4
        names = sorted(path.name for path in (folder / version).iterdir())
        settings = ["model-settings.json", "settings.json"]
        assert names == [settings[0], "model.joblib", "model.joblib.sha256", settings[1]]
        # Those of the images are the same.
        for name in settings:
            assert (folder / version / name).read_text() == (SERVERS / version / name).read_text()
        line = (folder / version / "model.joblib.sha256").read_text()
        content = (folder / version / "model.joblib").read_bytes()
        assert line == f"{hashlib.sha256(content).hexdigest()}  model.joblib\n"


def test_only_those_that_are_wanted_are_trained(tmp_path: Path) -> None:
    assert [each.version for each in examples.write(tmp_path, {"v3", "v1", "v9"})] == ["v1", "v3"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v1", "v3"]


def test_a_model_for_which_there_is_no_room_leaves_nothing_of_itself(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
    try:
        with pytest.raises(UsageError, match=r"model\.joblib cannot be written: File too large"):
            examples.write(tmp_path, {"v1"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(path.name for path in (tmp_path / "v1").iterdir()) == [
        "model-settings.json",
        "model.joblib.sha256",
        "settings.json",
    ]


def test_it_says_how_good_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", str(tmp_path)])
    runpy.run_path(str(SERVERS / "train.py"), run_name="__main__")
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == ["version", "v1", "v2", "v3"]
    assert "93.3%" in printed[1]
