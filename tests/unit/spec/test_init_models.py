"""A first experiment of somebody's own models."""

import hashlib
import json
import pickle
import re
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from abctl.cli.main import run
from abctl.spec import load
from abctl.spec.init_models import OUTCOMES

Screen = pytest.CaptureFixture[str]
ROWS = np.arange(12.0).reshape(4, 3)
CLASSES = np.array([0, 1, 0, 1])
XGBOOST = {
    "learner": {
        "learner_model_param": {"num_feature": "7"},
        "objective": {"name": "multi:softprob"},
    }
}
LIGHTGBM = "tree\nversion=v4\nnum_class=1\nmax_feature_idx=4\nobjective=regression\n"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def tensor(features: int) -> list[dict[str, Any]]:
    return [{"name": "predict", "datatype": "FP64", "shape": [-1, features]}]


def settings(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(folder, "model-settings.json").read_text())
    return found


def test_two_files_are_two_variants(capsys: Screen) -> None:
    for name, model in (("old", RandomForestClassifier(2)), ("new", LogisticRegression())):
        joblib.dump(model.fit(ROWS, CLASSES), f"{name}.joblib")
    Path("sub").mkdir()
    models = ["--model", "old.joblib", "--model", "new.joblib"]
    assert run(["init", "sub/Digits v2.yaml", *models]) == 0
    assert capsys.readouterr().err.endswith("next: abctl local up sub/Digits v2.yaml\n")
    experiment = load(Path("sub/Digits v2.yaml"))
    assert experiment.name == "digits-v2"
    assert [each.name for each in experiment.variants] == ["control", "treatment"]
    for variant, name in zip(experiment.variants, ("old", "new"), strict=True):
        folder = Path("sub/models/digits-v2", name).resolve()
        content = (folder / "model.joblib").read_bytes()
        assert content == Path(f"{name}.joblib").read_bytes()
        assert variant.model.path == str(folder)
        assert variant.model.sha256 == hashlib.sha256(content).hexdigest()
        assert (variant.model.name, variant.model.version) == ("digits-v2", name)
        assert settings(str(folder))["inputs"] == tensor(3)
    assert {metric.of for metric in experiment.metrics} == {"latency", "errors"}
    assert run(["lint", "sub/Digits v2.yaml"]) == 0
    # Once more it would overwrite them.
    before = Path("sub/Digits v2.yaml").read_bytes()
    assert run(["init", "sub/Digits v2.yaml", *models]) == 2
    assert run(["init", "sub/other.yaml", "--name", "digits-v2", *models]) == 2
    assert "exists already" in capsys.readouterr().err
    assert Path("sub/Digits v2.yaml").read_bytes() == before
    assert not Path("sub/other.yaml").exists()
    assert run(["init", "sub/Digits v2.yaml", *models, "--force"]) == 0


def test_files_of_one_name_get_versions_and_one_model_alone_is_an_aa_test(capsys: Screen) -> None:
    for name in ("a", "b"):
        Path(name).mkdir()
        joblib.dump(LinearRegression().fit(ROWS, CLASSES), f"{name}/model.joblib")
    assert run(["init", "x.yaml", "--model", "a/model.joblib", "--model", "b/model.joblib"]) == 0
    assert [v.model.version for v in load(Path("x.yaml")).variants] == ["v1", "v2"]
    assert "absolute_error" in Path("x.yaml").read_text()
    capsys.readouterr()
    assert run(["init", "y.yaml", "--model", "a/model.joblib"]) == 0
    assert "an A/A test" in capsys.readouterr().err
    one, other = load(Path("y.yaml")).variants
    assert one.model == other.model
    assert run(["init", "z.yaml", *["--model", "a/model.joblib"] * 3]) == 0
    assert [v.name for v in load(Path("z.yaml")).variants][1:] == ["treatment-1", "treatment-2"]


@pytest.mark.parametrize(
    ("name", "content", "implementation", "inputs"),
    [
        ("x.json", json.dumps(XGBOOST), "mlserver_xgboost.XGBoostModel", tensor(7)),
        ("x.ubj", "{L\0\0learner", "mlserver_xgboost.XGBoostModel", None),
        ("x.txt", LIGHTGBM, "mlserver_lightgbm.LightGBMModel", tensor(5)),
        ("x/MLmodel", "flavors: {}", "mlserver_mlflow.MLflowRuntime", None),
    ],
)
def test_the_file_says_which_runtime_serves_it(
    name: str, content: str, implementation: str, inputs: object
) -> None:
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    model = str(path.parent if path.name == "MLmodel" else path)
    assert run(["init", "e.yaml", "--model", model]) == 0
    found = settings("models/e/x")
    assert found["implementation"] == implementation
    assert found.get("inputs") == inputs


def test_a_folder_of_mlflow_without_a_signature_gets_arrays(capsys: Screen) -> None:
    for name, text in (("signed", "signature: {inputs: '[]'}"), ("unsigned", "flavors: {}")):
        Path(name).mkdir()
        Path(name, "MLmodel").write_text(text)
    assert run(["init", "e.yaml", "--model", "signed", "--model", "unsigned"]) == 0
    err = capsys.readouterr().err
    assert "unsigned does not say what it takes" in err
    assert "\nsigned does not" not in err
    assert "content_type" not in settings("models/e/signed")["parameters"]
    assert settings("models/e/unsigned")["parameters"]["content_type"] == "np"
    Path("signed", "MLmodel").write_text("[")
    assert run(["init", "f.yaml", "--model", "signed"]) == 2
    assert "MLmodel cannot be read" in capsys.readouterr().err


