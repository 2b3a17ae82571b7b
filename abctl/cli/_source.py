"""Options that say where the evidence is, each defined once."""

from pathlib import Path
from typing import Annotated

import typer

PrometheusOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="ABCTL_PROMETHEUS_URL",
        help="Where the counters are, if not where the experiment or its stack says.",
    ),
]
PrometheusConfigOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        envvar="ABCTL_PROMETHEUS_CONFIG",
        help="How to reach it: a file with what source.prometheus may hold (see abctl schema).",
    ),
]
