"""`abctl local`: the whole loop's servers on this machine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from abctl.cli._options import add, share
from abctl.cli._output import Output, OutputOption, emit, put, say, screen
from abctl.cli._session import ExperimentArgument, ModelsOption, ReadyTimeoutOption, StateOption
from abctl.core.time import format_moment
from abctl.errors import ClusterError, UsageError
from abctl.report.prose import prose

if TYPE_CHECKING:
    from abctl.core.experiment import PredictionLog
    from abctl.local.stack import Stack

_app = typer.Typer(
    help="Model servers, Envoy and Prometheus as processes of this machine.", no_args_is_help=True
)

WhichArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[EXPERIMENT]", help="Its file or its name; without it the only stack here."
    ),
]


@dataclass(frozen=True)
class LogOptions:
    """What is written of predictions."""

    log_predictions: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            parser=share,
            help="Write a line for each request, of this share of the users (100%: of all).",
            show_default="as the file says",
        ),
    ] = None
    log_input: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Write this input too; may be given again."),
    ] = None
    log_users: Annotated[
        bool, typer.Option("--log-users", help="Write users as they are, not hashed.")
    ] = False

    def asked(self) -> "PredictionLog | None":
        """What the stack is told.

        Raises:
            UsageError: a share of nothing, or something of a log that nobody asked for.
        """
        from abctl.core.experiment import PredictionLog  # noqa: PLC0415 - only when it runs

        if self.log_predictions is None:
            if self.log_input or self.log_users:
                raise UsageError("no log of predictions", "add --log-predictions 100%")
            return None
        if not self.log_predictions:
            raise UsageError("--log-predictions 0%: no users", "leave it out")
        inputs = tuple(self.log_input or ())
        if "," in "".join(inputs):
            raise UsageError("--log-input: a name with a comma", "--log-input a --log-input b")
        share_bp = round(10_000 * self.log_predictions)
        return PredictionLog(share_bp, inputs, "plain" if self.log_users else "hash")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(_app, name="local")


def up(
    experiment: ExperimentArgument,
    *,
    state: StateOption = None,
    models: ModelsOption = None,
    port: Annotated[
        int | None,
        typer.Option(
            envvar="ABCTL_PORT",
            min=1,
            max=65535,
            help="The port of the entrance.",
            show_default="a free one",
        ),
    ] = None,
    timeout: ReadyTimeoutOption = 300.0,
    log: LogOptions,
    output: OutputOption = Output.table,
) -> None:
    """Start an experiment's servers, and wait until they answer.

    Model servers, Envoy and Prometheus run on in the background. Ledger, evidence and logs of an
    earlier stack are kept, in the folder `earlier` of the state folder.

    abctl local up iris.yaml

    abctl local up iris.yaml --log-predictions 10% --log-input rows
    """
    from abctl.session import local_stack as service  # noqa: PLC0415 - only when it runs
    from abctl.session.stack_plan import Options  # noqa: PLC0415
    from abctl.spec import load  # noqa: PLC0415

    loaded = load(experiment)
    folder = state or service.default_state(loaded.name)
    try:
        with _progress() as report:
            stack = service.up(
                loaded,
                state_dir=folder,
                models_dir=models,
                port=port,
                timeout_seconds=timeout,
                options=Options(log=log.asked()),
                report=report,
            )
    except KeyboardInterrupt:
        say("interrupted: nothing that was started runs any more")
        raise
    _show(stack, output, _words(str(experiment), state))


def status(
    experiment: WhichArgument = None,
    state: StateOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Show where everything listens and whether it runs.

    The exit code is 5 if something died.

    abctl local status -o json | jq -r .entranceUrl
    """
    from abctl.session import local_stack as service  # noqa: PLC0415

    _show(service.status(state_dir(experiment, state)), output, _words(experiment, state))


def logs(
    experiment: WhichArgument = None,
    *,
    process: Annotated[
        str | None, typer.Option("--process", "-p", help="Only this one; all without it.")
    ] = None,
    state: StateOption = None,
    tail: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="How many of the last lines.")
    ] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more.")] = False,
    predictions: Annotated[
        bool,
        typer.Option(
            "--predictions", help="The log of predictions, as JSON lines; --process is a variant."
        ),
    ] = False,
) -> None:
    """Print what the processes wrote, also after they ended.

    abctl local logs -f --process envoy

    abctl local logs -f --predictions | jq -r .latencySeconds
    """
    import time  # noqa: PLC0415

    from abctl.session import local_stack as service  # noqa: PLC0415

    folder = state_dir(experiment, state)
    sleep = time.sleep if follow else None
    if predictions:
        for _, line in service.log_of_predictions(folder, process, lines=tail, sleep=sleep):
            put(line)
        return
    for source, line in service.logs(folder, process, lines=tail, sleep=sleep):
        put(line if process else f"{source} | {line}")


