"""`abctl rollback`: everything goes back to the control."""

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


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(rollback)


def rollback(
    what: WhatArgument,
    *,
    why: WhyOption = "rolled back",
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
    """Send everything back to the control, and wait until it is in effect.

    abctl rollback iris.yaml --why "errors since noon"

    abctl rollback isvc/iris -n models --yes
    """
    carry_out(
        find_place(what, state, kubeconfig, context, namespace),
        lambda asked: asked.with_shares(dict.fromkeys(asked.names[1:], 0)),
        why=why,
        actor=actor,
        dry_run=dry_run,
        yes=yes,
        timeout_seconds=timeout,
        output=output,
    )
