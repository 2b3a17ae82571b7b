"""`abctl log`: who changed what of an experiment, when and why."""

from typing import TYPE_CHECKING, Any

import typer

from abctl.cli._options import add
from abctl.cli._output import Output, OutputOption, emit
from abctl.cli._session import WhatArgument, WorldOptions, session_of
from abctl.core.time import format_moment

if TYPE_CHECKING:
    from abctl.core.ledger import Entry


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, log)


def log(
    what: WhatArgument,
    *,
    world: WorldOptions,
    output: OutputOption = Output.table,
) -> None:
    """Print the ledger: who changed what, when and why, the oldest first.

    abctl log iris.yaml

    abctl log httproute/iris -n prod -o json
    """
    from abctl.session import ledger  # noqa: PLC0415 - the platforms load when asked

    session = session_of(what, world)
    entries = ledger.read(session.world, session.experiment).ledger.entries
    rows = [_row(entry) for entry in entries]
    answer = {"experiment": session.experiment.name, "entries": rows}
    emit("Log", answer, output, lambda _: "\n".join(map(_line, entries)))


def _row(entry: "Entry") -> dict[str, Any]:
    return {
        "at": format_moment(entry.at),
        "since": None if entry.since is None else format_moment(entry.since),
        "actor": entry.actor,
        "user": entry.user or None,
        "phase": entry.phase,
        "from": entry.before and entry.before.ratios,
        "to": entry.after.ratios,
        "parts": [*entry.parts],
        "why": entry.why,
    }


def _line(entry: "Entry") -> str:
    from abctl.foreign import in_one_line  # noqa: PLC0415 - for people alone

    who = entry.actor if entry.user in ("", entry.actor) else f"{entry.actor} ({entry.user})"
    what = f"the plan: {', '.join(entry.parts)}" if entry.parts else str(entry.after)
    why = f": {entry.why}" if entry.why else ""
    moment = format_moment(entry.at, "seconds")
    return in_one_line(f"{moment}  {who}  {entry.phase}  {what}{why}")
