"""A model is unpickled only if it is the one that was trained."""

import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import joblib
import pytest
from sklearn.linear_model import LogisticRegression

from ab_runtime import artefact
from ab_runtime.errors import StartError


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def signed(path: Path) -> Path:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name("model.joblib.sha256").write_text(f"{digest}  model.joblib\n")
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.joblib"
    joblib.dump(LogisticRegression(C=0.25), path)
    return signed(path)


def test_the_estimator_comes_back(model: Path) -> None:
    assert artefact.load(model).get_params()["C"] == 0.25


def test_a_missing_file_is_named(model: Path) -> None:
    model.unlink()
    with pytest.raises(StartError, match=r"model.joblib is missing; write both"):
        artefact.load(model)


def test_a_model_of_ones_own_needs_no_checksum(model: Path) -> None:
    model.with_name("model.joblib.sha256").unlink()
    assert artefact.load(model).get_params()["C"] == 0.25


def test_an_altered_model_is_never_unpickled(model: Path, tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    model.write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(StartError, match=r"was altered.*write both"):
        artefact.load(model)
    assert not sprung.exists()
    with pytest.raises(StartError):  # the trap works: with the right checksum it springs
        artefact.load(signed(model))
    assert sprung.exists()


def test_an_empty_checksum_fits_nothing(model: Path) -> None:
    model.with_name("model.joblib.sha256").write_text("")
    with pytest.raises(StartError, match="says nothing"):
        artefact.load(model)


def test_what_is_no_estimator_is_refused(model: Path) -> None:
    joblib.dump({"a": 1}, model)
    with pytest.raises(StartError, match="holds a dict"):
        artefact.load(signed(model))


def test_what_cannot_be_unpickled_is_refused(model: Path) -> None:
    model.write_bytes(b"\x80\x05no pickle")
    with pytest.raises(StartError, match="cannot be unpickled"):
        artefact.load(signed(model))
