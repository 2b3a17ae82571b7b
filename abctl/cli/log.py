"""`abctl log`: who changed what of an experiment, when and why."""

import typer

from abctl.cli._options import add
from abctl.cli._output import Output, OutputOption, emit
from abctl.cli._session import WhatArgument, WorldOptions, session_of


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
    from abctl.report.ledger import entry_document, entry_line  # noqa: PLC0415
    from abctl.session import ledger  # noqa: PLC0415 - the platforms load when asked

    session = session_of(what, world)
    entries = ledger.read(session.world, session.experiment).ledger.entries
    answer = {
        "experiment": session.experiment.name,
        "entries": [entry_document(entry) for entry in entries],
    }
    emit("Log", answer, output, lambda _: "\n".join(map(entry_line, entries)))
