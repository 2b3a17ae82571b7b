"""`abctl init`: a first experiment file."""

from pathlib import Path
from typing import Annotated

import typer

from abctl.cli._output import say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(init)


def init(
    file: Annotated[Path, typer.Argument(help="The file to write.")] = Path("experiment.yaml"),
    name: Annotated[str, typer.Option(help="The name of the experiment.")] = "iris",
    platform: Annotated[str, typer.Option(help="What carries the split.")] = "envoy",
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a commented experiment file to start from, and its schema for editors.

    abctl init iris.yaml --name iris
    """
    from abctl.services.init import init as write  # noqa: PLC0415 - only when it runs

    for path in write(file, name, platform, force=force):
        say(f"wrote {path}")
    say(f"next: edit it, then abctl lint {file}")
