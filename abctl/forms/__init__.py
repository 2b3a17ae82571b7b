"""Frozen data as plain JSON and back, by its own type hints (pure).

What comes back is equal to what went in, number for number. Arrays lie apart, each of them once:
all series of a target share the times of its scrapes.
"""

import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from abctl.errors import AbctlError

# With what an array of each may hold; infinities and NaN are texts.
_DTYPES: dict[str, set[type]] = {"float64": {int, float, str}, "int64": {int}, "bool": {bool}}
_WHOLE = 2.0**53
_PLAIN = (str, int, float, bool)


class _Record:
    """The origin of every dataclass."""


class DamagedError(Exception):
    """Plain data that is not what its type says, with its place."""


def array_to_plain(array: NDArray[Any]) -> dict[str, list[Any]]:
    """An array of one dimension; floats that are whole numbers are written as such."""
    whole = array.dtype == np.float64 and bool(
        np.all((np.abs(array) < _WHOLE) & (np.floor(array) == array))
        and not np.any(np.signbit(array[array == 0]))
    )
    numbers = (array.astype(np.int64) if whole else array).tolist()
    if not np.all(np.isfinite(array)):
        numbers = [n if abs(n) < np.inf else str(n) for n in numbers]
    return {f"${array.dtype}": numbers}


def array_of_plain(data: dict[str, Any]) -> Any:
    """The hook for whoever reads JSON: an array for what `array_to_plain` has made.

    Raises:
        DamagedError: it holds something else than numbers.
    """
    for dtype, types_ in _DTYPES.items():
        if len(data) == 1 and isinstance(numbers := data.get(f"${dtype}"), list):
            try:
                if types_.issuperset(map(type, numbers)):
                    return np.array(numbers, dtype=dtype)
            except (ValueError, OverflowError):
                pass
            raise DamagedError(f"an array holds something else than {dtype}")
    return data


class Writer:
    """Makes plain data.

    Attributes:
        arrays: all arrays that were met, in order.
    """

    def __init__(self) -> None:
        self.arrays: list[NDArray[Any]] = []
        self._known: dict[tuple[str, bytes], int] = {}

    def plain(self, value: Any, hint: Any) -> Any:
        """A value of the type `hint` as plain data."""
        hint, origin = _bare(hint, value)
        if value is None:
            return None
        if origin is np.ndarray:
            return self._index(value)
        if origin is _Record:
            return {n: self.plain(getattr(value, n), h) for n, h in _fields(hint).items()}
        if origin is Mapping:
            of_key, of_value = get_args(hint)
            pairs = [(self.plain(k, of_key), self.plain(v, of_value)) for k, v in value.items()]
            return dict(pairs) if of_key is str else [list(pair) for pair in pairs]
        if origin is Sequence:
            return [self.plain(v, h) for v, h in zip(value, _items(hint, len(value)), strict=True)]
        if origin is not Literal and hint not in _PLAIN:
            raise TypeError(f"{hint} has no plain form")
        return value if not isinstance(value, float) or abs(value) < np.inf else str(value)

    def _index(self, array: NDArray[Any]) -> int:
        if array.dtype.name not in _DTYPES or array.ndim != 1:
            raise TypeError(f"an array of {array.dtype}, {array.shape} has no plain form")
        # All that is no number is written alike, whichever of its many forms it has.
        nan = np.isnan(array)
        key = (array.dtype.name, (np.where(nan, np.nan, array) if nan.any() else array).tobytes())
        if key not in self._known:
            self._known[key] = len(self.arrays)
            self.arrays.append(array)
        return self._known[key]


def value_of(data: Any, hint: Any, arrays: Sequence[Any], place: str = "") -> Any:
    """The value of the type `hint` that plain data stands for.

    Args:
        data: what `Writer.plain` gave.
        hint: its type.
        arrays: those of the writer.
        place: of the data, for errors.

    Raises:
        DamagedError: the data are no such thing, with the place.
    """
    hint, origin = _bare(hint, data)
    _require(not isinstance(data, np.ndarray), place, data, "something else than an array")
    if origin in _READERS:
        return _READERS[origin](data, hint, arrays, place)
    if origin is Literal:
        _require(data in get_args(hint), place, data, f"one of {', '.join(get_args(hint))}")
        return data
    if hint is float and data in ("inf", "-inf", "nan"):
        return float(data)
    wanted = (int, float) if hint is float else hint
    fits = isinstance(data, wanted) and (hint is bool or not isinstance(data, bool))
    _require(fits, place, data, f"a {hint.__name__}")
    try:
        return None if data is None else hint(data)
    except OverflowError:
        raise DamagedError(f"{place.lstrip('.')}: a number that is too large") from None


