"""A change of the split, from its plan to its outcome: what shift, promote and rollback share."""

import inspect
import time
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from abctl.cli._consent import require_consent
from abctl.cli._output import Output, OutputOption, emit, say, tell
from abctl.cli._place import (
    ActorOption,
    ContextOption,
    DiffOption,
    DryRun,
    DryRunOption,
    KubeconfigOption,
    NamespaceOption,
    StateOption,
    TimeoutOption,
    WhatArgument,
    WhyOption,
    YesOption,
    find_place,
    who,
)
from abctl.cli.diff import show
from abctl.core.split import Split, format_share
from abctl.core.time import format_duration
from abctl.errors import AbctlError
from abctl.report.prose import prose

if TYPE_CHECKING:
    from abctl.session.place import Place
    from abctl.session.shift import Plan


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a user says to each of these commands, in the order in which the help lists it."""

    what: WhatArgument
    why: WhyOption = ""
    dry_run: DryRunOption = DryRun.none
    diff: DiffOption = False
    yes: YesOption = False
    timeout: TimeoutOption = 150.0
    actor: ActorOption = ""
    state: StateOption = None
    namespace: NamespaceOption = None
    context: ContextOption = None
    kubeconfig: KubeconfigOption = None
    output: OutputOption = Output.table


def add(app: typer.Typer, command: Callable[..., None], *, why: str = "") -> None:
    """Add a command whose first parameter is an `Order`: for typer each part of it is one.

    Args:
        app: to which.
        command: its other parameters are its own.
        why: what the ledger says where the user gives no reason.
    """
    own = list(inspect.signature(command).parameters.values())[1:]
    shared = {
        field.name: inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=field.type,
        )
        for field in fields(Order)
    }
    shared["why"] = shared["why"].replace(default=why)

    def called(**given: Any) -> None:
        order = Order(**{name: given.pop(name) for name in shared})
        command(order, **given)

    what, *options = shared.values()
    own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    parameters = [what, *own, *options]
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {each.name: each.annotation for each in parameters}
    called.__name__, called.__doc__ = command.__name__, command.__doc__
    app.command()(called)


def carry_out(order: Order, choose: Callable[[Split], Split]) -> None:
    """Say what will be done, ask, do it, and answer.

    Args:
        order: what the user said.
        choose: gives the wanted split for the one that is asked for now.
    """
    from abctl.session import shift as service  # noqa: PLC0415
    from abctl.session.look import look  # noqa: PLC0415

    place = find_place(order.what, order.state, order.kubeconfig, order.context, order.namespace)
    door, carrier, experiment = place.door, place.platform, place.experiment
    seen = look(door, carrier, experiment, place.found)
    wanted = choose(seen.asked)
    planned = service.plan_from(seen, carrier, wanted)
    _explain(planned, place)
    if order.diff:
        show(planned.change.before, planned.change.after)
    if order.dry_run is not DryRun.none:
        if order.dry_run is DryRun.server and not planned.change.empty:
            door.patch(planned.change.ref, planned.change.json_patch(), dry_run=True)
        _answer(order, place, planned.before, wanted, changed=False, confirmed=None)
        return
    asked = not planned.empty and require_consent("Shift?", yes=order.yes)
    try:
        result = service.shift(
            door,
            carrier,
            experiment,
            wanted,
            actor=who(order.actor),
            why=order.why,
            clock=door.now,
            sleep=time.sleep,
            timeout_seconds=order.timeout,
            ready=place.ready,
            # While somebody thought about it the world may have changed.
            planned=None if asked else planned,
            report=tell,
        )
    except KeyboardInterrupt:
        say("the shift may be half done: the same command finishes it, a shift back reverts it")
        raise
    if result.confirmed:
        say("it is in effect" if result.changed else "nothing to do: it is in effect already")
    else:
        nothing = "" if result.changed else "nothing to do: it is asked for already\n"
        say(f"{nothing}{unconfirmed(place)}")
    _answer(order, place, result.before, wanted, changed=result.changed, confirmed=result.confirmed)


def variants(ctx: typer.Context, incomplete: str) -> list[str]:
    """For the tab key: the variants of the experiment file that the command line names."""
    from abctl.spec import load  # noqa: PLC0415 - only for the tab key

    try:
        names = load(Path(ctx.params.get("what") or "")).split.names
    except AbctlError:
        return []
    return [name for name in names if name.startswith(incomplete)]


def shares(split: Split) -> dict[str, float]:
    """The shares by variant, of 1."""
    return {name: split[name] / 10_000 for name in split.names}


def _explain(planned: "Plan", place: "Place") -> None:
    seen, experiment = planned.seen, place.experiment
    if seen.other_variants:
        say(f"warning: {seen.other_variants}\nhint: {seen.remedy}")
    if seen.drifted:
        tell(f"somebody set {planned.before} without abctl; a shift enters it in the ledger")
    if intent := seen.ledger.intent:
        tell(f"an earlier shift of {intent.actor} to {intent.after} was not finished")
    # Without a file there is no plan that could have changed.
    if not place.adopted and (parts := seen.ledger.changed_since(experiment)):
        listed = ", ".join(parts)
        say(f"warning: {listed} of the file differ from what was locked at the start")
    say(prose(f"from {planned.before}", hanging=5))
    say(prose(f"to   {planned.after}", hanging=5))
    unit = experiment.assignment.unit
    if unit != "request":
        for (old, new), moved_bp in planned.moves.items():
            moved = f"{format_share(moved_bp)} of all {unit}s move from {old} to {new}"
            say(prose(moved, indent=5))


def unconfirmed(place: "Place") -> str:
    """What is to be said of a split of which nobody can tell whether it is in effect."""
    asked, name = place.platform.CAPABILITIES.inquiry, place.experiment.platform
    if asked is None:
        return f"{name} cannot say whether it is in effect"
    words = (
        f"abctl cannot see whether it is in effect (abctl status says why): "
        f"it may take {format_duration(asked.within_seconds)} to reach every pod of {name}"
    )
    settle_seconds = place.experiment.design.settle_seconds
    if place.adopted or settle_seconds >= asked.within_seconds:
        return words
    settle = format_duration(settle_seconds)
    return (
        f"{words}\nwarning: after {settle} (design.settle) requests count as the new split's, "
        "though the old one may still be in effect"
    )


def _answer(
    order: Order, place: "Place", before: Split, wanted: Split, **done: bool | None
) -> None:
    answer = {
        "experiment": place.experiment.name,
        "from": shares(before),
        "to": shares(wanted),
        "dryRun": order.dry_run is not DryRun.none,
        **done,
    }
    trial = " (dry run)" if answer["dryRun"] else ""
    emit("Shift", answer, order.output, lambda _: prose(f"{before} -> {wanted}{trial}"))
