"""`abctl diff`: what an apply would change, as a unified diff of YAML."""

import difflib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import typer

from abctl.cli._options import add
from abctl.cli._output import Output, OutputOption, emit, screen
from abctl.cli._session import ClusterOptions, FileArgument, cluster_session_of

if TYPE_CHECKING:
    from rich.text import Text

    from abctl.core.change import Object


_COLORS = {"+": "green", "-": "red", "@": "cyan"}
_DIFFERENCES = 3


def lines(before: "Object | None", after: "Object") -> Iterator[str]:
    """The lines of the diff, without what the cluster notes of its own; none where they agree."""
    from abctl.core.change import Ref  # noqa: PLC0415
    from abctl.session.apply import bare  # noqa: PLC0415
    from abctl.spec.render import to_yaml  # noqa: PLC0415

    old, new = (to_yaml([bare(obj)]).splitlines() if obj else [] for obj in (before, after))
    where = f"{Ref.of(after).namespace}/{Ref.of(after)}"
    names = (where if before else "/dev/null", where)
    yield from difflib.unified_diff(old, new, *names, lineterm="")


def colored(shown: Iterable[str]) -> "Text":
    """For a terminal; elsewhere it is plain text."""
    from rich.text import Text  # noqa: PLC0415 - rich is slow to import

    return Text("\n").join(
        Text(line, "" if line.startswith(("+++", "---")) else _COLORS.get(line[:1], ""))
        for line in shown
    )


def show(before: "Object | None", after: "Object") -> None:
    """The diff on stderr, for people who are about to be asked."""
    shown = colored(lines(before, after)) or "no differences"
    screen(stderr=True).print(shown, soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, diff)


def diff(
    what: FileArgument,
    *,
    cluster: ClusterOptions,
    output: OutputOption = Output.table,
) -> None:
    """Show what abctl apply would change, by the cluster's own dry run; exit code 3 if anything.

    abctl diff iris.yaml -n models
    """
    from abctl.session import apply as service  # noqa: PLC0415

    session = cluster_session_of(what, cluster)
    # Who manages a field is for apply to ask; here only what it says matters.
    every = service.steps(session, service.wanted(session), force=True)
    steps = [step for step in every if step.changes]
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

    emit("Diff", {"experiment": session.experiment.name, "items": items}, output, text)
    if steps:
        raise typer.Exit(_DIFFERENCES)
