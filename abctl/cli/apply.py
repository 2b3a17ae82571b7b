"""`abctl apply`: bring an experiment into a cluster."""

import time
from typing import Annotated

import typer

from abctl.cli._consent import require_consent
from abctl.cli._output import Output, OutputOption, emit, say, tell
from abctl.cli._place import (
    ActorOption,
    ContextOption,
    DiffOption,
    DryRun,
    DryRunOption,
    FileArgument,
    ForceOption,
    KubeconfigOption,
    NamespaceOption,
    TimeoutOption,
    WhyOption,
    YesOption,
    find_cluster,
    who,
)
from abctl.cli._shift import shares, unconfirmed
from abctl.cli.diff import show
from abctl.core.change import Ref


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(apply)


def apply(
    what: FileArgument,
    *,
    why: WhyOption = "the experiment was applied",
    dry_run: DryRunOption = DryRun.none,
    diff: DiffOption = False,
    yes: YesOption = False,
    wait: Annotated[
        bool, typer.Option(help="Wait until every variant is ready and the split is in effect.")
    ] = True,
    timeout: TimeoutOption = 300.0,
    force: ForceOption = False,
    actor: ActorOption = "",
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Apply an experiment's objects (server-side, as field manager abctl) and start its ledger.

    The split of an experiment that runs already stays as it is: abctl shift changes it.

    abctl apply iris.yaml -n models

    abctl apply iris.yaml --dry-run=server -o yaml
    """
    from abctl.session import apply as service  # noqa: PLC0415

    place = find_cluster(what, kubeconfig, context, namespace)
    door, carrier, experiment = place.door, place.platform, place.experiment
    objects = service.wanted(door, carrier, experiment)
    names = [str(Ref.of(obj)) for obj in objects]
    answer = {"experiment": experiment.name, "objects": names, "split": shares(experiment.split)}
    if diff or dry_run is DryRun.server:
        for step in service.steps(door, objects, force=force):
            if diff and step.changes:
                show(step.before, step.after)
    if dry_run is not DryRun.none:
        done = {"dryRun": True, "confirmed": None}
        emit("Apply", answer | done, output, lambda _: "\n".join(f"{n} (dry run)" for n in names))
        return
    tell(f"to apply: {', '.join(names)}")
    require_consent("Apply?", yes=yes)
    confirmed = service.apply(
        door,
        carrier,
        experiment,
        actor=who(actor),
        why=why,
        clock=door.now,
        sleep=time.sleep,
        timeout_seconds=timeout,
        report=tell,
        wait=wait,
        force=force,
    )
    if wait and not confirmed:
        say(unconfirmed(place))
    emit(
        "Apply",
        answer | {"dryRun": False, "confirmed": confirmed},
        output,
        lambda _: f"{experiment.name} is applied{', and in effect' if confirmed else ''}",
    )
