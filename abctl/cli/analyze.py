"""`abctl analyze`: is it better, and may it ship?"""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from abctl.cli._output import Output, OutputOption, emit, say
from abctl.cli._place import (
    ContextOption,
    ExperimentArgument,
    KubeconfigOption,
    NamespaceOption,
    StateOption,
    find_place,
)

if TYPE_CHECKING:
    from pathlib import Path

    from abctl.core.analysis import Analysis

EXIT_CODES = {"ship": 0, "continue": 10, "stop": 11, "invalid": 12}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(analyze)


def analyze(
    experiment: ExperimentArgument,
    *,
    prometheus: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="ABCTL_PROMETHEUS_URL",
            help="Where the counters are, if not where the experiment or its stack says.",
        ),
    ] = None,
    exit_code: Annotated[
        bool,
        typer.Option("--exit-code", help="Exit with 0 ship, 10 continue, 11 stop, 12 invalid."),
    ] = False,
    state: StateOption = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Say what the evidence says: every metric, and what follows.

    With `test: sequential` it may be run at any time, as often as you like.

    abctl analyze iris.yaml

    abctl analyze iris.yaml -o json --exit-code
    """
    from abctl.services.analyze import analyze as service  # noqa: PLC0415

    place = find_place(str(experiment), state, kubeconfig, context, namespace)
    found = service(place.door, place.experiment, place.state, prometheus_url=prometheus)
    show(found, output, experiment)
    if exit_code:
        raise typer.Exit(EXIT_CODES[found.verdict.kind])


def show(found: "Analysis", output: Output, experiment: "Path | None" = None) -> None:
    """Print an analysis, and the next step where a person reads.

    Args:
        found: what to print.
        output: in which form.
        experiment: the file, as the next command is to name it.
    """
    from abctl.cli._analysis import hint, screen  # noqa: PLC0415

    emit("Analysis", found.document(), output, partial(screen, found))
    if output in (Output.table, Output.wide):
        say(f"hint: {hint(found, str(experiment or 'EXPERIMENT'))}")
