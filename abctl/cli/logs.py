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

    Of a cluster it says the command of kubectl that prints it.

    abctl logs -f iris.yaml

    abctl logs iris.yaml --variant treatment | jq -r .latencySeconds
    """
    import time  # noqa: PLC0415 - only when it runs

    from abctl.session import local_stack as service  # noqa: PLC0415

    folder = state_dir(experiment, state)
    if (
        state is None
        and not folder.is_dir()
        and experiment
        and (said := _in_cluster(experiment, variant, tail, follow=follow))
    ):
        raise UsageError(f"no stack of {experiment} runs here", said)
    sleep = time.sleep if follow else None
    for _, line in service.log_of_predictions(folder, variant, lines=tail, sleep=sleep):
        put(line)


def _in_cluster(experiment: str, variant: str | None, tail: int, *, follow: bool) -> str | None:
    """How the log is read in a cluster, where each pod has its own."""
    from abctl.core.change import EXPERIMENT, VARIANT  # noqa: PLC0415 - only when it runs
    from abctl.core.server import LOG_FOLDER  # noqa: PLC0415
    from abctl.spec import load  # noqa: PLC0415

    loaded = load(Path(experiment))
    if loaded.log is None:
        return None
    chosen = f"{VARIANT}={variant}" if variant else VARIANT
    pods = f"-n {loaded.namespace} -l {EXPERIMENT}={loaded.name},{chosen}"
    if loaded.log.to == "stdout":
        more = " -f --max-log-requests=50" if follow else ""
        # Servers say other things besides.
        lines = "| grep --line-buffered '^{\"at\":'"
        return f"in a cluster: kubectl logs {pods} --all-containers --tail={tail}{more} {lines}"
    shown = f"tail -n {tail}{' -F' if follow else ''} {LOG_FOLDER}/predictions.jsonl"
    return (
        f"in a cluster each pod has its own: for pod in $(kubectl get pods {pods} -o name); do "
        f"kubectl exec -n {loaded.namespace} $pod -- {shown} & done; wait; or log: {{to: stdout}} "
        "for kubectl logs"
    )