def _items_of(data: Any, hint: Any, arrays: Sequence[Any], place: str) -> tuple[Any, ...]:
    _require(isinstance(data, list), place, data, "a list")
    hints = _items(hint, len(data))
    _require(len(hints) == len(data), place, data, f"{len(hints)} values")
    return tuple(
        value_of(d, h, arrays, f"{place}[{i}]")
        for i, (d, h) in enumerate(zip(data, hints, strict=True))
    )


def _instance(data: Any, cls: Any, arrays: Sequence[Any], place: str) -> Any:
    hints = _fields(cls)
    _require(isinstance(data, dict), place, data, "a mapping")
    if different := sorted(hints.keys() ^ data.keys()):
        word = "missing" if different[0] in hints else "unknown"
        raise DamagedError(f"{place.lstrip('.')}: {different[0]} is {word}")
    values = {n: value_of(data[n], h, arrays, f"{place}.{n}") for n, h in hints.items()}
    try:
        return cls(**values)
    except (AbctlError, ValueError) as error:
        raise DamagedError(f"{place.lstrip('.')}: {error}") from None


def _mapping(data: Any, hint: Any, arrays: Sequence[Any], place: str) -> dict[Any, Any]:
    of_key, of_value = get_args(hint)
    if of_key is str:
        _require(isinstance(data, dict), place, data, "a mapping")
        return {k: value_of(v, of_value, arrays, f"{place}[{k!r}]") for k, v in data.items()}
    pairs = types.GenericAlias(tuple, (types.GenericAlias(tuple, (of_key, of_value)), ...))
    return dict(value_of(data, pairs, arrays, place))


def _array(data: Any, hint: Any, arrays: Sequence[Any], place: str) -> NDArray[Any]:
    known = isinstance(data, int) and not isinstance(data, bool) and 0 <= data < len(arrays)
    _require(known, place, data, "the number of an array")
    (dtype,) = get_args(get_args(hint)[1])
    _require(getattr(arrays[data], "dtype", None) == dtype, place, data, "an array of its type")
    return np.asarray(arrays[data])


def _require(fits: bool, place: str, data: Any, what: str) -> None:
    if not fits:
        shown = repr(data)
        shown = shown if len(shown) <= 40 else f"{shown[:37]}..."  # noqa: PLR2004 - half a line
        raise DamagedError(f"{place.lstrip('.')}: {shown}, must be {what}")


def _bare(hint: Any, value: Any) -> tuple[Any, Any]:
    """A hint and its origin; a union is of nothing and one other type."""
    hint = _meant(hint)
    if get_origin(hint) in (Union, types.UnionType):
        (other,) = (member for member in get_args(hint) if member is not type(None))
        hint = _meant(type(None) if value is None and type(None) in get_args(hint) else other)
    origin = get_origin(hint)
    if is_dataclass(hint):
        return hint, _Record
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return hint, Mapping
    return hint, Sequence if origin in (list, tuple) else origin


def _meant(hint: Any) -> Any:
    """What a name stands for (PEP 695); NDArray is one from numpy 2.5 on."""
    while (value := getattr(get_origin(hint) or hint, "__value__", None)) is not None:
        hint = value[get_args(hint)] if get_args(hint) else value
    return hint


def _items(hint: Any, count: int) -> list[Any]:
    args = get_args(hint)
    if get_origin(hint) is tuple and args[1:] != (...,):
        return list(args)
    return [args[0]] * count


_READERS = {np.ndarray: _array, _Record: _instance, Mapping: _mapping, Sequence: _items_of}


@cache
def _fields(cls: Any) -> dict[str, Any]:
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in fields(cls) if field.init}
