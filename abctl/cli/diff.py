"""`abctl diff`: what an apply would change."""

import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from abctl.cli._output import Output, OutputOption, emit
from abctl.cli._place import (
    ContextOption,
    KubeconfigOption,
    NamespaceOption,
    WhatArgument,
    find_cluster,
)

if TYPE_CHECKING:
    from abctl.services.apply import Step

_DIFFERENCES = 3


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(diff)


def diff(
    what: WhatArgument,
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
        from rich.text import Text  # noqa: PLC0415

        return Text("\n".join(line for step in steps for line in _lines(step)) or "no differences")

    emit("Diff", {"experiment": place.experiment.name, "items": items}, output, text)
    if steps:
        raise typer.Exit(_DIFFERENCES)


def _lines(step: "Step") -> Iterator[str]:
    from abctl.services.apply import bare  # noqa: PLC0415
    from abctl.services.render import to_yaml  # noqa: PLC0415

    before = to_yaml([bare(step.before)]).splitlines() if step.before else []
    after = to_yaml([bare(step.after)]).splitlines()
    where = f"{step.ref.namespace}/{step.ref}"
    names = where if step.before else "/dev/null", where
    yield from difflib.unified_diff(before, after, *names, lineterm="")
