"""Options of the commands that work on a running experiment, each defined once."""

from pathlib import Path
from typing import Annotated

import typer

ExperimentArgument = Annotated[
    Path, typer.Argument(help="The experiment file.", show_default=False)
]
StateOption = Annotated[
    Path | None,
    typer.Option(
        "--state",
        envvar="ABCTL_STATE",
        help="The folder of the local stack.",
        show_default=".abctl/<experiment>",
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", envvar="ABCTL_YES", help="Do not ask.")]
