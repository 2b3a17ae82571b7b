"""`abctl demo`: two models, a split, Prometheus and a verdict, in a bit more than a minute."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abctl.cli._output import Output, OutputOption, emit, put, say
from abctl.cli._progress import requests_bar
from abctl.cli._session import ModelsOption

if TYPE_CHECKING:
    from rich.progress import Progress

    from abctl.demo import Report

_STATE = Path(".abctl/demo")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    *,
    candidate: Annotated[
        str, typer.Option(help="Version of the new model: v2, or v3, which is worse and slow.")
    ] = "v2",
    control: Annotated[str, typer.Option(help="Version of the model in production.")] = "v1",
    models: ModelsOption = None,
    state: Annotated[
        Path, typer.Option(envvar="ABCTL_STATE", help="Folder for logs and evidence.")
    ] = _STATE,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the traffic.")] = 1,
    output: OutputOption = Output.table,
) -> None:
    """Run the whole loop on this machine: models, Envoy, Prometheus, traffic, shifts, a verdict.

    It takes a bit more than a minute on every machine. Nothing is left running. A candidate that
    may ship is promoted.

    abctl demo --candidate v3

    abctl demo --control v2 --candidate v1
    """
    from abctl import demo as service  # noqa: PLC0415
    from abctl.cli._simulation import table  # noqa: PLC0415
    from abctl.cli.report import require_writable, write  # noqa: PLC0415
    from abctl.forms.document import document  # noqa: PLC0415
    from abctl.report.analysis import screen  # noqa: PLC0415
    from abctl.report.page.page import LOOKS  # noqa: PLC0415
    from abctl.session.analyze import with_history  # noqa: PLC0415
    from abctl.spec import load  # noqa: PLC0415

    path = service.write_experiment(state, candidate, control)
    page = path.with_suffix(".html")
    require_writable(page, force=False, hint="move it away, or name another --state")
    with _progress() as report:
        outcome = service.demo(
            load(path),
            replace(service.SCHEDULE, seed=seed),
            state_dir=state,
            models_dir=models,
            report=report,
            clock=time.time,
            sleep=time.sleep,
        )
    if output in (Output.table, Output.wide):
        emit("Simulation", {}, output, lambda _: table(outcome.traffic))
        put("")
    found = outcome.analysis
    emit("Analysis", document(found), output, partial(screen, found))
    # Only now, as the path of each effect takes time, and while it is looked at requests flow.
    write(page, *with_history(outcome.evidence, LOOKS), path)
    say(f"nothing runs any more; logs and evidence are in {state}. By hand, step by step:")
    at = "" if state == _STATE else f" --state {state}"
    up = "local up" if models is None else f"local up --models {models}"
    for step in (up, "simulate", "analyze", "local down"):
        say(f"  abctl {step} {path}{at}")


class _Lines:
    """Progress for a log: a line for each step, and for each quarter of the traffic."""

    def __init__(self) -> None:
        self._quarter = 0

    def say(self, message: str) -> None:
        """One line."""
        say(message)

    def requests(self, done: int, total: int) -> None:
        """A line when another quarter is through."""
        if (quarter := 4 * done // total) > self._quarter:
            self._quarter = quarter
            say(f"{done:,} of about {total:,} requests")


class _Bar:
    """Progress for a terminal: lines, and a bar below them."""

    def __init__(self, bar: "Progress") -> None:
        self._bar = bar
        self._task = bar.add_task("requests", total=None)

    def say(self, message: str) -> None:
        """A line above the bar."""
        self._bar.console.print(message)

    def requests(self, done: int, total: int) -> None:
        """The bar goes on."""
        self._bar.update(self._task, completed=done, total=total)


@contextmanager
def _progress() -> Iterator["Report"]:
    if not sys.stderr.isatty():
        yield _Lines()
        return
    with requests_bar() as bar:
        yield _Bar(bar)
