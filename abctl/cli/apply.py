"""`abctl apply`: bring an experiment into a cluster."""

from dataclasses import dataclass
from typing import Annotated

import typer

from abctl.cli._consent import require_consent
from abctl.cli._options import add
from abctl.cli._output import Output, OutputOption, emit, say, tell
from abctl.cli._session import (
    ActorOption,
    ClusterOptions,
    DiffOption,
    DryRun,
    DryRunOption,
    FileArgument,
    ForceOption,
    TimeoutOption,
    WhyOption,
    YesOption,
    cluster_session_of,
)
from abctl.cli._shift import unconfirmed
from abctl.cli.diff import show
from abctl.core.change import Ref


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, apply)


@dataclass(frozen=True)
class ApplyOptions:
    """How far to go, how long to wait, and what the ledger says."""

    why: WhyOption = "the experiment was applied"
    dry_run: DryRunOption = DryRun.none
    diff: DiffOption = False
    yes: YesOption = False
    wait: Annotated[
        bool, typer.Option(help="Wait until every variant is ready and the split is in effect.")
    ] = True
    timeout: TimeoutOption = 300.0
    force: ForceOption = False
    queue: Annotated[
        bool,
        typer.Option(
            "--queue", help="Wait until no other experiment has the host or Services (--timeout)."
        ),
    ] = False
    actor: ActorOption = ""


def apply(
    what: FileArgument,
    *,
    given: ApplyOptions,
    cluster: ClusterOptions,
    output: OutputOption = Output.table,
) -> None:
    """Apply an experiment's objects (server-side, as field manager abctl) and start its ledger.

    The split of an experiment that runs already stays as it is: abctl shift changes it.

    abctl apply iris.yaml -n models

    abctl apply iris.yaml --dry-run=server -o yaml

    abctl apply iris.yaml --yes --queue --timeout 7d
    """
    from abctl.session import apply as service  # noqa: PLC0415

    settings = {"actor": given.actor, "timeout_seconds": given.timeout, "report": tell}
    session = cluster_session_of(what, cluster, **settings)
    objects, experiment = service.wanted(session), session.experiment
    names = [str(Ref.of(obj)) for obj in objects]
    answer = {"experiment": experiment.name, "objects": names, "split": experiment.split.ratios}
    if given.diff or given.dry_run is DryRun.server:
        for step in service.steps(session, objects, force=given.force):
            if given.diff and step.changes:
                show(step.before, step.after)
    if given.dry_run is not DryRun.none:
        done = {"dryRun": True, "confirmed": None}
        emit("Apply", answer | done, output, lambda _: "\n".join(f"{n} (dry run)" for n in names))
        return
    tell(f"to apply: {', '.join(names)}")
    require_consent("Apply?", yes=given.yes)
    confirmed = service.apply(
        session, why=given.why, wait=given.wait, force=given.force, queue=given.queue
    )
    if given.wait and not confirmed:
        say(unconfirmed(session))
    emit(
        "Apply",
        answer | {"dryRun": False, "confirmed": confirmed},
        output,
        lambda _: f"{experiment.name} is applied{', and in effect' if confirmed else ''}",
    )
