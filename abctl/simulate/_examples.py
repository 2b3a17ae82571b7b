"""Requests from a user's rows, from an example, or from what a model says of itself."""

import difflib
import http.client
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

import numpy as np
from numpy.typing import NDArray

from abctl.errors import UsageError
from abctl.foreign import in_one_line
from abctl.simulate._table import KNOWN, Table, content, read, shown, text_of

Takes = tuple[Mapping[str, Any], ...]
"""What a model takes, as its metadata say it: tensors with name, datatype and shape."""
BESIDE = ("example.csv", "example.jsonl", "example.npz", "example.parquet")
_TIMEOUT_SECONDS = 10.0
_MOST_BYTES = 2**20
_MOST_ELEMENTS = 10**6
_MADE_UP = 1000
_FEW = 20
_WHOLE = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
_FLOATS = ("FP16", "FP32", "FP64")
_JSON_LINES = (".jsonl", ".ndjson")


@dataclass(frozen=True)
class Examples:
    """Rows to ask about: `body(i)` is the V2 request of one, `labels[i]` its truth.

    `labels` is None where nobody knows it; `words` say where the rows are from.
    """

    count: int
    body: Callable[[int], bytes]
    labels: Sequence[Any] | None
    words: str

    def __len__(self) -> int:
        return self.count


def from_file(path: Path, label: str | None, takes: Takes) -> Examples:
    """The rows of a file.

    Args:
        path: a table, or V2 requests in lines of JSON.
        label: the column with the truth, if there is one.
        takes: what the model takes; nothing where it does not say.

    Raises:
        UsageError: something is wrong with the file, or it does not fit the model.
    """
    if path.is_dir():
        raise UsageError(f"--data {path}: is a folder", f"name a file in it; {KNOWN}")
    if path.suffix.lower() in _JSON_LINES:
        return _of_lines(path, label)
    table = read(path)
    labels = None
    if label is not None:
        labels = _labels(table, label)
        table = table.without(label)
        if not table.columns:
            raise UsageError(f"--data {path}: has no column but the label", "what is asked about?")
    body = _bodies(table, takes)
    return Examples(len(table), body, labels, f"{len(table):,} rows of {path}")


def _labels(table: Table, label: str) -> list[Any]:
    if label not in table.columns:
        raise UsageError(
            f"--label {in_one_line(label)}: no such column in {table.place}",
            _there(table, label),
        )
    if table.columns[label].ndim > 1:
        raise UsageError(f"--label {label}: has several numbers a row", "one truth for each row")
    if table.is_numeric(label):
        return list(table.numbers(label).tolist())
    found = [str(each) for each in table.columns[label]]
    if "" in found:
        raise UsageError(
            f"{table.at(found.index(''), label)}: empty, must be a label", "fill it in"
        )
    return found


def _bodies(table: Table, takes: Takes) -> Callable[[int], bytes]:
    if len(takes) > 1:
        return _by_name(table, takes)
    if len(takes) == 1:
        return _one_tensor(table, takes[0])
    numeric = [table.is_numeric(name) for name in table.columns]
    if all(numeric):
        return _one_tensor(table, {"name": "predict", "datatype": "FP64", "shape": [-1]})
    if len(numeric) == 1:
        return _one_tensor(table, {"name": "predict", "datatype": "BYTES", "shape": [-1]})
    return _by_name(
        table,
        [
            {"name": name, "datatype": "FP64" if number else "BYTES", "shape": [-1, 1]}
            for name, number in zip(table.columns, numeric, strict=True)
        ],
    )


