"""`abctl diff`: what an apply would change."""

import typer

from abctl.cli._difference import colored, lines
from abctl.cli._output import Output, OutputOption, emit
from abctl.cli._place import (
    ContextOption,
    FileArgument,
    KubeconfigOption,
    NamespaceOption,
    find_cluster,
)

_DIFFERENCES = 3


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(diff)


def diff(
    what: FileArgument,
    *,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Show what abctl apply would change, by the cluster's own dry run; exit code 3 if anything.

    abctl diff iris.yaml -n models
    """
    from abctl.services import apply as service  # noqa: PLC0415

    place = find_cluster(what, kubeconfig, context, namespace)
    objects = service.wanted(place.door, place.platform, place.experiment)
    # Who manages a field is for apply to ask; here only what it says matters.
    steps = [step for step in service.steps(place.door, objects, force=True) if step.changes]
    items = [
        {
            "object": str(step.ref),
            "before": step.before and service.bare(step.before),
            "after": service.bare(step.after),
        }
        for step in steps
    ]

    def text(_: bool) -> object:
        shown = [line for step in steps for line in lines(step.before, step.after)]
        return colored(shown) if shown else "no differences"

    emit("Diff", {"experiment": place.experiment.name, "items": items}, output, text)
    if steps:
        raise typer.Exit(_DIFFERENCES)
