"""`abctl amend`: change the locked plan on record."""

import typer

from abctl.cli._consent import require_consent
from abctl.cli._options import add
from abctl.cli._output import Output, OutputOption, emit, tell
from abctl.cli._session import (
    ActorOption,
    DryRun,
    DryRunOption,
    FileArgument,
    WhyOption,
    WorldOptions,
    YesOption,
    file_session_of,
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, amend)


def amend(
    what: FileArgument,
    *,
    why: WhyOption = "",
    dry_run: DryRunOption = DryRun.none,
    yes: YesOption = False,
    actor: ActorOption = "",
    world: WorldOptions,
    output: OutputOption = Output.table,
) -> None:
    """Change the locked plan to what the file says now; who did it, why and when is on record.

    Only requests that come after it count: a plan that was changed after its data were seen proves
    nothing about them. The earlier plan stays in the ledger.

    abctl amend iris.yaml --why "the margin was a typing error"

    abctl amend iris.yaml --why "another margin" --dry-run=client
    """
    from abctl.session.amend import amend as act  # noqa: PLC0415 - the platforms load when asked

    session = file_session_of(what, world, actor=actor, report=tell)
    trial, name = dry_run is not DryRun.none, session.experiment.name
    parts = list(act(session, why=why, dry_run=True).entries[-1].parts)
    if not trial:
        tell(f"to amend: {', '.join(parts)}; only requests that come later count")
        require_consent("Amend?", yes=yes)
        act(session, why=why)
    answer = {"experiment": name, "parts": parts, "dryRun": trial}
    ending = " (dry run)" if trial else ""
    emit("Amend", answer, output, lambda _: f"{name}: {', '.join(parts)} amended{ending}")
