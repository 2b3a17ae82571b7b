"""`abctl rollback`: everything goes back to the control."""

import typer

from abctl.cli._shift import Order, add, carry_out


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, rollback, why="rolled back")


def rollback(order: Order) -> None:
    """Send everything back to the control, and wait until it is in effect.

    abctl rollback iris.yaml --why "errors since noon"

    abctl rollback isvc/iris -n models --yes
    """
    carry_out(order, lambda asked: asked.with_shares(dict.fromkeys(asked.names[1:], 0)))
