"""`abctl rollback`: everything goes back to the control."""

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from abctl.cli._options import add
from abctl.cli._output import Output, OutputOption
from abctl.cli._session import WhatArgument, WorldOptions
from abctl.cli._shift import ShiftOptions, carry_out, variants
from abctl.core.split import Split

if TYPE_CHECKING:
    from abctl.session.session import Session
    from abctl.session.shift import ShiftResult


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, rollback, why="rolled back")


def rollback(
    what: WhatArgument,
    *,
    to: Annotated[
        str | None,
        typer.Option(
            help="The variant that gets everything.",
            show_default="the control, where somebody says which it is",
            autocompletion=variants,
        ),
    ] = None,
    given: ShiftOptions,
    world: WorldOptions,
    output: OutputOption = Output.table,
) -> None:
    """Send everything back to the control, and wait until it is in effect.

    abctl rollback iris.yaml --why "errors since noon"

    It goes through also where the ledger cannot be written, or one pod of the control is not ready.

    abctl rollback isvc/iris -n models --yes

    abctl rollback httproute/iris -n models --to iris-stable
    """
    from abctl.session import rollback as service  # noqa: PLC0415 - the platforms load when asked

    choose = partial(service.plan_rollback, to=to)
    carry_out(what, given, world, output, choose=choose, act=partial(_act, to))


def _act(to: str | None, session: "Session", _: Split, **how: Any) -> "ShiftResult":
    from abctl.session.rollback import rollback as act  # noqa: PLC0415 - as above

    return act(session, to, **how)
