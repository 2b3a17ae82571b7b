"""The short prediction is the long one, to the last bit."""

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    Ridge,
    SGDClassifier,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from ab_runtime.linear import linear_predict

ROWS, LABELS = load_iris(return_X_y=True)
TWO = LABELS < 2


class Contrary(LogisticRegression):
    def predict(self, X: Any) -> Any:  # noqa: N803 - its name in scikit-learn
        return 2 - super().predict(X)


LINEAR = [
    LogisticRegression(max_iter=500).fit(ROWS, LABELS),
    LogisticRegression(max_iter=500).fit(ROWS[TWO], LABELS[TWO]),
    LogisticRegression(max_iter=500, fit_intercept=False).fit(ROWS, LABELS * 3.0 - 1),
    LinearSVC().fit(ROWS, LABELS),
    SGDClassifier(random_state=1).fit(ROWS, LABELS),
    LinearRegression().fit(ROWS, LABELS),
    LinearRegression().fit(ROWS, np.column_stack([LABELS, LABELS**2])),
    LinearRegression().fit(ROWS.astype(np.float32), LABELS.astype(np.float32)),
]
OTHERS = [
    RandomForestClassifier(3, random_state=1).fit(ROWS, LABELS),
    make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, LABELS),
    LogisticRegression(max_iter=500).fit(ROWS, np.array(list("abc"))[LABELS]),
    LogisticRegression(max_iter=500).fit(ROWS, LABELS).sparsify(),
    Ridge().fit(ROWS, LABELS),
    Contrary(max_iter=500).fit(ROWS, LABELS),
]


def batches(dtype: type) -> list[Any]:
    rng = np.random.default_rng(7)
    scales = [rng.normal(size=(200, 4)) * 10.0**power for power in range(-6, 7)]
    single = [row[None] for row in ROWS]
    return [each.astype(dtype) for each in (*scales, *single, ROWS, np.zeros((3, 4)))]


@pytest.mark.parametrize("model", LINEAR, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_is_what_scikit_learn_predicts(model: Any, dtype: type) -> None:
    predict = linear_predict(model)
    assert predict is not None
    for rows in batches(dtype):
        expected = model.predict(rows)
        found = predict(rows)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_ties_go_the_same_way() -> None:
    model = LogisticRegression(max_iter=500).fit(ROWS, LABELS)
    model.coef_[1] = model.coef_[0]
    model.intercept_[:] = model.intercept_[0]
    rows = np.vstack([ROWS, np.zeros((1, 4))])
    scores = model.decision_function(rows)
    assert (scores[:, 0] == scores[:, 1]).all()
    assert set(model.predict(rows)) >= {0}  # the first of equals wins somewhere
    predict = linear_predict(model)
    assert predict is not None
    np.testing.assert_array_equal(predict(rows), model.predict(rows))


def test_a_binary_tie_goes_the_same_way() -> None:
    model = LogisticRegression().fit(ROWS[TWO], LABELS[TWO])
    model.coef_[:], model.intercept_[:] = [[1.0, -1.0, 0.0, 0.0]], 0.0
    rows = np.array([[2.0, 2.0, 1.0, 1.0], [2.0, 1.0, 0.0, 0.0], [1.0, 2.0, 0.0, 0.0]])
    assert model.decision_function(rows)[0] == 0
    predict = linear_predict(model)
    assert predict is not None
    np.testing.assert_array_equal(predict(rows), model.predict(rows))


@pytest.mark.parametrize("model", OTHERS, ids=lambda model: type(model).__name__)
def test_all_others_take_the_long_way(model: Any) -> None:
    assert linear_predict(model) is None
