"""`abctl why`: the reasons of the last decision, as codes with their facts."""

from pathlib import Path
from typing import Annotated

import typer

from abctl.cli._output import Output, OutputOption, emit
from abctl.cli._place import (
    ContextOption,
    KubeconfigOption,
    NamespaceOption,
    StateOption,
    find_place,
)
from abctl.cli._progress import questions_bar
from abctl.cli._source import (
    AllowCredentialsOption,
    PrometheusConfigOption,
    PrometheusOption,
    with_credentials,
)
from abctl.errors import UsageError

# What of an analysis is shown.
_SHOWN = ("experiment", "at", "source", "verdict", "notes", "noteCodes")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(why)


def why(
    experiment: Annotated[
        Path | None, typer.Argument(help="The experiment file; none with --from.")
    ] = None,
    *,
    prometheus: PrometheusOption = None,
    prometheus_config: PrometheusConfigOption = None,
    allow_credentials: AllowCredentialsOption = None,
    from_: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            envvar="ABCTL_WHY_FROM",
            help="Judge saved evidence; needs nothing else.",
        ),
    ] = None,
    state: StateOption = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
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
        place = find_place(str(experiment), state, kubeconfig, context, namespace)
        place = with_credentials(place, prometheus, prometheus_config, allow_credentials)
        with questions_bar() as progress:
            found = service.analyze(
                place.door,
                place.experiment,
                place.state,
                prometheus_url=prometheus,
                prometheus_config=prometheus_config,
                progress=progress,
            )
    said = document(found)
    emit("Decision", {key: said[key] for key in _SHOWN}, output, lambda _: decision(found))
