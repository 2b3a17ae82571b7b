"""stdout is data, stderr is everything else."""

import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from abctl.cli._prose import prose

API_VERSION = "abctl.dev/v1"


class Output(StrEnum):
    """Forms of an answer."""

    table = "table"
    wide = "wide"
    json = "json"
    yaml = "yaml"


# What people read.
PEOPLE = (Output.table, Output.wide)

OutputOption = Annotated[
    Output, typer.Option("--output", "-o", envvar="ABCTL_OUTPUT", help="Form of the answer.")
]


def emit(
    kind: str, data: Mapping[str, Any], output: Output, table: Callable[[bool], object]
) -> None:
    """Print an answer: versioned and unrounded for machines, or the table that `table(wide)` gives.

    `table` returns a text, or anything that rich can print (see `_layout`); it is called only where
    a person reads.
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

        # Whoever laid it out has seen to its width.
        Console(highlight=False).print(shown, soft_wrap=True)


def say(message: str) -> None:
    """A remark for people, on stderr."""
    typer.echo(message, err=True)


def tell(message: str) -> None:
    """A remark that may be long, such as one of every variant: in lines that fit."""
    say(prose(message))
