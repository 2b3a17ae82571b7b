"""`abctl delete`: take an experiment out of a cluster."""

from typing import TYPE_CHECKING, Annotated

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
from abctl.errors import AbctlError

if TYPE_CHECKING:
    from abctl.session.session import Session


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, delete)


def delete(
    what: FileArgument,
    *,
    dry_run: DryRunOption = DryRun.none,
    yes: YesOption = False,
    memory: Annotated[
        bool, typer.Option("--with-memory", help="Also the collector's volume and keys.")
    ] = False,
    cluster: ClusterOptions,
    output: OutputOption = Output.table,
) -> None:
    """Delete an experiment's objects, and its ledger with them.

    What sends requests goes first. Without the ledger nobody can judge the experiment any more:
    keep a report, or the ConfigMap abctl-EXPERIMENT. Its salt, dates and last verdict remain (see
    the command list), so that no salt is used twice. What the collector remembers (a
    PersistentVolumeClaim) and its keys (a Secret) stay, unless --with-memory is given.

    abctl delete iris.yaml -n models

    abctl delete iris.yaml --dry-run=client
    """
    from abctl.session import delete as service  # noqa: PLC0415

    session = cluster_session_of(what, cluster, report=tell)
    names = [str(ref) for ref in service.refs(session, memory=memory)]
    tell(f"to delete: {', '.join(names)}")
    if not memory and (left := service.kept(session)):
        tell(f"kept: {', '.join(map(str, left))} (--with-memory deletes them too)")
    trial = dry_run is not DryRun.none
    if not trial:
        require_consent("Delete?", yes=yes)
    if dry_run is not DryRun.client:
        verdict = "" if trial else _verdict(session)
        names = [
            str(ref)
            for ref in service.delete(session, dry_run=trial, verdict=verdict, memory=memory)
        ]
    name = session.experiment.name
    answer = {"experiment": name, "objects": names, "dryRun": trial}
    done = f"{name}: {len(names)} objects{' (dry run)' if trial else ''}"
    emit("Delete", answer, output, lambda _: done)


def _verdict(session: "Session") -> str:
    """The verdict of now, as far as anybody can tell."""
    if session.experiment.source is None:
        return ""
    from abctl.session.analyze import analyze  # noqa: PLC0415 - slow to import

    try:
        return str(analyze(session).verdict.kind)
    except AbctlError as error:
        tell(f"without a verdict: {error.message}")
        return ""
