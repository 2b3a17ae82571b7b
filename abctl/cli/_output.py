"""stdout is data, stderr is everything else; both are reached from here alone.

What others wrote (names, messages, logs) is shown, never sent: a terminal would obey it.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from abctl.cli._prose import prose
from abctl.foreign import shown

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
        import yaml  # noqa: PLC0415

        put(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), nl=False)
    elif isinstance(answer := table(output is Output.wide), str):
        put(answer)
    else:
        # Whoever laid it out has seen to its width.
        screen().print(answer, soft_wrap=True)


def put(text: str, *, nl: bool = True) -> None:
    """Text on stdout."""
    typer.echo(shown(text), nl=nl)


def say(message: str) -> None:
    """A remark for people, on stderr."""
    typer.echo(shown(message), err=True)


def tell(message: str) -> None:
    """A remark that may be long, such as one of every variant: in lines that fit."""
    say(prose(message))


def screen(*, stderr: bool = False) -> "Console":
    """What prints whatever rich can print: as it is, without brackets being read as markup."""
    from rich.console import Console, ConsoleOptions, RenderableType  # noqa: PLC0415 - slow
    from rich.segment import Segment  # noqa: PLC0415 - slow

    class Screen(Console):
        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterator[Segment]:
            for each in super().render(renderable, options):
                yield each if each.control else each._replace(text=shown(each.text))

    return Screen(stderr=stderr, highlight=False, markup=False, emoji=False)
