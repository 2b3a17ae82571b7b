"""`abctl pause`: no share of a ramp is to grow."""

import typer

from abctl.cli._options import add
from abctl.cli._output import Output, OutputOption
from abctl.cli._say import SayOptions, say_to
from abctl.cli._session import FileArgument, WorldOptions


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, pause)


def pause(
    what: FileArgument,
    *,
    given: SayOptions,
    world: WorldOptions,
    output: OutputOption = Output.table,
) -> None:
    """Hold the ramp: no share grows, until somebody resumes it; harm is still acted on.

    abctl pause iris.yaml --why "a holiday"
    """
    say_to(
        what,
        "paused",
        given,
        world,
        output,
        follows="whoever runs the ramp lets no share grow from its next turn on",
    )
