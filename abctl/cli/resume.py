"""`abctl resume`: the ramp goes on."""

import typer

from abctl.cli._options import add
from abctl.cli._output import Output, OutputOption
from abctl.cli._say import SayOptions, say_to
from abctl.cli._session import FileArgument, WorldOptions


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, resume)


def resume(
    what: FileArgument,
    *,
    given: SayOptions,
    world: WorldOptions,
    output: OutputOption = Output.table,
) -> None:
    """Let a ramp go on that somebody paused or aborted.

    abctl resume iris.yaml --why "the cause was found"
    """
    say_to(
        what,
        "resumed",
        given,
        world,
        output,
        follows="whoever runs the ramp goes on at its next turn",
    )
