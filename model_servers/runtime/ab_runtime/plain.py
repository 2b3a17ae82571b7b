"""Plain requests over REST: a tensor of floats and nothing special, in and out of JSON."""

import os
from functools import cache
from typing import Any

import numpy as np
from mlserver.codecs.numpy import to_datatype
from numpy.typing import NDArray

_REQUEST_KEYS = {"id", "inputs"}
_TENSOR_KEYS = {"name", "shape", "datatype", "data"}
_VARIANTS = {f"{digit:x}": "89ab"[digit % 4] for digit in range(16)}


def request_id() -> str:
    """A random UUID (RFC 9562, version 4), as `uuid.uuid4` makes it, but quicker.

    >>> import uuid
    >>> found = uuid.UUID(request_id())
    >>> found.version, found.variant == uuid.RFC_4122
    (4, True)
    """
    drawn = os.urandom(16).hex()
    variant = _VARIANTS[drawn[16]]
    return f"{drawn[:8]}-{drawn[8:12]}-4{drawn[13:16]}-{variant}{drawn[17:20]}-{drawn[20:]}"


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
