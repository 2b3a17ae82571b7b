"""`abctl doctor`: would it work, and could it be judged?"""

from typing import TYPE_CHECKING, Annotated

import typer

from abctl.cli._called import as_called
from abctl.cli._options import add
from abctl.cli._output import Output, OutputOption, emit
from abctl.cli._progress import stages
from abctl.cli._session import WhatArgument, WorldOptions, session_of
from abctl.cli._source import EvidenceOptions, with_evidence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from abctl.doctor.check import Check

_STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}
_FOUND_ERRORS = 3


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, doctor)


def doctor(
    what: WhatArgument,
    *,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="ABCTL_URL",
            help="Where requests go in; made-up users then ask which variant they get.",
            show_default="that of the local stack",
        ),
    ] = None,
    users: Annotated[
        int, typer.Option(min=10, max=100_000, envvar="ABCTL_USERS", help="How many of them.")
    ] = 1_000,
    evidence: EvidenceOptions,
    world: WorldOptions,
    output: OutputOption = Output.table,
) -> None:
    """Check everything that an experiment needs, and change nothing.

    It says on stderr what it is doing. The probe only asks whether the model is ready, which no
    server counts, and ends soon where a variant is dead. Exits with 3 if anything is an error.

    abctl doctor iris.yaml

    abctl doctor iris.yaml --url https://iris.example.com
    """
    from abctl.doctor import examine  # noqa: PLC0415 - the platforms load when asked

    session = with_evidence(session_of(what, world), evidence)
    with stages() as (doing, report):
        checks = list(examine(session, entrance_url=url, users=users, doing=doing, report=report))
    errors = sum(check.level == "error" for check in checks)
    document = {
        "experiment": session.experiment.name,
        "healthy": not errors,
        "checks": [check.document() for check in checks],
    }
    emit("Diagnosis", document, output, lambda _: _table(checks))
    if errors:
        raise typer.Exit(_FOUND_ERRORS)


def _table(checks: "Sequence[Check]") -> object:
    from abctl.report.layout import Row, table  # noqa: PLC0415

    rows = []
    for check in checks:
        hint = f"\n→ {as_called(check.hint)}" if check.hint and check.level != "ok" else ""
        cells = {"": check.level, "CHECK": check.name, "FOUND": check.reason.text + hint}
        rows.append(Row(cells, mark=_STYLES[check.level]))
    return table(rows, left={"CHECK"}, last="FOUND")
