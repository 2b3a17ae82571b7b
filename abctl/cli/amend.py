"""`abctl amend`: change the locked plan on record."""

from functools import partial
from typing import Annotated

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
    accept: Annotated[
        list[str] | None,
        typer.Option(
            help="The code of a reason that keeps a treatment from being shipped, and should not; "
            "repeat for more. The plan stays, and what was counted."
        ),
    ] = None,
    why: WhyOption = "",
    dry_run: DryRunOption = DryRun.none,
    yes: YesOption = False,
    actor: ActorOption = "",
    world: WorldOptions,
    output: OutputOption = Output.table,
) -> None:
    """Change the locked plan to what the file says now, or accept a doubt, on record.

    Who did it, why and when is on record too.

    Only requests that come after it count: a plan that was changed after its data were seen proves
    nothing about them. The earlier plan stays in the ledger.

    abctl amend iris.yaml --why "the margin was a typing error"

    abctl amend iris.yaml --why "another margin" --dry-run=client

    abctl amend iris.yaml --accept bornUnknown --why "these errors are of the load test before"
    """
    from abctl.session import amend as acts  # noqa: PLC0415 - the platforms load when asked

    session = file_session_of(what, world, actor=actor, report=tell)
    act = partial(acts.accept, session, accept) if accept else partial(acts.amend, session)
    trial, name = dry_run is not DryRun.none, session.experiment.name
    entry = act(why=why, dry_run=True).entries[-1]
    named = list(entry.parts)
    parts, accepted = ([], named) if accept else (named, [])
    if not trial:
        to_do = f"to amend: {', '.join(parts)}; only requests that come later count"
        tell(f"to accept: {', '.join(accepted)}" if accepted else to_do)
        require_consent("Accept?" if accepted else "Amend?", yes=yes)
        act(why=why)
    answer = {"experiment": name, "parts": parts, "accepted": accepted, "dryRun": trial}
    done = f"{', '.join(accepted)} accepted" if accepted else f"{', '.join(parts)} amended"
    ending = " (dry run)" if trial else ""
    emit("Amend", answer, output, lambda _: f"{name}: {done}{ending}")
