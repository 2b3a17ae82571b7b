"""A change of the split, from its plan to its outcome: what shift, promote and rollback share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from abctl.cli._consent import require_consent
from abctl.cli._output import Output, emit, say, tell
from abctl.cli._session import (
    ActorOption,
    DiffOption,
    DryRun,
    DryRunOption,
    OwnedOption,
    TimeoutOption,
    WhyOption,
    WorldOptions,
    YesOption,
    session_of,
)
from abctl.cli.diff import show
from abctl.core.split import Split, format_share
from abctl.core.time import format_duration
from abctl.errors import AbctlError
from abctl.report.prose import prose

if TYPE_CHECKING:
    from abctl.session.session import Session
    from abctl.session.shift import Plan, ShiftResult

NO_SPLIT = "weights that are no split"


@dataclass(frozen=True)
class ShiftOptions:
    """What a user says to each of these commands, in the order in which the help lists it.

    `force` shifts also where a controller owns the split, or somebody always puts it back; and
    rolls back also to a control of which no pod is ready.
    """

    why: WhyOption = ""
    dry_run: DryRunOption = DryRun.none
    diff: DiffOption = False
    yes: YesOption = False
    timeout: TimeoutOption = 150.0
    force: OwnedOption = False
    actor: ActorOption = ""


def carry_out(
    what: str,
    given: ShiftOptions,
    world: WorldOptions,
    output: Output,
    *,
    choose: Callable[["Session"], "Plan"],
    act: Callable[..., "ShiftResult"],
) -> None:
    """Say what will be done, ask, do it, and answer.

    Args:
        what: the experiment file, or KIND/NAME.
        given: how far to go, and what the ledger says.
        world: where the experiment is.
        output: the form of the answer.
        choose: says what would be done, from a fresh look at the world.
        act: does it, for session and split; takes `why`, `planned` and `force`.
    """
    from abctl.session import shift as service  # noqa: PLC0415

    session = session_of(what, world, actor=given.actor, timeout_seconds=given.timeout, report=tell)
    planned = choose(session)
    _explain(planned, session)
    if given.diff:
        show(planned.change.before, planned.change.after)
    if given.dry_run is not DryRun.none:
        if given.dry_run is DryRun.server:
            service.check(session, planned)
        splits = planned.before, planned.after
        _answer(session, splits, output, dryRun=True, changed=False, confirmed=None)
        return
    asked = not planned.empty and require_consent("Shift?", yes=given.yes)
    try:
        # While somebody thought about it the world may have changed.
        kept = None if asked else planned
        result = act(session, planned.after, why=given.why, planned=kept, force=given.force)
    except KeyboardInterrupt:
        say("the shift may be half done: the same command finishes it, a shift back reverts it")
        raise
    if result.confirmed:
        say("it is in effect" if result.changed else "nothing to do: it is in effect already")
    else:
        nothing = "" if result.changed else "nothing to do: it is asked for already\n"
        say(f"{nothing}{unconfirmed(session)}")
    if result.unrecorded:
        say(
            f"warning: the ledger does not say it: {result.unrecorded}\nhint: the next command "
            "that can write the ledger enters what the object says, and since when"
        )
    done = {
        "changed": result.changed,
        "confirmed": result.confirmed,
        "recorded": not result.unrecorded,
    }
    _answer(session, (result.before, result.after), output, dryRun=False, **done)


def variants(ctx: typer.Context, incomplete: str) -> list[str]:
    """For the tab key: the variants of the experiment file that the command line names."""
    from abctl.spec import load  # noqa: PLC0415 - only for the tab key

    try:
        names = load(Path(ctx.params.get("what") or "")).split.names
    except AbctlError:
        return []
    return [name for name in names if name.startswith(incomplete)]


def _explain(planned: "Plan", session: "Session") -> None:
    seen, experiment = planned.state, session.experiment
    if seen.unrecorded:
        say(f"warning: without the ledger: {seen.unrecorded}")
    if seen.unsplit:
        say(f"warning: {seen.unsplit}; nobody knows since when, or who gets what")
    for owner in planned.owners:
        say(f"warning: {owner.name} writes {planned.change.ref} too\nhint: {owner.advice}")
    if seen.other_variants:
        say(f"warning: {seen.other_variants}\nhint: {seen.remedy}")
    if seen.drifted:
        tell(f"{planned.before} was set without abctl; a shift enters it in the ledger")
    if intent := seen.ledger.intent:
        tell(f"an earlier shift of {intent.actor} to {intent.after} was not finished")
    # Without a file there is no plan that could have changed.
    if not session.adopted and (parts := seen.ledger.changed_since(experiment)):
        listed, differ = ", ".join(parts), "differs" if len(parts) == 1 else "differ"
        say(
            f"warning: {listed} of the file {differ} from what was locked at the start: a shift "
            "changes only the shares, all else stays as it was locked, and abctl analyze says "
            "invalid until the file is put back"
        )
    say(prose(f"from {planned.before or NO_SPLIT}", hanging=5))
    say(prose(f"to   {planned.after}", hanging=5))
    unit = experiment.assignment.unit
    if unit != "request":
        for (old, new), moved_bp in planned.moves.items():
            moved = f"{format_share(moved_bp)} of all {unit}s move from {old} to {new}"
            say(prose(moved, indent=5))


def unconfirmed(session: "Session") -> str:
    """What is to be said of a split of which nobody can tell whether it is in effect."""
    asked, name = session.platform.CAPABILITIES.inquiry, session.experiment.platform
    if asked is None:
        return f"{name} cannot say whether it is in effect"
    words = (
        f"abctl cannot see whether it is in effect (abctl status says why): "
        f"it may take {format_duration(asked.within_seconds)} to reach every pod of {name}"
    )
    settle_seconds = session.experiment.design.settle_seconds
    if session.adopted or settle_seconds >= asked.within_seconds:
        return words
    settle = format_duration(settle_seconds)
    return (
        f"{words}\nwarning: after {settle} (design.settle) requests count as the new split's, "
        "though the old one may still be in effect"
    )


def _answer(
    session: "Session", splits: tuple[Split | None, Split], output: Output, **done: bool | None
) -> None:
    before, after = splits
    answer = {
        "experiment": session.experiment.name,
        "from": before and before.ratios,
        "to": after.ratios,
        **done,
    }
    trial = " (dry run)" if done["dryRun"] else ""
    emit("Shift", answer, output, lambda _: prose(f"{before or NO_SPLIT} -> {after}{trial}"))
