"""`abctl schema`: what editors need to know of an experiment file."""

import typer

from abctl.cli._output import put


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(schema)


def schema() -> None:
    """Print the JSON Schema of an experiment file.

    abctl schema > experiment.schema.json
    """
    from abctl.spec.schema import text  # noqa: PLC0415 - only when it runs

    put(text(), nl=False)
