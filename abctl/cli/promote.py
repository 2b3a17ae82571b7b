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
    from abctl.session.rollback import plan_promotion  # noqa: PLC0415 - the platforms load when asked
    from abctl.session.shift import shift  # noqa: PLC0415 - as above

    choose = partial(plan_promotion, variant=variant)
    carry_out(what, given, world, output, choose=choose, act=shift)
