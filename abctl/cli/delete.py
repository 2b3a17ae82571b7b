"""`abctl delete`: take an experiment out of a cluster."""

import typer

from abctl.cli._consent import require_consent
from abctl.cli._output import Output, OutputOption, emit, say
from abctl.cli._place import (
    ContextOption,
    DryRun,
    DryRunOption,
    KubeconfigOption,
    NamespaceOption,
    WhatArgument,
    YesOption,
    find_cluster,
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(delete)


def delete(
    what: WhatArgument,
    *,
    dry_run: DryRunOption = DryRun.none,
    yes: YesOption = False,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Delete an experiment's objects, and its ledger with them.

    What sends requests goes first. Without the ledger nobody can judge the experiment any more:
    keep a report, or the ConfigMap abctl-EXPERIMENT.

    abctl delete iris.yaml -n models

    abctl delete iris.yaml --dry-run=client
    """
    from abctl.services import delete as service  # noqa: PLC0415

    place = find_cluster(what, kubeconfig, context, namespace)
    names = [str(ref) for ref in service.refs(place.platform, place.experiment)]
    say(f"to delete: {', '.join(names)}")
    if dry_run is DryRun.none:
        require_consent("Delete?", yes=yes)
        deleted = service.delete(place.door, place.platform, place.experiment, say)
        names = [str(ref) for ref in deleted]
    answer = {
        "experiment": place.experiment.name,
        "objects": names,
        "dryRun": dry_run is not DryRun.none,
    }
    emit("Delete", answer, output, lambda _: f"{place.experiment.name}: {len(names)} objects")
