"""Predictions of linear models as one product of matrices.

scikit-learn spends most of a small prediction on checks. Where its `predict` is only
`X @ coef_.T + intercept_` and a choice of the class, the same expression on the same arrays gives
the same bits in a small part of the time.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression, LogisticRegression

Floats = NDArray[np.floating[Any]]
Predict = Callable[[Floats], NDArray[Any]]


def linear_predict(model: Any) -> Predict | None:
    """The model's `predict` for finite rows [n, n_features_in_], or None if it is not linear.

    Linear are models with the very `predict` and decision function of LogisticRegression (also
    LinearSVC, SGDClassifier ...) or of LinearRegression, with dense coefficients and with numbers
    as classes.
    """
    kind = type(model)
    if not isinstance(getattr(model, "coef_", None), np.ndarray):
        return None
    if _same(kind, LogisticRegression, "predict", "decision_function"):
        return _classifier(model.coef_.T, model.intercept_, model.classes_)
    if _same(kind, LinearRegression, "predict", "_decision_function"):
        coefficients, intercept = model.coef_.T, model.intercept_
        return lambda rows: np.asarray(rows @ coefficients + intercept)
    return None


def _same(kind: type, other: type, *methods: str) -> bool:
    return all(getattr(kind, name, None) is getattr(other, name) for name in methods)


def _classifier(coefficients: Floats, intercept: Floats, classes: NDArray[Any]) -> Predict | None:
    if classes.dtype.kind not in "iuf":
        return None
    if coefficients.shape[1] > 1:
        return lambda rows: np.asarray(classes[(rows @ coefficients + intercept).argmax(axis=1)])
    return lambda rows: np.asarray(
        classes[((rows @ coefficients + intercept).reshape(-1) > 0).astype(int)]
    )