def down(
    experiment: WhichArgument = None,
    state: StateOption = None,
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove the folder too, with logs and evidence.")
    ] = False,
) -> None:
    """Stop everything; also cleans up what is left of a broken stack.

    abctl local down
    """
    from abctl.session import local_stack as service  # noqa: PLC0415

    folder = state_dir(experiment, state)
    stopped = service.down(folder, purge=purge)
    kept = f"; its logs are in {folder / 'logs'}" if not purge and stopped else ""
    say(f"stopped the stack in {folder}{kept}" if stopped else f"nothing ran in {folder}")


def state_dir(experiment: str | None, state: Path | None) -> Path:
    """The folder of the stack that is meant.

    Raises:
        UsageError: there is no such stack, or several and none is named.
    """
    from abctl.session import local_stack as service  # noqa: PLC0415

    if state is not None:
        return state
    if experiment is None:
        return service.only_state()
    if Path(experiment).is_file():
        from abctl.spec import load  # noqa: PLC0415

        return service.default_state(load(Path(experiment)).name)
    from abctl.session.open import STATE_ROOT  # noqa: PLC0415 - only when it runs

    folder = service.default_state(experiment)
    if folder.parent != STATE_ROOT or not folder.is_dir():
        there = ", ".join(sorted(each.name for each in STATE_ROOT.glob("*/"))) or "none"
        raise UsageError(
            f"{experiment!r} is neither a file nor a stack in {STATE_ROOT}",
            f"there: {there}; abctl local up FILE starts one, --state names another folder",
        )
    return folder


def _words(experiment: str | None, state: Path | None) -> str:
    """What the commands of a hint have to be told of which stack it is: what this one was."""
    if state is not None:
        return f" --state {state}"
    return "" if experiment is None else f" {experiment}"


def _show(stack: "Stack", output: Output, words: str = "") -> None:
    from abctl.local import disk  # noqa: PLC0415 - only when it runs

    def table(wide: bool) -> object:
        from rich.console import Group  # noqa: PLC0415

        from abctl.report.layout import Row, table  # noqa: PLC0415

        places = {
            "entrance": stack.entrance_url,
            **{f"only {server.variant}": server.url for server in stack.servers},
            "envoy": stack.envoy_admin_url,
            "prometheus": stack.prometheus_url or "none: abctl scrapes by itself",
        }
        where = [Row({"PLACE": name, "ADDRESS": url}) for name, url in places.items()]
        processes = [
            Row(
                {
                    "PROCESS": p.name,
                    "PID": str(p.pid),
                    "STATUS": f"{p.status}: {p.ending}" if p.status == "dead" else p.status,
                },
                [f"log {p.log}"] if wide else [],
            )
            for p in stack.processes
        ]
        return Group(table(where, last="ADDRESS"), "", table(processes, last="STATUS"))

    emit("LocalStack", _document(stack), output, table)
    full = disk.full(stack.state_dir)
    if stack.dead:
        ended = ", ".join(f"{p.name} {p.ending}" for p in stack.dead)
        why = full or f"abctl local logs --process {stack.dead[-1].name}{words} says why"
        down = "abctl local down" + words
        raise ClusterError(
            f"in {stack.state_dir}: {ended}",
            f"{why}; {down} cleans up, abctl local up starts afresh",
        )
    if full:
        say(f"warning: {full}; evidence that cannot be written is lost")


def _document(stack: "Stack") -> dict[str, Any]:
    return {
        "experiment": stack.experiment,
        "stateDir": str(stack.state_dir),
        "started": format_moment(stack.started),
        "entranceUrl": stack.entrance_url,
        "envoyAdminUrl": stack.envoy_admin_url,
        "prometheusUrl": stack.prometheus_url,
        "servers": [
            {
                "variant": server.variant,
                "model": server.model,
                "url": server.url,
                "grpcPort": server.grpc_port,
                "metricsUrl": server.metrics_url,
            }
            for server in stack.servers
        ],
        "processes": [
            {
                "name": p.name,
                "pid": p.pid,
                "status": p.status,
                "ending": p.ending if p.status == "dead" else None,
                "log": str(p.log),
            }
            for p in stack.processes
        ],
    }


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Lines on stderr; on a terminal a spinner shows below them that it goes on."""
    console = screen(stderr=True)
    if not console.is_terminal:
        yield say
        return
    with console.status("starting (about ten seconds) ..."):
        yield lambda message: console.print(prose(message))


for _each in (up, status, logs, down):
    add(_app, _each)
