"""What a model takes, and the two ways to it: a plain tensor, or whatever MLServer decoded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mlserver.errors import InferenceError
from numpy.typing import NDArray
from sklearn.utils import get_tags

_FLOATS = {"FP32": np.float32, "FP64": np.float64}
_NUMBERS = "biuf"


@dataclass(frozen=True)
class Inputs:
    """Rows of `features` numbers (None: the model does not say), finite but for a NaN if taken."""

    features: int | None
    takes_nan: bool

    @classmethod
    def of(cls, model: Any) -> "Inputs":
        """What a fitted estimator takes."""
        tags = get_tags(model).input_tags
        return cls(getattr(model, "n_features_in_", None), tags.allow_nan)

    def plain(
        self, datatype: str, shape: Sequence[int], data: Any
    ) -> NDArray[np.floating[Any]] | None:
        """A tensor of finite floats [n, features], n at least 1; None if it is anything else."""
        if datatype not in _FLOATS or tuple(shape[1:]) != (self.features,) or shape[0] < 1:
            return None
        try:
            # What overflows a float32 is infinite, and so refused below.
            with np.errstate(over="ignore"):
                rows = np.array(data, _FLOATS[datatype])
        except (ValueError, TypeError, OverflowError):
            return None
        if rows.size != shape[0] * shape[1] or not np.isfinite(rows).all():
            return None
        return rows.reshape(shape)

    def check(self, rows: Any) -> None:
        """Refuse rows that the model would fail on.

        Raises:
            InferenceError: a wrong shape, no numbers, or numbers that are not finite.
        """
        if self.features is None:
            return
        wanted = f"must be numbers of shape [rows, {self.features}]"
        shape = tuple(getattr(rows, "shape", ()))
        if shape[1:] != (self.features,) or shape[0] < 1:
            raise InferenceError(f"inputs of shape {list(shape)}, {wanted}")
        if isinstance(rows, np.ndarray):
            if rows.dtype.kind not in _NUMBERS:
                raise InferenceError(f"inputs that are no numbers, {wanted}")
            if np.isinf(rows).any() or (not self.takes_nan and np.isnan(rows).any()):
                raise InferenceError(f"inputs that are not finite, {wanted}")
