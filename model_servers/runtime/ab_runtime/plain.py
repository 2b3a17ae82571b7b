"""Plain requests: one tensor of floats for a linear model, answered without MLServer's codecs."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from mlserver.codecs.numpy import to_datatype
from numpy.typing import NDArray

_FLOATS = {"FP32": np.float32, "FP64": np.float64}
_SHAPE = 2
_REQUEST_KEYS = {"id", "inputs"}
_TENSOR_KEYS = {"name", "shape", "datatype", "data"}


def rows(
    datatype: str, shape: Sequence[int], data: Any, features: int
) -> NDArray[np.floating[Any]] | None:
    """The tensor as finite rows [n, features], n at least 1; None if it is anything else."""
    if datatype not in _FLOATS or len(shape) != _SHAPE or shape[1] != features or shape[0] < 1:
        return None
    try:
        found = np.array(data, _FLOATS[datatype])
    except (ValueError, TypeError, OverflowError):
        return None
    if found.size != shape[0] * features or not np.isfinite(found).all():
        return None
    return found.reshape(shape[0], features)


def tensor(request: Any) -> dict[str, Any] | None:
    """The only tensor of a decoded JSON request that has nothing else but an id; else None."""
    match request:
        case {"inputs": [{"name": str(), "shape": [int(), int()], "data": list()} as found]} if (
            request.keys() <= _REQUEST_KEYS
            and found.keys() == _TENSOR_KEYS
            and isinstance(request.get("id", ""), str)
            and isinstance(found["datatype"], str)
        ):
            return dict(found)
    return None


def output(values: NDArray[Any]) -> dict[str, Any]:
    """Predictions as MLServer's NumPy codec encodes them."""
    return {
        "name": "predict",
        "shape": list(values.shape) if values.ndim > 1 else [len(values), 1],
        "datatype": _datatype(values.dtype),
        "parameters": {"content_type": "np"},
        "data": values.ravel().tolist(),
    }


@cache
def _datatype(dtype: np.dtype[Any]) -> str:
    return str(to_datatype(dtype).value)
