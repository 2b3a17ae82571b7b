"""`abctl run`: drive the ramp of an experiment."""

import sys
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from abctl.cli._consent import require_consent
from abctl.cli._options import EXIT_CODES_LINE, add, duration
from abctl.cli._output import PEOPLE, Output, OutputOption, emit, put, screen, tell
from abctl.cli._session import (
    ActorOption,
    DryRun,
    DryRunOption,
    FileArgument,
    TimeoutOption,
    WorldOptions,
    YesOption,
    file_session_of,
)
from abctl.cli._source import EvidenceOptions, with_evidence
from abctl.cli.analyze import ExitOptions
from abctl.core.time import format_duration
from abctl.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from abctl.session.run import Turn

_SHORTEST_WAIT_SECONDS = 1.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, run, epilog=EXIT_CODES_LINE)


@dataclass(frozen=True)
class RunOptions:
    """How long to go on, and who does it."""

    once: Annotated[
        bool, typer.Option("--once", help="Look once, do what follows, and end (for a CronJob).")
    ] = False
    interval: Annotated[
        float,
        typer.Option(
            parser=duration, metavar="DURATION", help="How long to wait between two looks."
        ),
    ] = 60.0
    dry_run: DryRunOption = DryRun.none
    yes: YesOption = False
    timeout: TimeoutOption = 150.0
    actor: ActorOption = ""


def run(
    what: FileArgument,
    *,
    given: RunOptions,
    evidence: EvidenceOptions,
    ending: ExitOptions,
    world: WorldOptions,
    output: OutputOption = Output.table,
) -> None:
    """Let the split grow as the evidence allows, by the ramp of the file, until it is decided.

    It may be ended at any time: the split stays as it is, and the same command goes on.

    abctl run iris.yaml

    abctl run iris.yaml --dry-run=client

    abctl run iris.yaml --once --yes -o json --fail-on stop
    """
    from abctl.session.run import run as turns  # noqa: PLC0415 - the platforms load when asked
    from abctl.session.run import turn  # noqa: PLC0415 - as above

    _ = ending.failing  # what is wrong with it is said before anything is done
    if given.interval < _SHORTEST_WAIT_SECONDS:
        raise UsageError(
            f"--interval {format_duration(given.interval)}, must be at least "
            f"{format_duration(_SHORTEST_WAIT_SECONDS)}",
            "--interval 1m",
        )
    settings = {"actor": given.actor, "timeout_seconds": given.timeout, "report": tell}
    session = with_evidence(file_session_of(what, world, **settings), evidence)
    if given.dry_run is not DryRun.none:
        trial = turn(session, dry_run=True)
        _require_sight(trial)
        _show(trial, None, output, None)
        ending.leave(trial.verdict)
        return
    require_consent("Let the ramp change the split?", yes=given.yes)
    last: Turn | None = None
    try:
        with _status(output) as live:
            for found in turns(session, given.interval, once=given.once):
                if last is None:
                    _require_sight(found)
                _show(found, last, output, live)
                last = found
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted: the split stays as it is",
            "the same command goes on; abctl rollback EXPERIMENT sends everything back",
        ) from None
    if last is not None and last.failure and given.once:
        raise last.failure
    ending.leave("invalid" if last is None else last.verdict)


def _require_sight(first: "Turn") -> None:
    """At first a source that cannot be read is an error; later that passes.

    What follows whatever the evidence says was done all the same.

    Raises:
        SourceError: there is no evidence.
    """
    if first.blind is not None and first.action.kind == "hold":
        raise first.blind


def _status(output: Output) -> "AbstractContextManager[Any]":
    """The line that changes on a terminal, below what has been said."""
    if output in PEOPLE and sys.stderr.isatty():
        return screen(stderr=True).status("looking")
    return nullcontext()


def _show(found: "Turn", last: "Turn | None", output: Output, live: Any) -> None:
    """Each turn for programs; for people what is new, and the present one where it can change."""
    from abctl.foreign import in_one_line  # noqa: PLC0415 - with the report
    from abctl.report.turn import document, line, news  # noqa: PLC0415

    if output not in PEOPLE:
        emit("Turn", document(found), output, str)
        return
    text = in_one_line(line(found))
    if last is None or news(last, found):
        put(text)
    if live is not None:
        from rich.text import Text  # noqa: PLC0415 - only on a terminal

        live.update(Text(text))
