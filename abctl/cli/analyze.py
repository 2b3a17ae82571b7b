"""`abctl analyze`: is it better, and may it ship?"""

from contextlib import nullcontext
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abctl.cli._events import EventOptions, analyze_events
from abctl.cli._options import EXIT_CODES_LINE, add, duration
from abctl.cli._output import PEOPLE, Output, emit, put, say
from abctl.cli._progress import questions_bar
from abctl.cli._session import WorldOptions, file_session_of
from abctl.cli._source import EvidenceOptions, with_evidence
from abctl.core.look import USUAL_LOOKS
from abctl.core.time import format_duration
from abctl.errors import EXIT_CODES, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from abctl.core.analysis import Analysis
    from abctl.session.session import Session

_SHORTEST_WAIT_SECONDS = 1.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, analyze, epilog=EXIT_CODES_LINE)


class Form(StrEnum):
    """Forms of an analysis: those of every answer, and some of its own."""

    table = "table"
    wide = "wide"
    json = "json"
    yaml = "yaml"
    markdown = "markdown"
    csv = "csv"

    @property
    def output(self) -> Output | None:
        """The same of every answer; None for those of its own."""
        return None if self in (Form.markdown, Form.csv) else Output(self.value)


FormOption = Annotated[
    Form,
    typer.Option(
        "--output",
        "-o",
        envvar="ABCTL_OUTPUT",
        help="Form of the answer; markdown: for pull requests, csv: each look at each effect.",
    ),
]


@dataclass(frozen=True)
class WatchOptions:
    """Whether to look again and again, and to tell of earlier looks."""

    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Look again until the verdict is not continue.")
    ] = False
    interval: Annotated[
        float,
        typer.Option(
            parser=duration, metavar="DURATION", help="How long to wait between two looks."
        ),
    ] = 60.0
    path: Annotated[
        bool,
        typer.Option(
            "--path", help="Also tell what each look so far said of each effect (-o json, yaml)."
        ),
    ] = False

    def require_fit(self, output: Form) -> None:
        """That it is asked for what a form can have.

        Raises:
            UsageError: it is not.
        """
        if self.interval < _SHORTEST_WAIT_SECONDS:
            raise UsageError(
                f"--interval {format_duration(self.interval)}, must be at least "
                f"{format_duration(_SHORTEST_WAIT_SECONDS)}",
                "--interval 1m",
            )
        if self.path and output in (Form.table, Form.wide, Form.markdown):
            raise UsageError(f"--path with -o {output.value}: it is for programs", "--path -o json")
        if self.watch and output.output is None:
            said = f"--watch with -o {output.value}, which has no news of its own"
            raise UsageError(said, "leave --watch out, or use -o json")

    def looks(self, output: Form) -> int:
        """Of how many looks at most each effect tells; where nobody sees them, of none."""
        if output is Form.wide:
            from abctl.report.plot import room  # noqa: PLC0415 - slow to import

            return USUAL_LOOKS if room() else 0
        return USUAL_LOOKS if self.path or output is Form.csv else 0


@dataclass(frozen=True)
class ExitOptions:
    """Which verdicts are exit codes of their own."""

    exit_code: Annotated[
        bool,
        typer.Option("--exit-code", help="Exit with 0 ship, 10 continue, 11 stop, 12 invalid."),
    ] = False
    fail_on: Annotated[
        str,
        typer.Option(metavar="VERDICTS", help="Do that for these alone: stop,invalid."),
    ] = ""

    @property
    def failing(self) -> tuple[str, ...]:
        """The verdicts that end in an exit code of their own.

        Raises:
            UsageError: no such verdict.
        """
        asked = tuple(filter(None, (each.strip() for each in self.fail_on.split(","))))
        for other in (each for each in asked if each not in EXIT_CODES):
            raise UsageError(
                f"--fail-on {other}, must be some of {', '.join(EXIT_CODES)}",
                "--fail-on stop,invalid",
            )
        return asked or (tuple(EXIT_CODES) if self.exit_code else ())

    def leave(self, verdict: str) -> None:
        """Ends the command with the exit code of a verdict, if that was asked for."""
        if verdict in self.failing:
            raise typer.Exit(EXIT_CODES[verdict])


