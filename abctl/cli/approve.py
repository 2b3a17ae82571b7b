"""`abctl approve`: a ramp may pass a gate."""

from typing import Annotated

import typer

from abctl.cli._options import add
from abctl.cli._output import Output, OutputOption
from abctl.cli._say import SayOptions, say_to
from abctl.cli._session import FileArgument, WorldOptions


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, approve)


def approve(
    what: FileArgument,
    *,
    gate: Annotated[
        str | None,
        typer.Option(
            help="Which gate: a step (25%), or promote.", show_default="that which comes next"
        ),
    ] = None,
    given: SayOptions,
    world: WorldOptions,
    output: OutputOption = Output.table,
) -> None:
    """Let a ramp pass the gate that comes next; who did it, why and when is on record.

    abctl approve iris.yaml --why "the team of the shop has looked"

    abctl approve iris.yaml --gate promote
    """
    follows = "whoever runs the ramp goes on at its next turn, if the evidence allows it"
    say_to(what, "approved", given, world, output, gate=gate, follows=follows)
