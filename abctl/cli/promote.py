"""`abctl promote`: everything goes to a treatment."""

from functools import partial
from typing import Annotated

import typer

from abctl.cli._options import add
from abctl.cli._output import Output, OutputOption
from abctl.cli._session import WhatArgument, WorldOptions
from abctl.cli._shift import ShiftOptions, carry_out, variants


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, promote, why="promoted")


def promote(
    what: WhatArgument,
    variant: Annotated[
        str | None,
        typer.Argument(
            help="Which treatment.", show_default="the only one", autocompletion=variants
        ),
    ] = None,
    *,
    given: ShiftOptions,
    world: WorldOptions,
    output: OutputOption = Output.table,
) -> None:
    """Send everything to a treatment, and wait until it is in effect.

    abctl promote iris.yaml

    abctl promote isvc/iris -n models --yes
    """
    from abctl.session.shift import promoted  # noqa: PLC0415

    carry_out(what, partial(promoted, variant=variant), given, world, output)