@dataclass(frozen=True)
class KeptOptions:
    """Evidence in a file."""

    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also save the evidence: FILE.json.gz, all that a verdict takes."
        ),
    ] = None
    from_: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            envvar="ABCTL_ANALYZE_FROM",
            help="Judge saved evidence; needs nothing else.",
        ),
    ] = None
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print the SQL for source.table and what the engine expects of it; run none.",
        ),
    ] = False


def analyze(
    experiment: Annotated[
        Path | None, typer.Argument(help="The experiment file; none with --from.")
    ] = None,
    *,
    evidence: EvidenceOptions,
    kept: KeptOptions,
    ending: ExitOptions,
    again: WatchOptions,
    table: EventOptions,
    world: WorldOptions,
    output: FormOption = Form.table,
) -> None:
    """Say what the evidence says: every metric, and what follows.

    Unless the experiment says `test: fixed`, it may be run at any time, as often as you like.

    abctl analyze iris.yaml

    abctl analyze iris.yaml -o json --exit-code

    abctl analyze iris.yaml --fail-on stop,invalid

    abctl analyze iris.yaml --save evidence.json.gz

    abctl analyze --from evidence.json.gz

    abctl analyze --events log.parquet --variant model_version --unit user_id
    --metric 'accuracy: mean(correct)' --guardrail 'latency: p95(latency_ms) +10%'
    """
    from_, save = kept.from_, kept.save
    _ = ending.failing  # what is wrong with it is said before anything is read
    if table.events is not None:
        besides = again.watch or again.path or kept.dry_run
        table.require_alone(experiment, from_, save, besides or None)
        show(of_table := analyze_events(table), output)
        ending.leave(of_table.verdict.kind)
        return
    table.require_none()
    from abctl.session import analyze as service  # noqa: PLC0415

    again.require_fit(output)
    if (experiment is None) == (from_ is None):
        raise UsageError(
            "give either an experiment file or --from FILE",
            "abctl analyze iris.yaml; a log of your own is judged with --events FILE",
        )
    looks = again.looks(output)
    session: Session | None = None
    if from_ is not None:
        if save or again.watch or kept.dry_run:
            raise UsageError(
                "--from cannot be combined with --save, --watch or --dry-run: nothing changes",
                "leave them out, or name the experiment file instead of --from",
            )
        look: Callable[[], Analysis] = partial(service.analyze_saved, from_, looks)
    else:
        session = here = with_evidence(file_session_of(str(experiment), world), evidence)
        if kept.dry_run:
            _show_dry(session, output.output or Output.table)
            return
        first = True

        def look() -> "Analysis":
            nonlocal first
            bar, first = questions_bar() if first else nullcontext(_unseen), False
            with bar as progress:
                return service.analyze(here, save=save, progress=progress, looks=looks)

    if again.watch:
        found = _watch(
            look,
            again.interval,
            output.output or Output.table,
            lambda found: show(found, output, experiment, session),
        )
    else:
        show(found := look(), output, experiment, session)
    ending.leave(found.verdict.kind)


def _show_dry(session: "Session", output: Output) -> None:
    from abctl.session.tables import dry  # noqa: PLC0415 - slow to import

    found = dry(session)
    emit("Statements", found.document, output, lambda _wide: found.text)
    if found.unasked is not None:
        say(f"no estimate: {found.unasked}")


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
    output: Output | Form,
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
    from abctl.report.analysis import screen  # noqa: PLC0415

    form = Form(output.value)
    if form is Form.markdown:
        from abctl.report.markdown import markdown  # noqa: PLC0415

        put(markdown(found, next_step(found, experiment, session)), nl=False)
        return
    if form is Form.csv:
        from abctl.report.rows import path_rows  # noqa: PLC0415

        put(path_rows(found), nl=False)
        return
    emit("Analysis", document(found), Output(form.value), partial(screen, found))
    if form.output in PEOPLE:
        say(f"hint: {next_step(found, experiment, session)}")


def next_step(
    found: "Analysis", experiment: Path | None = None, session: "Session | None" = None
) -> str:
    """The next command, or what else to do; the arguments are those of `show`."""
    from abctl.report.analysis import hint, hint_of_table  # noqa: PLC0415 - slow to import

    if said := hint_of_table(found):
        return said
    dead: Mapping[str, str] = {}
    if session is not None and found.verdict.kind == "invalid":
        from abctl.session.tree import unable  # noqa: PLC0415

        dead = unable(session)
    file = None if experiment is None else str(experiment)
    local = session is not None and session.state_dir is not None
    return hint(found, file, dead, simulated=local)
