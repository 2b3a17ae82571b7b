"""`abctl schema`: what editors and programs need to know of files and answers."""

from enum import StrEnum
from typing import Annotated

import typer

from abctl.cli._output import put


class Kind(StrEnum):
    """What there is a schema of."""

    experiment = "experiment"
    analysis = "analysis"
    crd = "crd"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(schema)


def schema(
    kind: Annotated[
        Kind,
        typer.Argument(help="Of what: an experiment file, an analysis, or a CRD."),
    ] = (Kind.experiment),
) -> None:
    """Print the JSON Schema of an experiment file, or of what analyze -o json prints.

    `crd` prints the CustomResourceDefinition of experiment files, whose rules the API server
    checks.

    abctl schema > experiment.schema.json

    abctl schema analysis > analysis.schema.json

    abctl schema crd | kubectl apply --server-side -f -
    """
    if kind is Kind.analysis:
        from abctl.forms.document import schema as text  # noqa: PLC0415 - only when it runs
    elif kind is Kind.crd:
        from abctl.spec.crd import text  # noqa: PLC0415 - only when it runs
    else:
        from abctl.spec.schema import text  # noqa: PLC0415 - only when it runs
    put(text(), nl=False)
