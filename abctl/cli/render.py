"""`abctl render`: the Kubernetes objects of an experiment."""

from typing import Annotated

import typer

from abctl.cli._output import put, say
from abctl.cli._session import ExperimentArgument
from abctl.errors import UsageError
from abctl.files import as_argument


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(render)


def render(
    experiment: ExperimentArgument,
    *,
    baseline: Annotated[
        bool, typer.Option("--baseline", help="Only what must be rolled out before the rest.")
    ] = False,
    dashboard: Annotated[
        bool,
        typer.Option("--dashboard", help="Instead a dashboard for Grafana, in a ConfigMap."),
    ] = False,
) -> None:
    """Print the objects that carry an experiment, in YAML.

    The order is that in which they are applied, and always the same, so that it can be kept in git.

    abctl render iris.yaml | kubectl apply --server-side -f -

    abctl render iris.yaml > deploy/iris.yaml

    abctl render iris.yaml --dashboard | kubectl apply --server-side -f -
    """
    if baseline and dashboard:
        raise UsageError("--baseline and --dashboard", "one of them at a time")
    from abctl.spec import load  # noqa: PLC0415
    from abctl.spec import render as service  # noqa: PLC0415 - the platforms load when asked

    loaded = load(experiment)
    if dashboard:
        from abctl.report.dashboard import config_map  # noqa: PLC0415 - seldom asked for
        from abctl.spec.measurement import measured  # noqa: PLC0415 - as above

        put(service.to_yaml([config_map(loaded, measured(loaded, None))]), nl=False)
        return
    objects = service.render(loaded, baseline=baseline)
    if not baseline and service.needs_baseline(loaded):
        say(
            "note: roll out the control before this is first applied: "
            f"abctl render --baseline {as_argument(experiment)}"
        )
    if not baseline and (command := service.keys_command(loaded)):
        say(f"note: abctl apply makes the collector's keys; without it, once: {command}")
    if not objects:
        say(f"note: {loaded.platform} needs nothing before the rest")
    put(service.to_yaml(objects), nl=False)
