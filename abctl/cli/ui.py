"""`abctl ui`: the reports of experiments live, for a browser on this machine."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Annotated

import typer

from abctl.cli._options import add, duration
from abctl.cli._output import put, say
from abctl.cli._session import WorldOptions
from abctl.cli._source import EvidenceOptions
from abctl.core.time import format_duration
from abctl.errors import UsageError

if TYPE_CHECKING:
    from abctl.notebook.findings import Findings
    from abctl.ui.watched import Watched

_SHORTEST_SECONDS = 1.0
_SAVED = ".gz"


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, ui)


def ui(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Experiment files, or saved evidence (.json.gz).",
            show_default="the experiment files of this folder",
        ),
    ] = None,
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port on 127.0.0.1; 0: a free one.")
    ] = 0,
    interval: Annotated[
        float,
        typer.Option(parser=duration, metavar="DURATION", help="How often it is looked anew."),
    ] = 60.0,
    for_: Annotated[
        float | None,
        typer.Option(
            "--for",
            parser=duration,
            metavar="DURATION",
            envvar="ABCTL_UI_FOR",
            help="When to end; else with Ctrl-C.",
        ),
    ] = None,
    evidence: EvidenceOptions,
    world: WorldOptions,
) -> None:
    """Show the reports of experiments live in a browser, read only.

    It prints an address with a token, which is for this machine alone, and goes on until Ctrl-C.
    Each experiment is analyzed at most once per interval, and only while somebody looks.

    abctl ui iris.yaml

    abctl ui iris.yaml evidence.json.gz --port 8080 --interval 5m
    """
    if interval < _SHORTEST_SECONDS:
        raise UsageError(
            f"--interval {format_duration(interval)}, must be at least "
            f"{format_duration(_SHORTEST_SECONDS)}",
            "--interval 1m",
        )
    named = files or _found_here()
    for missing in (each for each in named if not each.exists()):
        raise UsageError(f"{missing}: no such file", "abctl ui iris.yaml")
    from abctl.notebook.ask import Place, in_world, of_saved  # noqa: PLC0415 - slow to import
    from abctl.ui.server import Server  # noqa: PLC0415 - as above
    from abctl.ui.watched import Watched  # noqa: PLC0415 - as above

    given = {**vars(world), **vars(evidence)}
    place = Place(**{name: value for name, value in given.items() if value is not None})  # type: ignore[typeddict-item]
    told = set[str]()

    def say_once(words: str) -> None:
        """Which world it is, which each look finds anew."""
        if words not in told:
            told.add(words)
            say(f"in {words}")

    def look(file: Path) -> "Findings":
        saved = file.suffix == _SAVED
        return of_saved(file) if saved else in_world(file, place, say_once)

    watched = [Watched(each.name, partial(look, each), interval, time.monotonic) for each in named]
    _require_one(watched)
    try:
        server = Server(port, watched, interval)
    except OSError as error:
        raise UsageError(f"--port {port}: {error.strerror}", "--port 0 takes a free one") from None
    with server:
        if for_ is not None:
            Timer(for_, server.shutdown).start()
        try:
            put(server.url)
            say("open it in a browser of this machine; Ctrl-C ends it")
            server.serve_forever()
        except KeyboardInterrupt:
            say("ended")


def _require_one(watched: "Sequence[Watched]") -> None:
    """That there is something to show; of the others it is told why there is nothing.

    Raises:
        AbctlError: nothing can be shown; of the first one.
    """
    failures = [(each.name, each.seen(None).failure) for each in watched]
    told = [(name, failure) for name, failure in failures if failure is not None]
    if len(told) == len(watched):
        raise told[0][1]
    for name, failure in told:
        say(f"{name}: {failure.message}; hint: {failure.hint}")


def _found_here() -> list[Path]:
    """The experiment files of this folder.

    Raises:
        UsageError: there is none.
    """
    here = sorted([*Path().glob("*.yaml"), *Path().glob("*.yml")])
    found = [each for each in here if "kind: Experiment" in each.read_text(errors="replace")]
    if not found:
        raise UsageError("no experiment file in this folder", "abctl ui iris.yaml")
    return found
