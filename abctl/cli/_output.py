"""stdout is data, stderr is everything else."""

import json
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

API_VERSION = "abctl.dev/v1"
_UNBOUNDED = 10_000


class Output(StrEnum):
    """Forms of an answer."""

    table = "table"
    wide = "wide"
    json = "json"
    yaml = "yaml"


OutputOption = Annotated[
    Output, typer.Option("--output", "-o", envvar="ABCTL_OUTPUT", help="Form of the answer.")
]


def emit(
    kind: str, data: Mapping[str, Any], output: Output, table: Callable[[bool], object]
) -> None:
    """Print an answer: versioned and unrounded for machines, or the table that `table(wide)` gives.

    `table` returns a text, or anything that rich can print; it is called only where a person reads.
    """
    document = {"apiVersion": API_VERSION, "kind": kind, **data}
    if output is Output.json:
        typer.echo(json.dumps(document, indent=2, allow_nan=False))
    elif output is Output.yaml:
        import yaml  # noqa: PLC0415

        typer.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), nl=False)
    elif isinstance(shown := table(output is Output.wide), str):
        typer.echo(shown)
    else:
        from rich.console import Console  # noqa: PLC0415

        # Lines of text are left to the terminal to wrap. Where no terminal is, nothing is cut off.
        console = Console(highlight=False)
        console.width = _width(shown, console) if sys.stdout.isatty() else _UNBOUNDED
        console.print(shown, soft_wrap=True)


def _width(shown: object, console: "Console") -> int:
    """The columns of the terminal, or those that tables take without cutting a word or number off.

    Only the last column of a table may have prose, which goes on in the next line.
    """
    from rich.measure import measure_renderables  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    room, width = console.options.update(width=_UNBOUNDED), console.width
    for table in getattr(shown, "renderables", [shown]):
        if not isinstance(table, Table):
            continue
        *others, last = table.columns
        for column in others if last.justify == "left" else table.columns:
            column.no_wrap = True
        narrow, wide = measure_renderables(console, room, [last.header, *last.cells])
        least = table.__rich_measure__(console, room).maximum
        width = max(width, least if last.no_wrap else least - (wide - narrow))
    return width


def say(message: str) -> None:
    """A remark for people, on stderr."""
    typer.echo(message, err=True)
