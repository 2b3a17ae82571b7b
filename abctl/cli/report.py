"""`abctl report`: an analysis as one page that a browser shows without a network."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abctl.cli._events import EventOptions, analyze_events
from abctl.cli._options import add
from abctl.cli._output import put, say
from abctl.cli._progress import questions_bar
from abctl.cli._session import WorldOptions, file_session_of
from abctl.cli._source import EvidenceOptions, with_evidence
from abctl.errors import UsageError
from abctl.files import STDIN, as_argument, opened, replace, writing

if TYPE_CHECKING:
    from abctl.analysis.history import History
    from abctl.core.analysis import Analysis
    from abctl.session.session import Session

USUAL_FILE = Path("report.html")


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, report)


def report(
    experiment: Annotated[
        Path | None, typer.Argument(help="The experiment file; none with --from or --events.")
    ] = None,
    *,
    evidence: EvidenceOptions,
    from_: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            envvar="ABCTL_REPORT_FROM",
            help="Judge saved evidence; needs nothing else.",
        ),
    ] = None,
    file: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write it; - is stdout.")
    ] = USUAL_FILE,
    force: Annotated[
        bool, typer.Option("--force", help="Also over a file that is no report of abctl.")
    ] = False,
    table: EventOptions,
    world: WorldOptions,
) -> None:
    """Write what the evidence says as one page: for whoever decides, and to be kept.

    The verdict with its reasons, each effect and its interval over time, the split and the ledger,
    traffic, latency, plan and method. The file needs no network and no script; in it, all values
    are JSON as well.

    abctl report iris.yaml

    abctl report --from evidence.json.gz -o iris.html

    abctl report --events log.csv --variant model_version --metric 'accuracy: mean(correct)'
    """
    if sum(each is not None for each in (experiment, from_, table.events)) != 1:
        raise UsageError(
            "give an experiment file, --from FILE or --events FILE, and just one of them",
            "abctl report iris.yaml",
        )
    require_writable(file, force=force)
    if table.events is not None:
        from abctl.analysis.history import History  # noqa: PLC0415 - slow to import

        write(file, analyze_events(table), History())
        return
    table.require_none()
    from abctl.report.page.page import LOOKS  # noqa: PLC0415 - slow to import, as what follows
    from abctl.session import analyze as service  # noqa: PLC0415

    if from_ is not None:
        write(file, *service.analyze_saved_with_history(from_, LOOKS))
        return
    session = with_evidence(file_session_of(str(experiment), world), evidence)
    with questions_bar() as progress:
        found = service.analyze_with_history(session, progress=progress, looks=LOOKS)
    write(file, *found, experiment, session)


def require_writable(
    file: Path, *, force: bool, hint: str = "name another file with -o, or use --force"
) -> None:
    """That no file of somebody else is written over.

    Raises:
        UsageError: there is one.
    """
    if force or str(file) == STDIN or not _is_anothers(file):
        return
    raise UsageError(f"{file} is there, and is no report of abctl", hint)


def _is_anothers(file: Path) -> bool:
    from abctl.report.page.whole import MARK  # noqa: PLC0415 - slow to import

    if not file.exists():
        return False
    with writing(file), opened(file) as there:
        return there.read(len(MARK)) != MARK.encode()


def write(
    file: Path,
    found: "Analysis",
    history: "History",
    experiment: Path | None = None,
    session: "Session | None" = None,
) -> None:
    """Write the page, and say where it is.

    Args:
        file: where; `-` is stdout.
        found: what to show.
        history: what happened besides.
        experiment: its file, as the next command is to name it; None where there is none.
        session: the experiment in its world, if it runs.
    """
    from abctl.cli.analyze import next_step  # noqa: PLC0415 - slow to import, as what follows
    from abctl.report.page.page import page  # noqa: PLC0415

    text = page(found, history, next_step(found, experiment, session))
    if str(file) == STDIN:
        put(text, nl=False)
        return
    replace(file, text)
    say(f"wrote {as_argument(file)} ({len(text.encode()) / 1000:,.0f} kB): open it in a browser")
