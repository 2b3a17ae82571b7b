"""`abctl init`: a first experiment file."""

from pathlib import Path
from typing import Annotated

import typer

from abctl.cli._output import put, say
from abctl.files import STDIN, as_argument


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(init)


def init(
    file: Annotated[Path, typer.Argument(help="The file to write; - is stdout.")] = Path(
        "experiment.yaml"
    ),
    name: Annotated[str, typer.Option(help="The name of the experiment.")] = "iris",
    platform: Annotated[str, typer.Option(help="What carries the split.")] = "envoy",
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a commented experiment file to start from, and its schema for editors.

    abctl init iris.yaml --name iris

    abctl init - --platform seldon | abctl lint -
    """
    from abctl.spec.init import init as write  # noqa: PLC0415 - only when it runs
    from abctl.spec.init import starter  # noqa: PLC0415

    if str(file) == STDIN:
        put(starter(name, platform), nl=False)
        return
    for path in write(file, name, platform, force=force):
        say(f"wrote {path}")
    say(f"next: edit it, then abctl lint {as_argument(file)}")
