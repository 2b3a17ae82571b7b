"""The runtime, without a server: short and long way agree, and mistakes have reasons."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from mlserver import ModelSettings
from mlserver.errors import MLServerError
from mlserver.settings import ModelParameters
from mlserver.types import InferenceRequest
from mlserver_sklearn import SKLearnModel
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression

from ab_runtime.runtime import ABRuntime

ROWS, LABELS = load_iris(return_X_y=True)
LOGISTIC = LogisticRegression(max_iter=500).fit(ROWS, LABELS)
FOREST = RandomForestClassifier(5, random_state=1).fit(ROWS, LABELS)
NAMES = np.array(["setosa", "versicolor", "virginica"])[LABELS]

Load = Callable[..., "Served"]


class Served:
    """A loaded runtime, and the stock one with the same model."""

    def __init__(self, settings: ModelSettings) -> None:
        self.runtime = ABRuntime(settings)
        assert asyncio.run(self.runtime.load())
        self.stock = SKLearnModel(settings)
        asyncio.run(self.stock.load())

    def predict(self, request: dict[str, Any]) -> dict[str, Any]:
        content = {"id": "r1", **request}
        response = asyncio.run(self.runtime.predict(InferenceRequest.model_validate(content)))
        return response.model_dump()

    def outputs(self, request: dict[str, Any]) -> Any:
        response = asyncio.run(self.stock.predict(InferenceRequest.model_validate(request)))
        return response.model_dump()["outputs"]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    path = tmp_path / "model.joblib"
    monkeypatch.setattr(ABRuntime, "_has_served", False)
    monkeypatch.setattr(logging, "disable", lambda: None)

    def make(model: Any) -> Served:
        joblib.dump(model, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        path.with_name("model.joblib.sha256").write_text(digest)
        parameters = ModelParameters(uri=str(path), version="v1")
        settings = ModelSettings(name="iris", implementation=ABRuntime, parameters=parameters)
        return Served(settings)

    return make


def plain(rows: Any, datatype: str = "FP64") -> dict[str, Any]:
    array = np.asarray(rows)
    tensor = {"shape": list(array.shape), "datatype": datatype, "data": array.ravel().tolist()}
    return {"inputs": [{"name": "rows", **tensor}]}


PLAIN = [
    plain(ROWS),
    plain(ROWS[:1], "FP32"),
    plain(ROWS[70:73].astype(int), "FP32"),
    plain(np.random.default_rng(3).normal(size=(50, 4)) * 5, "FP32"),
    {"inputs": [plain(ROWS[:2])["inputs"][0] | {"data": ROWS[:2].tolist()}]},
    plain(ROWS[:1]) | {"id": ""},
]


@pytest.mark.parametrize("request_", PLAIN, ids=range(len(PLAIN)))
@pytest.mark.parametrize(
    "model",
    [
        LOGISTIC,
        LinearRegression().fit(ROWS, LABELS),
        LinearRegression().fit(ROWS, np.column_stack([LABELS, LABELS])),
    ],
    ids=["classes", "values", "pairs"],
)
def test_short_long_and_stock_answers_are_the_same(
    load: Load, model: Any, request_: dict[str, Any]
) -> None:
    served = load(model)
    request_ = {"id": "r1"} | request_
    short = served.runtime.answer(request_)
    assert short is not None
    content, predictions = short
    long = served.predict(request_)
    long["id"] = request_["id"]  # MLServer's data plane sets it
    assert {k: v for k, v in long.items() if k != "parameters"} == {
        k: v for k, v in content.items() if k != "parameters"
    }
    assert content["outputs"] == served.outputs(request_)
    assert predictions == content["outputs"][0]["data"]


NOT_PLAIN = [
    plain(ROWS) | {"outputs": [{"name": "predict"}]},
    plain(ROWS) | {"parameters": {"content_type": "np"}},
    plain(ROWS) | {"id": 7},
    plain(ROWS) | {"id": None},
    plain(ROWS.astype(int), "INT64"),
    plain(ROWS[0]),
    plain(ROWS[:, :3]),
    plain(ROWS[:0]),
    plain([[1.0, 2.0, 3.0, float("nan")]]),
    plain([[1.0, 2.0, 3.0, 1e300]], "FP32"),
    {"inputs": plain(ROWS)["inputs"] * 2},
    {"inputs": [plain(ROWS)["inputs"][0] | {"parameters": {"content_type": "np"}}]},
    {"inputs": [plain(ROWS[:1])["inputs"][0] | {"data": ["a", "b", "c", "d"]}]},
    {"inputs": [plain(ROWS[:1])["inputs"][0] | {"data": [1.0, 2.0]}]},
    {"inputs": [plain(ROWS[:1])["inputs"][0] | {"datatype": ["FP32"]}]},
    {"inputs": []},
    {"inputs": None},
    {},
    [],
    "text",
    None,
]


@pytest.mark.parametrize("request_", NOT_PLAIN, ids=range(len(NOT_PLAIN)))
def test_whatever_is_special_is_left_to_the_long_way(load: Load, request_: Any) -> None:
    assert load(LOGISTIC).runtime.answer(request_) is None


@pytest.mark.parametrize("model", [LOGISTIC, FOREST], ids=["linear", "forest"])
def test_other_outputs_are_those_of_the_stock_runtime(load: Load, model: Any) -> None:
    served = load(model)
    wanted = plain(ROWS) | {"outputs": [{"name": "predict"}, {"name": "predict_proba"}]}
    outputs = served.predict(wanted)["outputs"]
    assert outputs == served.outputs(wanted)
    probabilities = np.reshape(outputs[1]["data"], (-1, 3))
    np.testing.assert_array_equal(probabilities, model.predict_proba(ROWS))


WRONG = [
    plain(ROWS[:, :3]),
    plain(ROWS[0]),
    plain(ROWS[:0]),
    plain(ROWS.reshape(10, 15, 4)),
    plain([[1.0, 2.0, 3.0, 1e300]], "FP32"),
    plain(ROWS) | {"outputs": [{"name": "transform"}]},
    plain(ROWS) | {"outputs": [{"name": "score"}]},
    {"inputs": plain(ROWS)["inputs"] * 2},
    {"inputs": []},
    {"inputs": [plain(ROWS[:1])["inputs"][0] | {"data": ["a", "b", "c", "d"]}]},
    {"inputs": [plain(ROWS[:1])["inputs"][0] | {"data": [1.0, 2.0]}]},
    {"inputs": [plain(ROWS[:1])["inputs"][0] | {"data": [[1.0], [2.0, 3.0], 4.0]}]},
    {"inputs": [plain(ROWS[:1])["inputs"][0] | {"data": {"a": 1}}]},
    {"inputs": [plain(ROWS[:1])["inputs"][0] | {"datatype": "INT8", "data": [1, 2, 3, 1000]}]},
    {"inputs": [plain(ROWS[:1])["inputs"][0] | {"datatype": "BYTES", "data": list("abcd")}]},
    {"inputs": [plain(ROWS[:1])["inputs"][0] | {"shape": [-1, 4], "data": []}]},
    {"inputs": [plain(ROWS[:1])["inputs"][0] | {"shape": []}]},
]


@pytest.mark.parametrize("request_", WRONG, ids=range(len(WRONG)))
@pytest.mark.parametrize("model", [LOGISTIC, FOREST], ids=["linear", "forest"])
def test_what_the_client_got_wrong_is_a_400(
    load: Load, model: Any, request_: dict[str, Any]
) -> None:
    served = load(model)
    with pytest.raises(MLServerError) as raised:
        served.predict(request_)
    assert raised.value.status_code == 400


@pytest.mark.process
def test_only_a_model_that_takes_nan_gets_it(load: Load) -> None:
    nan = plain([[1.0, 2.0, 3.0, float("nan")]])
    taking = HistGradientBoostingClassifier(max_iter=2).fit(ROWS, LABELS)
    served = load(taking)
    assert served.predict(nan)["outputs"][0]["data"] == taking.predict([[1, 2, 3, np.nan]])
    with pytest.raises(MLServerError, match="not finite"):
        served.predict(plain([[1.0, 2.0, 3.0, float("inf")]]))
    with pytest.raises(MLServerError, match="not finite"):
        load(LOGISTIC).predict(nan)


def test_a_server_that_never_served_ends(load: Load, tmp_path: Path) -> None:
    served = load(LOGISTIC)
    (tmp_path / "model.joblib").unlink()
    ABRuntime._has_served = False
    with pytest.raises(SystemExit, match=r"error: .*model.joblib is missing"):
        asyncio.run(ABRuntime(served.runtime.settings).load())


def test_a_server_that_served_goes_on(load: Load, tmp_path: Path) -> None:
    served = load(LOGISTIC)
    (tmp_path / "model.joblib").unlink()
    with pytest.raises(MLServerError, match=r"model.joblib is missing"):
        asyncio.run(ABRuntime(served.runtime.settings).load())


def test_answers_are_json(load: Load) -> None:
    short = load(LOGISTIC).runtime.answer(plain(ROWS))
    assert short is not None
    json.dumps(short[0], allow_nan=False)