def test_texts_and_columns_are_found_in_pipelines() -> None:
    texts = make_pipeline(TfidfVectorizer(), LogisticRegression())
    joblib.dump(texts.fit(["a word", "b word"], [0, 1]), "texts.joblib")
    frame = pd.DataFrame({"age": [1.0, 2.0], "town": ["x", "y"]})
    by_column = ColumnTransformer(
        [("n", StandardScaler(), ["age"]), ("w", OneHotEncoder(), ["town"])]
    )
    joblib.dump(make_pipeline(by_column, LinearRegression()).fit(frame, [0, 1]), "frame.joblib")
    assert run(["init", "e.yaml", "--model", "texts.joblib", "--model", "frame.joblib"]) == 0
    assert settings("models/e/texts")["inputs"] == [
        {"name": "predict", "datatype": "BYTES", "shape": [-1]}
    ]
    assert [(each["name"], each["datatype"]) for each in settings("models/e/frame")["inputs"]] == [
        ("age", "FP64"),
        ("town", "BYTES"),
    ]


def test_a_folder_of_mlserver_stays_where_it_is() -> None:
    for name in ("one", "two"):
        Path("stock", name).mkdir(parents=True)
        Path("stock", name, "model-settings.json").write_text(
            json.dumps({"name": f"wine-{name}", "implementation": "own.Model"})
        )
    assert run(["init", "e.yaml", "--model", "stock/one", "--model", "stock/two"]) == 0
    one, two = load(Path("e.yaml")).variants
    assert (one.model.path, two.model.path) == tuple(
        str(Path("stock", name).resolve()) for name in ("one", "two")
    )
    # The path of a request names one model.
    assert {one.model.name, two.model.name} == {"wine-one"}
    assert not Path("models").exists()


@pytest.mark.parametrize(
    ("name", "content", "code", "words"),
    [
        ("none.joblib", None, 5, "does not exist"),
        ("a.joblib", b"", 2, "is empty"),
        ("a.joblib", b"\x80\x05no", 2, "cannot be unpickled"),
        ("a.joblib", pickle.dumps({"a": 1}), 2, "holds a dict"),
        ("a.joblib", b"\x80\x04cnowhere_at_all\nModel\n.", 2, "needs the module nowhere_at_all"),
        ("a.joblib", b"c__main__\nNobodysModel\n.", 2, "cannot be unpickled"),
        ("a.pkl", b"x", 2, "the ending .pkl"),
        ("model", b"x", 2, "the ending (none)"),
        ("a.json", b"{}", 2, "not a model of XGBoost"),
        ("a.json", b"[" * 100_000, 2, "not a model of XGBoost"),
        ("a.ubj", b"PK", 2, "not a model of XGBoost"),
        ("a.txt", b"some notes", 2, "not a model of LightGBM"),
        ("folder", {}, 2, "a folder without"),
        ("folder", {"inner/model-settings.json": "{}"}, 2, "--model folder/inner"),
        ("folder", {"model-settings.json": "["}, 2, "not JSON"),
    ],
)
def test_what_is_no_model_is_said_so_and_nothing_is_written(
    name: str, content: Any, code: int, words: str, capsys: Screen
) -> None:
    if isinstance(content, bytes):
        Path(name).write_bytes(content)
    elif content is not None:
        Path(name).mkdir()
        for each, text in content.items():
            Path(name, each).parent.mkdir(exist_ok=True)
            Path(name, each).write_text(text)
    assert run(["init", "e.yaml", "--model", name]) == code
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert "hint: " in err
    assert words in err
    assert not Path("e.yaml").exists()
    assert not Path("models").exists()


@pytest.mark.parametrize("outcome", list(OUTCOMES))
def test_an_outcome_decides_and_time_is_guarded(outcome: str) -> None:
    joblib.dump(LinearRegression().fit(ROWS, CLASSES), "a.joblib")
    assert run(["init", "e.yaml", "--model", "a.joblib", "--outcome", outcome]) == 0
    metrics = {metric.of: metric for metric in load(Path("e.yaml")).metrics}
    assert set(metrics) == {outcome, "latency", "errors"}
    assert {of: metric.role for of, metric in metrics.items() if metric.role == "guardrail"} == {
        "latency": "guardrail",
        "errors": "guardrail",
    }
    assert (metrics[outcome].role, metrics["latency"].mde) == ("primary", None)
    better = "decrease" if outcome.endswith("error") else "increase"
    assert metrics[outcome].direction == better
    assert run(["lint", "e.yaml"]) == 0


def test_what_is_commented_out_is_right_once_it_is_not() -> None:
    joblib.dump(RandomForestClassifier(2).fit(ROWS, CLASSES), "a.joblib")
    assert run(["init", "e.yaml", "--model", "a.joblib"]) == 0
    text = Path("e.yaml").read_text()
    start, end = text.index("    # - name: accuracy"), text.index("    - name: latency")
    lines = re.sub(r"^    # ", "    ", text[start:end], flags=re.MULTILINE)
    Path("e.yaml").write_text(text[:start] + lines + text[end:])
    assert [m.of for m in load(Path("e.yaml")).metrics] == ["accuracy", "latency", "errors"]


def test_options_that_do_not_go_together() -> None:
    joblib.dump(LinearRegression().fit(ROWS, CLASSES), "a.joblib")
    assert run(["init", "e.yaml", "--outcome", "accuracy"]) == 2
    assert run(["init", "e.yaml", "--model", "a.joblib", "--outcome", "revenue"]) == 2
    assert run(["init", "-", "--model", "a.joblib"]) == 2
    assert run(["init", "e.yaml", "--model", "a.joblib", "--platform", "seldon"]) == 2
    assert run(["init", "e.yaml", "--model", "a.joblib", "--name", "No Name"]) == 2
    assert not Path("e.yaml").exists()
