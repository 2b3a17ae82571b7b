"""`abctl promote`: everything goes to a treatment."""

from typing import Annotated

import typer

from abctl.cli._output import Output, OutputOption
from abctl.cli._place import (
    ActorOption,
    ContextOption,
    DryRun,
    DryRunOption,
    KubeconfigOption,
    NamespaceOption,
    StateOption,
    TimeoutOption,
    WhatArgument,
    WhyOption,
    YesOption,
    find_place,
)
from abctl.cli._shift import carry_out
from abctl.core.split import TOTAL_BP, Split
from abctl.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(promote)


def promote(
    what: WhatArgument,
    variant: Annotated[
        str | None, typer.Argument(help="Which treatment.", show_default="the only one")
    ] = None,
    *,
    why: WhyOption = "promoted",
    dry_run: DryRunOption = DryRun.none,
    yes: YesOption = False,
    timeout: TimeoutOption = 30.0,
    actor: ActorOption = "",
    state: StateOption = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Send everything to a treatment, and wait until it is in effect.

    abctl promote iris.yaml

    abctl promote isvc/iris -n models --yes
    """

    def all_of_it(asked: Split) -> Split:
        chosen = variant or _only(asked.names[1:])
        nothing = dict.fromkeys(asked.names, 0)
        return asked.with_shares(nothing | {chosen: TOTAL_BP})

    carry_out(
        find_place(what, state, kubeconfig, context, namespace),
        all_of_it,
        why=why,
        actor=actor,
        dry_run=dry_run,
        yes=yes,
        timeout_seconds=timeout,
        output=output,
    )


def _only(treatments: tuple[str, ...]) -> str:
    if len(treatments) != 1:
        listed = ", ".join(treatments) or "none"
        raise UsageError(f"which treatment? {listed}", "abctl promote EXPERIMENT VARIANT")
    return treatments[0]
