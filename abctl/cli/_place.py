"""Options of the commands that work on a running experiment, each defined once."""

import time
from enum import StrEnum
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abctl.cli._output import say
from abctl.errors import AbctlError, SpecError, UsageError

if TYPE_CHECKING:
    from abctl.session.place import Place


class DryRun(StrEnum):
    """How far a command goes."""

    none = "none"
    client = "client"
    server = "server"


def _seconds(given: str | float) -> float:
    """A duration; a bare number is seconds."""
    from abctl.core.number import parse_number  # noqa: PLC0415
    from abctl.core.time import LONGEST_SECONDS, parse_duration_seconds  # noqa: PLC0415 - seldom given

    try:
        found = parse_number(given)
    except ValueError:
        try:
            return parse_duration_seconds(str(given))
        except SpecError as error:
            raise UsageError(f"--timeout {error.message}", error.hint) from None
    if not 0 <= found <= LONGEST_SECONDS:
        raise UsageError(
            f"--timeout {given}, must be 0 or more, and no more than a hundred years",
            "write 90s, 5m, or seconds",
        )
    return found


def _contexts(incomplete: str) -> list[str]:
    """For the tab key: the contexts that there are."""
    from abctl.cluster import kubeconfig  # noqa: PLC0415 - only for the tab key

    try:
        return [name for name in kubeconfig.contexts() if name.startswith(incomplete)]
    except AbctlError:
        return []


ExperimentArgument = Annotated[
    Path, typer.Argument(help="The experiment file.", show_default=False)
]
ModelsOption = Annotated[
    Path | None,
    typer.Option(
        "--models",
        envvar="ABCTL_MODELS",
        help="Holds a folder for each version of a model.",
        show_default="the example models, trained here",
    ),
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
WhatArgument = Annotated[
    str,
    typer.Argument(
        metavar="EXPERIMENT", help="The experiment file, or KIND/NAME as for kubectl (sdep/iris)."
    ),
]
FileArgument = Annotated[
    str, typer.Argument(metavar="EXPERIMENT", help="The experiment file.", show_default=False)
]
NamespaceOption = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        envvar="ABCTL_NAMESPACE",
        help="The namespace in the cluster.",
        show_default="that of the file, or of the context",
    ),
]
ContextOption = Annotated[
    str | None,
    typer.Option(
        "--context",
        envvar="ABCTL_CONTEXT",
        help="The context of the kubeconfig: a cluster, not the local stack.",
        show_default="the current one",
        autocompletion=_contexts,
    ),
]
KubeconfigOption = Annotated[
    Path | None,
    typer.Option(
        "--kubeconfig",
        envvar="ABCTL_KUBECONFIG",
        help="The kubeconfig: a cluster, not the local stack.",
        show_default="KUBECONFIG",
    ),
]
DryRunOption = Annotated[
    DryRun,
    typer.Option(
        "--dry-run",
        help="client: only say what would be done; server: let the cluster check it as well.",
    ),
]
DiffOption = Annotated[
    bool, typer.Option("--diff", help="First show what each object would become, on stderr.")
]
TimeoutOption = Annotated[
    float,
    typer.Option(
        parser=_seconds,
        metavar="DURATION",
        help="How long it may take until it is in effect: 90s, 5m, or seconds.",
    ),
]
ReadyTimeoutOption = Annotated[
    float,
    typer.Option(
        "--timeout",
        parser=_seconds,
        metavar="DURATION",
        help="How long it may take until everything is ready: 90s, 5m, or seconds.",
    ),
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Take over fields that somebody else manages.")
]
WhyOption = Annotated[str, typer.Option(help="The reason, for the ledger.")]
ActorOption = Annotated[
    str, typer.Option(envvar="ABCTL_ACTOR", help="Who does it, for the ledger.")
]


def find_place(
    what: str,
    state: Path | None,
    kubeconfig: Path | None,
    context: str | None,
    namespace: str | None,
) -> "Place":
    """The world that is meant; says on stderr which one it is, unless `--state` has named it."""
    from abctl.session.place import Where, find  # noqa: PLC0415 - the platforms load when asked

    where = Where(state=state, kubeconfig=kubeconfig, context=context, namespace=namespace)
    place = find(what, where, now=time.time())
    if state is None:
        say(f"in {place.words}")
    return place


def find_cluster(
    what: str, kubeconfig: Path | None, context: str | None, namespace: str | None
) -> "Place":
    """The place of an experiment file in a cluster."""
    if not Path(what).exists() and "/" in what and not Path(what).suffix:
        raise UsageError(f"{what} is no experiment file", "abctl shift and status take KIND/NAME")
    place = find_place(what, None, kubeconfig, context, namespace)
    if place.state is not None:
        raise UsageError(
            f"{place.experiment.name} is in {place.words}, and this command works on clusters",
            "--context or --kubeconfig names a cluster; for a local stack: abctl local up, down",
        )
    return place


def who(actor: str) -> str:
    """Who does it: as given, or the user of this machine."""
    try:
        return actor or getuser()
    except (KeyError, OSError):
        raise UsageError("this user has no name", "say who you are with --actor") from None
