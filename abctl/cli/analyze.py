"""`abctl analyze`: is it better, and may it ship?"""

from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abctl.cli._options import EXIT_CODES_LINE, add, duration
from abctl.cli._output import PEOPLE, Output, OutputOption, emit, say
from abctl.cli._progress import questions_bar
from abctl.cli._session import WorldOptions, file_session_of
from abctl.cli._source import EvidenceOptions, with_evidence
from abctl.core.time import format_duration
from abctl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from abctl.core.analysis import Analysis
    from abctl.session.session import Session

_SHORTEST_WAIT_SECONDS = 1.0
EXIT_CODES = {"ship": 0, "continue": 10, "stop": 11, "invalid": 12}


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, analyze, epilog=EXIT_CODES_LINE)


@dataclass(frozen=True)
class WatchOptions:
    """Whether to look again and again."""

    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Look again until the verdict is not continue.")
    ] = False
    interval: Annotated[
        float,
        typer.Option(
            parser=duration, metavar="DURATION", help="How long to wait between two looks."
        ),
    ] = 60.0


def analyze(
    experiment: Annotated[
        Path | None, typer.Argument(help="The experiment file; none with --from.")
    ] = None,
    *,
    evidence: EvidenceOptions,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also save the evidence: FILE.json.gz, all that a verdict takes."
        ),
    ] = None,
    from_: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            envvar="ABCTL_ANALYZE_FROM",
            help="Judge saved evidence; needs nothing else.",
        ),
    ] = None,
    exit_code: Annotated[
        bool,
        typer.Option("--exit-code", help="Exit with 0 ship, 10 continue, 11 stop, 12 invalid."),
    ] = False,
    again: WatchOptions,
    world: WorldOptions,
    output: OutputOption = Output.table,
) -> None:
    """Say what the evidence says: every metric, and what follows.

    With `test: sequential` it may be run at any time, as often as you like.

    abctl analyze iris.yaml

    abctl analyze iris.yaml -o json --exit-code

    abctl analyze iris.yaml --save evidence.json.gz

    abctl analyze --from evidence.json.gz
    """
    from abctl.session import analyze as service  # noqa: PLC0415

    if again.interval < _SHORTEST_WAIT_SECONDS:
        raise UsageError(
            f"--interval {format_duration(again.interval)}, must be at least "
            f"{format_duration(_SHORTEST_WAIT_SECONDS)}",
            "--interval 1m",
        )
    if (experiment is None) == (from_ is None):
        raise UsageError("give either an experiment file or --from FILE", "abctl analyze iris.yaml")
    session: Session | None = None
    if from_ is not None:
        if save or again.watch:
            raise UsageError(
                "--from cannot be combined with --save or --watch: nothing changes",
                "leave them out, or name the experiment file instead of --from",
            )
        look: Callable[[], Analysis] = partial(service.analyze_saved, from_)
    else:
        session = here = with_evidence(file_session_of(str(experiment), world), evidence)
        first = True

        def look() -> "Analysis":
            nonlocal first
            bar, first = questions_bar() if first else nullcontext(_unseen), False
            with bar as progress:
                return service.analyze(here, save=save, progress=progress)

    if again.watch:
        found = _watch(
            look, again.interval, output, lambda found: show(found, output, experiment, session)
        )
    else:
        show(found := look(), output, experiment, session)
    if exit_code:
        raise typer.Exit(EXIT_CODES[found.verdict.kind])


def _unseen(_done: int, _total: int) -> None:
    """Progress that is not shown: the screen is taken."""


def _watch(
    look: "Callable[[], Analysis]",
    every_seconds: float,
    output: Output,
    answer: "Callable[[Analysis], None]",
) -> "Analysis":
    """Looks until there is a verdict; gives the last one."""
    from abctl.cli._watch import Watch  # noqa: PLC0415
    from abctl.report.analysis import news, screen  # noqa: PLC0415

    return Watch(
        look,
        answer,
        lambda found: screen(found, output is Output.wide, weightiest_first=True),
        # Machines have each look, people what is new.
        lambda one, two: output in PEOPLE and not news(one, two),
        every_seconds=every_seconds,
        over=lambda found: found.verdict.kind != "continue",
    ).follow(output)


def show(
    found: "Analysis",
    output: Output,
    experiment: Path | None = None,
    session: "Session | None" = None,
) -> None:
    """Print an analysis, and the next step where a person reads.

    Args:
        found: what to print.
        output: in which form.
        experiment: its file, as the next command is to name it; None for saved evidence.
        session: the experiment in its world, if it runs.
    """
    from abctl.forms.document import document  # noqa: PLC0415
    from abctl.report.analysis import hint, screen  # noqa: PLC0415

    emit("Analysis", document(found), output, partial(screen, found))
    if output in PEOPLE:
        dead: Mapping[str, str] = {}
        if session is not None and found.verdict.kind == "invalid":
            from abctl.session.tree import unable  # noqa: PLC0415

            dead = unable(session)
        file = None if experiment is None else str(experiment)
        local = session is not None and session.state_dir is not None
        say(f"hint: {hint(found, file, dead, simulated=local)}")
