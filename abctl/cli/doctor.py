"""`abctl doctor`: would it work, and could it be judged?"""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from abctl.cli._output import Output, OutputOption, emit
from abctl.cli._place import (
    ContextOption,
    KubeconfigOption,
    NamespaceOption,
    StateOption,
    WhatArgument,
    find_place,
)
from abctl.cli._progress import requests_bar
from abctl.cli._source import (
    AllowCredentialsOption,
    PrometheusConfigOption,
    PrometheusOption,
    with_credentials,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from abctl.services.checks import Check

_STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}
_FOUND_ERRORS = 3


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


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
    prometheus: PrometheusOption = None,
    prometheus_config: PrometheusConfigOption = None,
    allow_credentials: AllowCredentialsOption = None,
    state: StateOption = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Check everything that an experiment needs, and change nothing.

    The probe only asks whether the model is ready, which no server counts. Exits with 3 if
    anything is an error.

    abctl doctor iris.yaml

    abctl doctor iris.yaml --url https://iris.example.com
    """
    from abctl.services.doctor import examine  # noqa: PLC0415 - the platforms load when asked

    place = find_place(what, state, kubeconfig, context, namespace)
    place = with_credentials(place, prometheus, prometheus_config, allow_credentials)
    with requests_bar() as bar:
        task = bar.add_task("", total=None, visible=False)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, visible=done < total)

        checks = list(
            examine(
                place,
                clock=place.door.now,
                entrance_url=url,
                prometheus_url=prometheus,
                prometheus_config=prometheus_config,
                users=users,
                report=report if sys.stderr.isatty() else None,
            )
        )
    errors = sum(check.level == "error" for check in checks)
    document = {
        "experiment": place.experiment.name,
        "healthy": not errors,
        "checks": [vars(check) for check in checks],
    }
    emit("Diagnosis", document, output, lambda _: _table(checks))
    if errors:
        raise typer.Exit(_FOUND_ERRORS)


def _table(checks: "Sequence[Check]") -> object:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    shown = Table(box=None, pad_edge=False)
    for column in ("", "CHECK", "FOUND"):
        shown.add_column(column)
    for check in checks:
        hint = f"\n→ {check.hint}" if check.hint and check.level != "ok" else ""
        level = Text(check.level, style=_STYLES[check.level])
        shown.add_row(level, Text(check.name), Text(check.message + hint))
    return shown
