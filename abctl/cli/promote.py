"""`abctl promote`: everything goes to a treatment."""

from typing import Annotated

import typer

from abctl.cli._shift import Order, add, carry_out, variants
from abctl.core.split import TOTAL_BP, Split
from abctl.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, promote, why="promoted")


def promote(
    order: Order,
    variant: Annotated[
        str | None,
        typer.Argument(
            help="Which treatment.", show_default="the only one", autocompletion=variants
        ),
    ] = None,
) -> None:
    """Send everything to a treatment, and wait until it is in effect.

    abctl promote iris.yaml

    abctl promote isvc/iris -n models --yes
    """

    def all_of_it(asked: Split) -> Split:
        chosen = _only(asked.names[1:]) if variant is None else variant
        if chosen == asked.control:
            raise UsageError(
                f"{chosen!r} is the control, not a treatment",
                "abctl rollback sends everything there",
            )
        nothing = dict.fromkeys(asked.names, 0)
        return asked.with_shares(nothing | {chosen: TOTAL_BP})

    carry_out(order, all_of_it)


def _only(treatments: tuple[str, ...]) -> str:
    if len(treatments) != 1:
        listed = ", ".join(treatments) or "none"
        raise UsageError(f"which treatment? {listed}", "abctl promote EXPERIMENT VARIANT")
    return treatments[0]
