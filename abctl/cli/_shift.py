"""A change of the split, from its plan to its outcome: what shift, promote and rollback share."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from abctl.cli._consent import require_consent
from abctl.cli._output import Output, emit, say
from abctl.cli._place import DryRun, who
from abctl.core.split import Split, format_share

if TYPE_CHECKING:
    from abctl.core.experiment import Experiment
    from abctl.services.place import Place
    from abctl.services.shift import Plan


def carry_out(
    place: "Place",
    choose: Callable[[Split], Split],
    *,
    why: str,
    actor: str,
    dry_run: DryRun,
    yes: bool,
    timeout_seconds: float,
    output: Output,
) -> None:
    """Say what will be done, ask, do it, and answer.

    Args:
        place: where.
        choose: gives the wanted split for the one that is asked for now.
        why: for the ledger.
        actor: for the ledger.
        dry_run: how far to go.
        yes: do not ask.
        timeout_seconds: how long the platform may take.
        output: form of the answer.
    """
    from abctl.services import shift as service  # noqa: PLC0415
    from abctl.services.look import look  # noqa: PLC0415

    door, carrier, experiment = place.door, place.platform, place.experiment
    wanted = choose(look(door, carrier, experiment).asked)
    planned = service.plan(door, carrier, experiment, wanted)
    _explain(planned, experiment)
    answer: dict[str, Any] = {"experiment": experiment.name, "from": shares(planned.before)}
    answer |= {"to": shares(wanted), "dryRun": dry_run is not DryRun.none}
    if dry_run is not DryRun.none:
        if dry_run is DryRun.server and not planned.change.empty:
            door.patch(planned.change.ref, planned.change.json_patch(), dry_run=True)
        done = {"changed": False, "confirmed": None}
    else:
        if not planned.empty:
            require_consent("Shift?", yes=yes)
        try:
            result = service.shift(
                door,
                carrier,
                experiment,
                wanted,
                actor=who(actor),
                why=why,
                clock=time.time,
                sleep=time.sleep,
                timeout_seconds=timeout_seconds,
                ready=place.ready,
            )
        except KeyboardInterrupt:
            say("the shift may be half done: the same command finishes it, a shift back reverts it")
            raise
        done = {"changed": result.changed, "confirmed": result.confirmed}
        _report(changed=result.changed, confirmed=result.confirmed)
    emit("Shift", answer | done, output, lambda _: f"{planned.before} -> {wanted}")


def shares(split: Split) -> dict[str, float]:
    """The shares by variant, of 1."""
    return {name: split[name] / 10_000 for name in split.names}


def _explain(planned: "Plan", experiment: "Experiment") -> None:
    if planned.seen.drifted:
        say(f"somebody set {planned.before} without abctl; a shift enters it in the ledger")
    if intent := planned.seen.ledger.intent:
        say(f"an earlier shift of {intent.actor} to {intent.after} was not finished")
    say(f"from {planned.before}")
    say(f"to   {planned.after}")
    unit = experiment.assignment.unit
    if unit != "request":
        for (old, new), moved_bp in planned.moves.items():
            say(f"     {format_share(moved_bp)} of all {unit}s move from {old} to {new}")


def _report(*, changed: bool, confirmed: bool) -> None:
    done = "it is in effect" if changed else "nothing to do: it is in effect already"
    say(done if confirmed else "the platform cannot say whether it is in effect")
