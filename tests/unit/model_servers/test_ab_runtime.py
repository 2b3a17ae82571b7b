"""The runtime, without a server: short and long way agree, and every answer is counted."""

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
from prometheus_client import CollectorRegistry
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression

from ab_runtime import runtime as runtime_module
from ab_runtime.counters import Counters
from ab_runtime.runtime import ABRuntime

ROWS, LABELS = load_iris(return_X_y=True)
LOGISTIC = LogisticRegression(max_iter=500).fit(ROWS, LABELS)
FOREST = RandomForestClassifier(5, random_state=1).fit(ROWS, LABELS)
NAMES = np.array(["setosa", "versicolor", "virginica"])[LABELS]

Load = Callable[..., "Served"]


class Served:
    """A loaded runtime and what it counted."""

    def __init__(self, settings: ModelSettings, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.runtime = ABRuntime(settings)
        assert asyncio.run(self.runtime.load())
        self.stock = SKLearnModel(settings)
        asyncio.run(self.stock.load())

    def predict(self, request: dict[str, Any], **headers: str) -> dict[str, Any]:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        content = {"id": "r1", "parameters": {"headers": named}, **request}
        response = asyncio.run(self.runtime.predict(InferenceRequest.model_validate(content)))
        return response.model_dump()

    def outputs(self, request: dict[str, Any]) -> Any:
        response = asyncio.run(self.stock.predict(InferenceRequest.model_validate(request)))
        return response.model_dump()["outputs"]

    def count(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, {"variant": "control", **labels})

    def requests(self, code: str) -> float:
        buckets = [*map(str, range(64)), "none"]
        found = [self.count("ab_requests_total", bucket=each, code=code) for each in buckets]
        return sum(each or 0 for each in found)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    path = tmp_path / "model.joblib"
    monkeypatch.setenv("AB_VARIANT", "control")
    monkeypatch.setenv("AB_SALT", "salt-1")
    monkeypatch.setattr(ABRuntime, "_has_served", False)
    monkeypatch.setattr(logging, "disable", lambda: None)

    def make(model: Any) -> Served:
        registry = CollectorRegistry()
        monkeypatch.setattr(runtime_module, "counters_of", lambda each: Counters(each, registry))
        joblib.dump(model, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        path.with_name("model.joblib.sha256").write_text(digest)
        parameters = ModelParameters(uri=str(path), version="v1")
        settings = ModelSettings(name="iris", implementation=ABRuntime, parameters=parameters)
        return Served(settings, registry)

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
    short = served.runtime.answer(request_, {"x-user-id": "u1"})
    assert short is not None
    content, headers = short
    long = served.predict(request_, x_user_id="u1")
    long["id"] = request_["id"]  # MLServer's data plane sets it
    assert long["parameters"].pop("headers") == headers
    assert content == long
    assert content["outputs"] == served.outputs(request_)
    assert served.requests("2xx") == 2


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
    served = load(LOGISTIC)
    assert served.runtime.answer(request_, {}) is None
    assert served.requests("2xx") + served.requests("4xx") + served.requests("5xx") == 0


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
    assert (served.requests("4xx"), served.requests("5xx")) == (1, 0)
    assert served.count("ab_request_duration_seconds_count") == 0


class Broken(ClassifierMixin, BaseEstimator):
    n_features_in_ = 4

    def predict(self, rows: Any) -> Any:
        raise ValueError("a fault of the model")


def test_a_fault_of_the_model_is_a_5xx(load: Load) -> None:
    served = load(Broken())
    with pytest.raises(ValueError, match="a fault of the model"):
        served.predict(plain(ROWS))
    assert (served.requests("4xx"), served.requests("5xx")) == (0, 1)


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


@pytest.mark.parametrize("labels", [LABELS, NAMES, LABELS.astype(float)], ids=["int", "str", "f"])
@pytest.mark.parametrize("kind", [LogisticRegression(max_iter=500), RandomForestClassifier(3)])
def test_every_row_counts_its_class(load: Load, labels: Any, kind: Any) -> None:
    served = load(kind.fit(ROWS, labels))
    predicted = kind.predict(ROWS).tolist()
    served.predict(plain(ROWS))
    for each in set(labels.tolist()):
        counted = served.count("ab_predictions_total", **{"class": str(each)})
        assert counted == predicted.count(each)


@pytest.mark.parametrize("way", ["short", "long"])
def test_what_the_router_did_not_randomize_is_not_compared(load: Load, way: str) -> None:
    served = load(LOGISTIC)
    for flag in ("false", "true"):
        headers = {"x-user-id": "u1", "x-ab-randomized": flag}
        if way == "short":
            assert served.runtime.answer(plain(ROWS), headers) is not None
        else:
            served.predict(plain(ROWS), **headers)
    bucket = served.runtime._variant.bucket("u1")
    assert served.count("ab_requests_total", bucket="none", code="2xx") == 1
    assert served.count("ab_requests_total", bucket=bucket, code="2xx") == 1
    assert served.count("ab_request_duration_seconds_count") == 1
    assert served.count("ab_predictions_total", **{"class": "0"}) == 50


def test_a_server_that_never_served_ends(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AB_SALT")
    with pytest.raises(SystemExit, match="error: AB_SALT is not set"):
        load(LOGISTIC)


def test_a_server_that_served_goes_on(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    served = load(LOGISTIC)
    monkeypatch.delenv("AB_SALT")
    with pytest.raises(MLServerError, match="AB_SALT is not set"):
        asyncio.run(ABRuntime(served.runtime.settings).load())


def test_answers_are_json(load: Load) -> None:
    short = load(LOGISTIC).runtime.answer(plain(ROWS), {})
    assert short is not None
    json.dumps(short, allow_nan=False)
