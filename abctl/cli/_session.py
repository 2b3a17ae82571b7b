"""Options of the commands that work on a running experiment, each defined once."""

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from abctl.cli._options import patience
from abctl.cli._output import say
from abctl.errors import AbctlError, UsageError

if TYPE_CHECKING:
    from abctl.session.session import Session


class DryRun(StrEnum):
    """How far a command goes."""

    none = "none"
    client = "client"
    server = "server"


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
        parser=patience,
        metavar="DURATION",
        help="How long it may take until it is in effect: 90s, 5m.",
    ),
]
ReadyTimeoutOption = Annotated[
    float,
    typer.Option(
        "--timeout",
        parser=patience,
        metavar="DURATION",
        help="How long it may take until everything is ready: 90s, 5m.",
    ),
]
ForceOption = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Take over fields that another manager owns; start beside one with the same host.",
    ),
]
OwnedOption = Annotated[
    bool,
    typer.Option(
        "--force", help="Also where a controller owns the split, or somebody always puts it back."
    ),
]
WhyOption = Annotated[str, typer.Option(help="The reason, for the ledger.")]
ActorOption = Annotated[
    str, typer.Option(envvar="ABCTL_ACTOR", help="Who does it, for the ledger.")
]


@dataclass(frozen=True)
class WorldOptions:
    """Which world is meant."""

    state: StateOption = None
    namespace: NamespaceOption = None
    context: ContextOption = None
    kubeconfig: KubeconfigOption = None


@dataclass(frozen=True)
class ClusterOptions:
    """Which cluster is meant."""

    namespace: NamespaceOption = None
    context: ContextOption = None
    kubeconfig: KubeconfigOption = None


def session_of(
    what: str, world: WorldOptions, *, never_local: bool = False, **settings: Any
) -> "Session":
    """Open a session; says on stderr which world it is, unless `--state` has named it.

    Args:
        what: the experiment file, or KIND/NAME.
        world: which one is meant.
        never_local: for a command that works on clusters, a stack that is not there is none.
        settings: of the session.
    """
    from abctl.session.open import (  # noqa: PLC0415 - the platforms load when asked
        Where,
        open_session,
    )

    session = open_session(what, Where(**vars(world), never_local=never_local))
    folder = session.state_dir
    if world.state is None and folder is not None and not folder.exists():
        say(f"there is no local stack in {folder}, and no kubeconfig names a cluster")
    elif world.state is None:
        say(f"in {session.words}")
    return replace(session, **settings)


def file_session_of(what: str, world: WorldOptions, **settings: Any) -> "Session":
    """Open the session of an experiment file; an object alone does not say what is measured.

    Raises:
        UsageError: it is KIND/NAME; told before anything is asked.
    """
    from abctl.session.adopt import experiment_of, names_object  # noqa: PLC0415 - seldom needed

    if names_object(what):
        name, platform = experiment_of(what)
        raise UsageError(
            f"{what} has a split, but does not say what to measure: it takes an experiment file",
            f"abctl init FILE --platform {platform}, in it the name {name}, its namespace and "
            f"your metrics; the ledger is that of abctl shift {what}. Never apply that file",
        )
    return session_of(what, world, **settings)


def cluster_session_of(what: str, cluster: ClusterOptions, **settings: Any) -> "Session":
    """Open the session of an experiment file in a cluster.

    Raises:
        UsageError: it is KIND/NAME, or in a local stack.
    """
    from abctl.session.adopt import names_object  # noqa: PLC0415 - the platforms load when asked

    if names_object(what):
        raise UsageError(
            f"{what} is not an experiment file", "abctl shift and status take KIND/NAME"
        )
    session = session_of(what, WorldOptions(**vars(cluster)), never_local=True, **settings)
    if session.state_dir is not None:
        raise UsageError(
            f"{session.experiment.name} is in {session.words}, and this command works on clusters",
            "--context or --kubeconfig names a cluster; for a local stack: abctl local up, down",
        )
    return session
