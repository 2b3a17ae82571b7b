"""stdout is data, stderr is everything else; both are reached from here alone.

What others wrote (names, messages, logs) is shown, never sent: a terminal would obey it.
"""

import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from abctl.cli._called import as_called
from abctl.foreign import shown
from abctl.report.prose import prose

if TYPE_CHECKING:
    from rich.console import Console

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
        put(json.dumps(document, indent=2, allow_nan=False))
    elif output is Output.yaml:
        put(as_yaml(document), nl=False)
    elif isinstance(answer := table(output is Output.wide), str):
        put(answer)
    else:
        # Whoever laid it out has seen to its width.
        screen().print(answer, soft_wrap=True)


def as_yaml(document: object) -> str:
    """A document for machines; with characters that a terminal would obey it is all in ASCII."""
    import yaml  # noqa: PLC0415 - slow to import

    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    if shown(text) == text:
        return text
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=False))


def put(text: str, *, nl: bool = True) -> None:
    """Text on stdout."""
    typer.echo(shown(text), nl=nl)


def say(message: str) -> None:
    """A remark for people, on stderr."""
    typer.echo(as_called(shown(message)), err=True)


def tell(message: str) -> None:
    """A remark that may be long, such as one of every variant: in lines that fit."""
    say(prose(message))


def screen(*, stderr: bool = False) -> "Console":
    """What prints whatever rich can print."""
    from abctl.cli._screen import Screen  # noqa: PLC0415 - rich is slow to import

    return Screen(stderr=stderr)
