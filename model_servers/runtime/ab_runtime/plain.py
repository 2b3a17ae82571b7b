"""Plain requests over REST: a tensor of floats and nothing special, in and out of JSON."""

from functools import cache
from typing import Any

import numpy as np
from mlserver.codecs.numpy import to_datatype
from numpy.typing import NDArray

_REQUEST_KEYS = {"id", "inputs"}
_TENSOR_KEYS = {"name", "shape", "datatype", "data"}


def tensor(request: Any) -> dict[str, Any] | None:
    """The only tensor of a decoded request that has nothing else but an id; else None."""
    match request:
        case {"inputs": [{"name": str(), "shape": [int(), int()], "data": list()} as found]} if (
            request.keys() <= _REQUEST_KEYS
            and found.keys() == _TENSOR_KEYS
            and isinstance(request.get("id", ""), str)
            and isinstance(found["datatype"], str)
        ):
            return dict(found)
    return None


def output(predictions: NDArray[Any]) -> dict[str, Any]:
    """Predictions as MLServer's NumPy codec encodes them."""
    shape = predictions.shape
    return {
        "name": "predict",
        "shape": list(shape) if len(shape) > 1 else [*shape, 1],
        "datatype": _datatype(predictions.dtype),
        "parameters": {"content_type": "np"},
        "data": predictions.ravel().tolist(),
    }


@cache
def _datatype(dtype: np.dtype[Any]) -> str:
    return str(to_datatype(dtype).value)
