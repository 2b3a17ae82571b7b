"""`abctl delete`: take an experiment out of a cluster."""

import typer

from abctl.cli._consent import require_consent
from abctl.cli._options import add
from abctl.cli._output import Output, OutputOption, emit, tell
from abctl.cli._session import (
    ClusterOptions,
    DryRun,
    DryRunOption,
    FileArgument,
    YesOption,
    cluster_session_of,
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, delete)


def delete(
    what: FileArgument,
    *,
    dry_run: DryRunOption = DryRun.none,
    yes: YesOption = False,
    cluster: ClusterOptions,
    output: OutputOption = Output.table,
) -> None:
    """Delete an experiment's objects, and its ledger with them.

    What sends requests goes first. Without the ledger nobody can judge the experiment any more:
    keep a report, or the ConfigMap abctl-EXPERIMENT.

    abctl delete iris.yaml -n models

    abctl delete iris.yaml --dry-run=client
    """
    from abctl.session import apply as service  # noqa: PLC0415

    session = cluster_session_of(what, cluster, report=tell)
    names = [str(ref) for ref in service.refs(session)]
    tell(f"to delete: {', '.join(names)}")
    trial = dry_run is not DryRun.none
    if not trial:
        require_consent("Delete?", yes=yes)
    if dry_run is not DryRun.client:
        names = [str(ref) for ref in service.delete(session, dry_run=trial)]
    name = session.experiment.name
    answer = {"experiment": name, "objects": names, "dryRun": trial}
    done = f"{name}: {len(names)} objects{' (dry run)' if trial else ''}"
    emit("Delete", answer, output, lambda _: done)
