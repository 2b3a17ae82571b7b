"""`abctl shift`: change the split of a running experiment."""

from functools import partial
from typing import Annotated

import typer

from abctl.cli._options import add
from abctl.cli._output import Output, OutputOption
from abctl.cli._session import WhatArgument, WorldOptions
from abctl.cli._shift import ShiftOptions, carry_out, variants
from abctl.core.split import Split
from abctl.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, shift)


def _shares(ctx: typer.Context, incomplete: str) -> list[str]:
    return [f"{name}=" for name in variants(ctx, incomplete)]


def shift(
    what: WhatArgument,
    split: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SPLIT",
            help="treatment=30% (the control takes the rest), 50/50.",
            autocompletion=_shares,
        ),
    ] = None,
    *,
    to: Annotated[str | None, typer.Option(help="The split, as an option.")] = None,
    given: ShiftOptions,
    world: WorldOptions,
    output: OutputOption = Output.table,
) -> None:
    """Change the split, and wait until it is in effect.

    Interrupted anywhere, the same command again finishes it, and a shift back reverts it.

    abctl shift iris.yaml treatment=30% --why "looks good after a day"

    abctl shift iris.yaml 50/50 --dry-run=client

    abctl shift sdep/iris -n models treatment=30%
    """
    if split and to:
        raise UsageError(
            f"the split is given twice: {' '.join(split)} and --to {to}",
            "give it once, with or without --to",
        )
    words = (*(split or ()), *(to or "").split())
    if not words:
        raise UsageError("no split given", "abctl shift EXPERIMENT treatment=30%, or 50/50")
    from abctl.session.shift import plan  # noqa: PLC0415 - the platforms load when asked
    from abctl.session.shift import shift as act  # noqa: PLC0415 - as above

    choose = partial(plan, wanted=partial(Split.parse_change, words=words))
    carry_out(what, given, world, output, choose=choose, act=act)
