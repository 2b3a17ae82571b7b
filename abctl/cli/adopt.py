"""`abctl adopt`: start the ledger of what somebody else has applied."""

from dataclasses import replace
from typing import Annotated

import typer

from abctl.cli._consent import require_consent
from abctl.cli._options import add
from abctl.cli._output import Output, OutputOption, emit, tell
from abctl.cli._session import (
    ActorOption,
    ClusterOptions,
    DryRun,
    DryRunOption,
    FileArgument,
    WhyOption,
    YesOption,
    cluster_session_of,
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, adopt)


def adopt(
    what: FileArgument,
    *,
    why: WhyOption = "adopted as it ran",
    dry_run: DryRunOption = DryRun.none,
    yes: YesOption = False,
    actor: ActorOption = "",
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Adopt also beside an experiment with the same host or Services."
        ),
    ] = False,
    cluster: ClusterOptions,
    output: OutputOption = Output.table,
) -> None:
    """Lock the plan and start the ledger of objects that kubectl, Argo CD, Flux or Helm applied.

    No object is written but the ledger. What came before does not count.

    abctl adopt iris.yaml -n models

    abctl adopt iris.yaml --dry-run=client
    """
    from abctl.session import amend  # noqa: PLC0415 - the platforms load when asked

    session = cluster_session_of(what, cluster, actor=actor, report=tell)
    trial = dry_run is not DryRun.none
    name, target = session.experiment.name, str(session.target)
    found = amend.adoption(session, why=why, force=force).ledger
    if not trial:
        tell(f"to adopt: {target} as it is; no object is written but the ledger")
        require_consent("Adopt?", yes=yes)
        # What could not be looked at was told; the object may have changed meanwhile.
        found = amend.adopt(replace(session, report=lambda _: None), why=why, force=force)
    answer = {"experiment": name, "target": target, "split": found.wanted.ratios, "dryRun": trial}
    ending = " (dry run)" if trial else ""
    emit("Adopt", answer, output, lambda _: f"{name}: {target} at {found.wanted}{ending}")
