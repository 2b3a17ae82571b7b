"""`abctl rollback`: everything goes back to the control."""

import typer

from abctl.cli._options import add
from abctl.cli._output import Output, OutputOption
from abctl.cli._session import WhatArgument, WorldOptions
from abctl.cli._shift import ShiftOptions, carry_out


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, rollback, why="rolled back")


def rollback(
    what: WhatArgument,
    *,
    given: ShiftOptions,
    world: WorldOptions,
    output: OutputOption = Output.table,
) -> None:
    """Send everything back to the control, and wait until it is in effect.

    abctl rollback iris.yaml --why "errors since noon"

    abctl rollback isvc/iris -n models --yes
    """
    from abctl.session.shift import rolled_back  # noqa: PLC0415

    carry_out(what, rolled_back, given, world, output)
