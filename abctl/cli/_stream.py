"""Prints rows as they come, any number of them, in every form of an answer."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from abctl.cli._output import API_VERSION, Output, as_yaml, put
from abctl.foreign import in_one_line
from abctl.report.prose import prose, width

Row = dict[str, Any]
_CHUNK = 1000
_GAP = "  "
# Of the last column, at least.
_READABLE = 24


def stream(
    kind: str, rows: Iterable[Row], output: Output, columns: Sequence[str], about: Row
) -> None:
    """Print rows under the names of their keys; a table shows `columns`, wide shows all.

    `about` is what machines are told of all of them.
    """
    chunks = _chunks(rows)
    if output is Output.json:
        head = json.dumps({"apiVersion": API_VERSION, "kind": kind, **about})
        put(f'{head[:-1]}, "items": [', nl=False)
        separator = "\n"
        for chunk in chunks:
            lines = (json.dumps(row, allow_nan=False) for row in chunk)
            put(separator + ",\n".join(lines), nl=False)
            separator = ",\n"
        put("\n]}")
    elif output is Output.yaml:
        head = as_yaml({"apiVersion": API_VERSION, "kind": kind, **about})
        put(f"{head}items:")
        for chunk in chunks:
            put(as_yaml(chunk), nl=False)
    else:
        _table(chunks, None if output is Output.wide else columns)


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


def _table(chunks: Iterable[list[Row]], columns: Sequence[str] | None) -> None:
    """Columns as wide as the first rows need; who comes later must do with that."""
    room, widths = width(), dict[str, int]()
    for chunk in chunks:
        lines = list[str]()
        if not widths:
            widths = _widths(chunk, columns or list(chunk[0]), room)
            lines += _lines({name: name.upper() for name in widths}, widths, room)
        for row in chunk:
            lines += _lines({name: _cell(row[name]) for name in widths}, widths, room)
        put("\n".join(lines))


def _widths(rows: list[Row], names: Sequence[str], room: int) -> dict[str, int]:
    """Of all columns; of the first as far as it leaves room for the last, which is of prose."""
    sizes = {n: [len(n), *(len(_cell(row[n])) for row in rows)] for n in names}
    widest = {name: max(each) for name, each in sizes.items()}
    first, *middle, last = names
    used = sum(len(_GAP) + widest[name] for name in middle) + len(_GAP)
    most = max(len(first), room - used - min(widest[last], _READABLE))
    return widest | {first: max(size for size in sizes[first] if size <= most)}


def _lines(cells: dict[str, str], widths: dict[str, int], room: int) -> Iterator[str]:
    line = _GAP.join(cells[name].ljust(size) for name, size in widths.items()).rstrip()
    if len(line) <= room:
        yield line
        return
    first, *middle, last = widths
    if len(cells[first]) > widths[first]:
        yield cells[first]
        cells |= {first: ""}
    start = _GAP.join(cells[name].ljust(widths[name]) for name in (first, *middle)) + _GAP
    for part in prose(cells[last], 0, 0, max(_READABLE, room - len(start))).split("\n"):
        yield f"{start}{part}".rstrip()
        start = " " * len(start)


def _cell(value: object) -> str:
    return "-" if value is None or value == "" else in_one_line(str(value))