def _one_tensor(table: Table, tensor: Mapping[str, Any]) -> Callable[[int], bytes]:
    """All columns in one tensor, one row a request."""
    name, datatype, shape = tensor["name"], tensor["datatype"], tensor["shape"]
    values = [_values(table, each, datatype) for each in table.columns]
    if datatype == "BYTES" and len(values) != 1:
        raise UsageError(
            f"{table.place}: {len(values)} columns, but the model takes one text a row",
            "leave out the others; --label names the one with the truth",
        )
    rows = np.column_stack([each.reshape(len(table), -1) for each in values])
    own = [int(size) for size in shape[1:]]
    wanted = math.prod(own) if own and all(size > 0 for size in own) else None
    if wanted is not None and rows.shape[1] != wanted:
        raise UsageError(
            f"{table.place}: {rows.shape[1]} values a row, but the model takes {wanted}",
            "--label names the column with the truth; leave out columns that are not inputs",
        )
    if wanted is None:
        own = [] if datatype == "BYTES" and len(shape) < 2 else [rows.shape[1]]  # noqa: PLR2004
        if len(values) == 1 and values[0].ndim > 1:
            own = list(values[0].shape[1:])
    size = [1, *own]

    def body(row: int) -> bytes:
        found = {"name": name, "datatype": datatype, "shape": size, "data": rows[row].tolist()}
        return json.dumps({"inputs": [found]}).encode()

    return body


def _by_name(table: Table, takes: Sequence[Mapping[str, Any]]) -> Callable[[int], bytes]:
    """A tensor for each input, from the column of its name: a frame of one row."""
    if missing := [each["name"] for each in takes if each["name"] not in table.columns]:
        names = ", ".join(map(in_one_line, missing[:_FEW]))
        raise UsageError(
            f"{table.place}: no column {names}, which the model takes", _there(table, missing[0])
        )
    values = [_values(table, each["name"], each["datatype"]) for each in takes]

    def body(row: int) -> bytes:
        inputs = [
            {
                "name": each["name"],
                "datatype": each["datatype"],
                "shape": [1, *column.shape[1:]] if column.ndim > 1 else [1, 1],
                "data": column[row].ravel().tolist() if column.ndim > 1 else [column[row]],
            }
            for each, column in zip(takes, values, strict=True)
        ]
        return json.dumps(_framed(inputs), default=_plain).encode()

    return body


def _there(table: Table, name: str) -> str:
    """The nearest column, or the first of them."""
    names = list(table.columns)
    if near := difflib.get_close_matches(name, names, n=1):
        return f"did you mean {in_one_line(near[0])}?"
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return f"there: {', '.join(map(in_one_line, names[:_FEW]))}{more}"


def _framed(inputs: list[dict[str, Any]]) -> dict[str, Any]:
    """A request of several inputs, which are the columns of a frame if each has one value."""
    one = all(math.prod(each["shape"]) == 1 for each in inputs)
    return {"parameters": {"content_type": "pd"}, "inputs": inputs} if one else {"inputs": inputs}


def _plain(value: Any) -> Any:
    return value.item()


def _values(table: Table, column: str, datatype: str) -> NDArray[Any]:
    """A column in the form of a datatype.

    Raises:
        UsageError: a cell has none, with its place.
    """
    if datatype == "BYTES":
        values = table.columns[column]
        return np.array([str(each) for each in values.ravel()], object).reshape(values.shape)
    if datatype not in (*_FLOATS, *_WHOLE, "BOOL"):
        raise _unknown(datatype)
    numbers = table.numbers(column)
    if datatype in _FLOATS:
        return numbers
    with np.errstate(invalid="ignore"):  # of numbers that are too large
        whole = numbers.astype(np.int64)
    wrong = whole != numbers
    if datatype == "BOOL":
        wrong |= whole * whole != whole
    if wrong.any():
        row = int(np.argwhere(wrong)[0][0])
        must = "a whole number" if datatype in _WHOLE else "0 or 1"
        raise UsageError(
            f"{table.at(row, column)}: {shown(table.columns[column][row])}, must be {must}",
            f"the model takes {datatype}",
        )
    return whole if datatype in _WHOLE else whole.astype(bool)


def _unknown(datatype: object) -> UsageError:
    return UsageError(
        f"the model takes {in_one_line(str(datatype))[:50]}, which is not a datatype of V2",
        "its model-settings.json says so; or give it requests: --data FILE.jsonl",
    )


