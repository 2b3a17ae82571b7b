"""`abctl abort`: the ramp is over, everything goes back."""

import typer

from abctl.cli._options import add
from abctl.cli._output import Output, OutputOption
from abctl.cli._say import SayOptions, say_to
from abctl.cli._session import FileArgument, WorldOptions


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, abort)


def abort(
    what: FileArgument,
    *,
    given: SayOptions,
    world: WorldOptions,
    output: OutputOption = Output.table,
) -> None:
    """End the ramp: whoever runs it sends everything back to the control at its next turn.

    abctl abort iris.yaml --why "errors in the shop"
    """
    say_to(
        what,
        "aborted",
        given,
        world,
        output,
        follows="whoever runs the ramp sends everything back; abctl rollback does it now",
    )
