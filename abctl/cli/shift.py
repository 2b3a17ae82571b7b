"""`abctl shift`: change the split of a running experiment."""

import time
from functools import partial
from getpass import getuser
from typing import TYPE_CHECKING, Annotated, Any

import typer

from abctl.cli._consent import require_consent
from abctl.cli._output import Output, OutputOption, emit, say
from abctl.cli._place import ExperimentArgument, StateOption, YesOption
from abctl.core.split import Split, format_share
from abctl.errors import UsageError

if TYPE_CHECKING:
    from abctl.core.experiment import Experiment
    from abctl.services.shift import Plan


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(shift)


def shift(
    experiment: ExperimentArgument,
    split: Annotated[
        list[str] | None,
        typer.Argument(metavar="SPLIT", help="treatment=30% (the control takes the rest), 50/50."),
    ] = None,
    *,
    to: Annotated[str | None, typer.Option(help="The split, as an option.")] = None,
    why: Annotated[str, typer.Option(help="The reason, for the ledger.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
    yes: YesOption = False,
    timeout: Annotated[
        float, typer.Option(min=0, help="Seconds that it may take until it is in effect.")
    ] = 30.0,
    actor: Annotated[
        str, typer.Option(envvar="ABCTL_ACTOR", help="Who does it, for the ledger.")
    ] = "",
    state: StateOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Change the split, and wait until it is in effect.

    Interrupted anywhere, the same command again finishes it, and a shift back reverts it.

    abctl shift iris.yaml treatment=30% --why "looks good after a day"

    abctl shift iris.yaml 50/50 --dry-run
    """
    from abctl.platforms import platform  # noqa: PLC0415
    from abctl.services import local, world  # noqa: PLC0415
    from abctl.services import shift as service  # noqa: PLC0415
    from abctl.services.load import load  # noqa: PLC0415
    from abctl.services.look import look  # noqa: PLC0415

    words = (*(split or ()), *(to or "").split())
    if not words:
        raise UsageError("no split given", "abctl shift EXPERIMENT treatment=30%, or 50/50")
    loaded = load(experiment)
    carrier, state_dir = platform(loaded.platform), state or local.default_state(loaded.name)
    door = world.door(loaded, state_dir)
    wanted = look(door, carrier, loaded).asked.parse_change(words)
    planned = service.plan(door, carrier, loaded, wanted)
    _explain(planned, loaded)
    answer: dict[str, Any] = {"experiment": loaded.name, "from": _shares(planned.before)}
    answer |= {"to": _shares(wanted), "dryRun": dry_run}
    if dry_run:
        door.patch(planned.change.ref, planned.change.json_patch(), dry_run=True)
        done = {"changed": False, "confirmed": None}
    else:
        if not planned.empty:
            require_consent("Shift?", yes=yes)
        try:
            result = service.shift(
                door,
                carrier,
                loaded,
                wanted,
                actor=actor or _user(),
                why=why,
                clock=time.time,
                sleep=time.sleep,
                timeout_seconds=timeout,
                ready=partial(world.ready, state_dir),
            )
        except KeyboardInterrupt:
            say("the shift may be half done: the same command finishes it, a shift back reverts it")
            raise
        done = {"changed": result.changed, "confirmed": result.confirmed}
        _report(changed=result.changed, confirmed=result.confirmed)
    emit("Shift", answer | done, output, lambda _: f"{planned.before} -> {wanted}")


def _user() -> str:
    try:
        return getuser()
    except (KeyError, OSError):
        raise UsageError("this user has no name", "say who you are with --actor") from None


def _explain(planned: "Plan", experiment: "Experiment") -> None:
    if planned.seen.drifted:
        say(f"somebody set {planned.before} without abctl; a shift enters it in the ledger")
    if intent := planned.seen.ledger.intent:
        say(f"an earlier shift of {intent.actor} to {intent.after} was not finished")
    say(f"from {planned.before}")
    say(f"to   {planned.after}")
    unit = experiment.assignment.unit
    for (old, new), moved_bp in planned.moves.items():
        if unit == "request":
            say(f"     {format_share(moved_bp)} of the requests go to {new} instead of {old}")
        else:
            say(f"     {format_share(moved_bp)} of all {unit}s move from {old} to {new}")


def _report(*, changed: bool, confirmed: bool) -> None:
    done = "it is in effect" if changed else "nothing to do: it is in effect already"
    say(done if confirmed else "the platform cannot say whether it is in effect")


def _shares(split: Split) -> dict[str, float]:
    return {name: split[name] / 10_000 for name in split.names}
