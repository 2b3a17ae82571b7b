"""`abctl why`: the reasons of the last decision, as codes with their facts."""

from pathlib import Path
from typing import Annotated

import typer

from abctl.cli._options import add
from abctl.cli._output import Output, OutputOption, emit
from abctl.cli._progress import questions_bar
from abctl.cli._session import WorldOptions, file_session_of
from abctl.cli._source import EvidenceOptions, with_evidence
from abctl.errors import UsageError

# What of an analysis is shown.
_SHOWN = ("experiment", "at", "source", "verdict", "notes", "noteCodes")


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, why)


def why(
    experiment: Annotated[
        Path | None, typer.Argument(help="The experiment file; none with --from.")
    ] = None,
    *,
    evidence: EvidenceOptions,
    from_: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            envvar="ABCTL_WHY_FROM",
            help="Judge saved evidence; needs nothing else.",
        ),
    ] = None,
    world: WorldOptions,
    output: OutputOption = Output.table,
) -> None:
    """Say why the verdict is what it is: each reason and note with its code and its facts.

    It analyzes as `abctl analyze` does, and changes nothing. A code keeps its meaning, and its
    facts keep their names; words may change.

    abctl why iris.yaml

    abctl why iris.yaml -o json

    abctl why --from evidence.json.gz
    """
    from abctl.forms.document import document  # noqa: PLC0415
    from abctl.report.reasons import decision  # noqa: PLC0415 - slow to import, as what follows
    from abctl.session import analyze as service  # noqa: PLC0415

    if (experiment is None) == (from_ is None):
        raise UsageError("give either an experiment file or --from FILE", "abctl why iris.yaml")
    if from_ is not None:
        found = service.analyze_saved(from_)
    else:
        session = with_evidence(file_session_of(str(experiment), world), evidence)
        with questions_bar() as progress:
            found = service.analyze(session, progress=progress)
    said = document(found)
    emit("Decision", {key: said[key] for key in _SHOWN}, output, lambda _: decision(found))
