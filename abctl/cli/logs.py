"""`abctl logs`: the log of predictions."""

from pathlib import Path
from typing import Annotated

import typer

from abctl.cli._options import add
from abctl.cli._output import put
from abctl.cli._session import StateOption
from abctl.cli.local import WhichArgument, state_dir
from abctl.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, logs)


def logs(
    experiment: WhichArgument = None,
    *,
    variant: Annotated[
        str | None, typer.Option("--variant", help="Only this one; all without it.")
    ] = None,
    state: StateOption = None,
    tail: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="How many of the last lines of each.")
    ] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more.")] = False,
) -> None:
    """Print the log of predictions of a local stack, as JSON lines; `log:` in the file asks for it.

    abctl logs -f iris.yaml

    abctl logs iris.yaml --variant treatment | jq -r .latencySeconds
    """
    import time  # noqa: PLC0415 - only when it runs

    from abctl.session import local_stack as service  # noqa: PLC0415

    folder = state_dir(experiment, state)
    if state is None and not folder.is_dir() and experiment and (said := _in_cluster(experiment)):
        raise UsageError(f"no stack of {experiment} runs here", said)
    sleep = time.sleep if follow else None
    for _, line in service.log_of_predictions(folder, variant, lines=tail, sleep=sleep):
        put(line)


def _in_cluster(experiment: str) -> str | None:
    """How the log is read in a cluster, where each pod has its own."""
    from abctl.core.server import LOG_FOLDER  # noqa: PLC0415 - only when it runs
    from abctl.spec import load  # noqa: PLC0415

    loaded = load(Path(experiment))
    if loaded.log is None:
        return None
    return (
        f"in a cluster: kubectl exec -n {loaded.namespace} POD -- "
        f"tail -F {LOG_FOLDER}/predictions.jsonl"
    )