def _of_lines(path: Path, label: str | None) -> Examples:
    """V2 requests in lines of JSON; the truth is beside `inputs`."""
    bodies, labels = list[bytes](), list[Any]()
    for number, line in enumerate(text_of(str(path), content(path)).split("\n"), 1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            request = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{place}: not JSON: {error}", "one V2 request a line") from None
        if not isinstance(request, dict) or not isinstance(request.get("inputs"), list):
            raise UsageError(f"{place}: no V2 request, which has a list `inputs`", _an_example())
        if label is not None:
            truth = request.pop(label, None)
            if not isinstance(truth, str | int | float):
                raise UsageError(
                    f"{place}: {label} is {shown(truth)}, must be a number or a text",
                    f"the truth stands beside the inputs: {_an_example(label)}",
                )
            labels.append(truth)
        bodies.append(json.dumps(request).encode())
    if not bodies:
        raise UsageError(f"--data {path}: has no rows", _an_example())
    words = f"{len(bodies):,} requests of {path}"
    return Examples(len(bodies), bodies.__getitem__, labels if label is not None else None, words)


def _an_example(label: str | None = None) -> str:
    tensor = {"name": "predict", "shape": [1, 2], "datatype": "FP64", "data": [0.5, 1]}
    return json.dumps({"inputs": [tensor], **({} if label is None else {label: 1})})


def made_up(takes: Takes, seed: int, name: str) -> Examples:
    """Random rows of the shapes and datatypes that a model says it takes.

    Raises:
        UsageError: what it says is not V2, or too large.
    """
    rng = np.random.default_rng([seed, 2])
    sizes = [[int(size) if int(size) > 0 else 1 for size in each["shape"]] for each in takes]
    if sum(map(math.prod, sizes)) > _MOST_ELEMENTS:
        raise UsageError(
            f"model {name} takes {sum(map(math.prod, sizes)):,} values a request, of which none "
            "can be made up",
            "give it rows: --data FILE",
        )

    def draw(datatype: str, count: int) -> list[Any]:
        if datatype in _FLOATS:
            return list(np.round(rng.normal(size=count), 4).tolist())
        if datatype in _WHOLE:
            return list(rng.integers(0, 10, count).tolist())
        if datatype == "BOOL":
            return list((rng.random(count) < 0.5).tolist())  # noqa: PLR2004 - a coin
        if datatype == "BYTES":
            return [f"text {number}" for number in rng.integers(0, 1000, count)]
        raise _unknown(datatype)

    def request() -> bytes:
        inputs = [
            {
                "name": each["name"],
                "datatype": each["datatype"],
                "shape": size,
                "data": draw(each["datatype"], math.prod(size)),
            }
            for each, size in zip(takes, sizes, strict=True)
        ]
        return json.dumps(_framed(inputs) if len(inputs) > 1 else {"inputs": inputs}).encode()

    count = max(1, min(_MADE_UP, _MOST_ELEMENTS // max(1, sum(map(math.prod, sizes)))))
    bodies = [request() for _ in range(count)]
    words = f"random numbers of the shapes that model {name} says it takes"
    return Examples(count, bodies.__getitem__, None, words)


def takes_of(url: str, name: str) -> Takes:
    """What a model says it takes; nothing where it does not, or nobody says it.

    Args:
        url: the entrance.
        name: of the model.
    """
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(f"{url.rstrip('/')}/v2/models/{name}", timeout=_TIMEOUT_SECONDS) as answer:
            said = json.loads(answer.read(_MOST_BYTES))
    except HTTPError as error:
        error.close()
        return ()
    except (URLError, OSError, ValueError, RecursionError, http.client.HTTPException):
        return ()
    inputs = said.get("inputs") if isinstance(said, dict) else None
    found = inputs if isinstance(inputs, list) else []
    return tuple(found) if all(map(_is_tensor, found)) else ()


def _is_tensor(each: object) -> bool:
    return (
        isinstance(each, dict)
        and isinstance(each.get("name"), str)
        and isinstance(each.get("datatype"), str)
        and isinstance(each.get("shape"), list)
        and all(isinstance(size, int) for size in each["shape"])
    )


def beside(folder: Path) -> Path | None:
    """The example in a model's folder, if there is one."""
    return next((folder / each for each in BESIDE if (folder / each).is_file()), None)
