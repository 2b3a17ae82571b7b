"""`abctl delete`: take an experiment out of a cluster."""

import typer

from abctl.cli._consent import require_consent
from abctl.cli._output import Output, OutputOption, emit, tell
from abctl.cli._place import (
    ContextOption,
    DryRun,
    DryRunOption,
    FileArgument,
    KubeconfigOption,
    NamespaceOption,
    YesOption,
    find_cluster,
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(delete)


def delete(
    what: FileArgument,
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
    from abctl.session import apply as service  # noqa: PLC0415

    place = find_cluster(what, kubeconfig, context, namespace)
    names = [str(ref) for ref in service.refs(place.platform, place.experiment)]
    tell(f"to delete: {', '.join(names)}")
    trial = dry_run is not DryRun.none
    if not trial:
        require_consent("Delete?", yes=yes)
    if dry_run is not DryRun.client:
        found = service.delete(place.door, place.platform, place.experiment, tell, dry_run=trial)
        names = [str(ref) for ref in found]
    answer = {
        "experiment": place.experiment.name,
        "objects": names,
        "dryRun": trial,
    }
    done = f"{place.experiment.name}: {len(names)} objects{' (dry run)' if trial else ''}"
    emit("Delete", answer, output, lambda _: done)
