"""Prints rows as they come, any number of them, in every form of an answer."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from abctl.cli._output import API_VERSION, Output, as_yaml, put

Row = dict[str, Any]
_CHUNK = 1000


def stream(kind: str, rows: Iterable[Row], output: Output, columns: Sequence[str]) -> None:
    """Print rows under the names of their keys; a table shows `columns`, wide shows all."""
    chunks = _chunks(rows)
    if output is Output.json:
        head = json.dumps({"apiVersion": API_VERSION, "kind": kind})
        put(f'{head[:-1]}, "items": [', nl=False)
        separator = "\n"
        for chunk in chunks:
            lines = (json.dumps(row, allow_nan=False) for row in chunk)
            put(separator + ",\n".join(lines), nl=False)
            separator = ",\n"
        put("\n]}")
    elif output is Output.yaml:
        put(f"apiVersion: {API_VERSION}\nkind: {kind}\nitems:")
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
    widths: dict[str, int] = {}
    for chunk in chunks:
        lines = []
        if not widths:
            shown = columns or list(chunk[0])
            widths = {c: max(len(c), *(len(_cell(row[c])) for row in chunk)) for c in shown}
            lines.append("  ".join(c.upper().ljust(widths[c]) for c in shown).rstrip())
        lines += (
            "  ".join(_cell(row[c]).ljust(width) for c, width in widths.items()).rstrip()
            for row in chunk
        )
        put("\n".join(lines))


def _cell(value: object) -> str:
    return "-" if value is None or value == "" else str(value)
