"""Open a session: which world a command works on, the local stack or a cluster; and on what in it.

The rule: `--state` means a local stack; `--context`, `--kubeconfig`, `-n` or KIND/NAME a cluster.
Without any of them it is the local stack of that name if there is one, else the cluster of the
kubeconfig if there is one, else the local stack.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from abctl import platforms
from abctl.cluster import KubeClient, kubeconfig
from abctl.core.experiment import Experiment
from abctl.errors import SpecError, UsageError
from abctl.files import as_argument
from abctl.platforms import Platform
from abctl.session import adopt, readiness
from abctl.session.audit import ClusterAudit
from abctl.session.declared import names_declared, one_declared
from abctl.session.proxy_pods import ProxyPods
from abctl.session.route import Following
from abctl.session.session import Session

if TYPE_CHECKING:
    from abctl.cluster.kube import ClusterClient

STATE_ROOT = Path(".abctl")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Where:
    """What the user said about the world; None: nothing.

    `never_local` is for commands that work on clusters alone: without a running stack they look
    for a cluster, and an error names the missing kubeconfig.
    """

    state: Path | None = None
    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str | None = None
    never_local: bool = False

    @property
    def cluster(self) -> bool:
        """Whether a cluster was meant."""
        return any((self.kubeconfig, self.context, self.namespace))


def open_session(word: str, where: Where, experiment: Experiment | None = None) -> Session:
    """The session of an experiment file, of an Experiment object (`abx/NAME`), or of KIND/NAME.

    Args:
        word: the path of the file, or kubectl's kind and name.
        where: what the user said about the world.
        experiment: what is in the file, where it was read already: stdin can be read only once.

    Raises:
        UsageError: options that contradict each other, or a kind that carries no split.
        SpecError: whatever is wrong with the file.
        ClusterError: the object of that name carries no split, or cannot be read.
    """
    if where.state and where.cluster:
        raise UsageError(
            "--state is for a local stack, the other options are for a cluster",
            "leave --state out, or --context, --kubeconfig and -n",
        )
    if experiment is None and names_declared(word):
        return _declared(word, where)
    if experiment is None and adopt.names_object(word):
        return _adopted(word, where)
    from abctl.spec import load  # noqa: PLC0415 - not needed for KIND/NAME

    experiment = experiment or load(Path(word))
    if experiment.flag_file:
        return replace(
            _of_file(experiment, Path(experiment.flag_file), where), word=as_argument(word)
        )
    if where.state:
        from abctl.local import stack  # noqa: PLC0415 - not needed for a cluster

        stack.require_folder(where.state)
    if where.namespace:
        experiment = replace(experiment, namespace=where.namespace)
    state_dir = where.state or STATE_ROOT / experiment.name
    if not _is_local(state_dir, where):
        return replace(in_cluster(_client(where), experiment), word=as_argument(word))
    from abctl.session import local_world  # noqa: PLC0415 - not needed for a cluster

    return replace(local_world.session(experiment, state_dir), word=as_argument(word))


def _of_file(experiment: Experiment, path: Path, where: Where) -> Session:
    """The session of an experiment whose flag is in a file; the ledger is in a folder beside it."""
    from abctl.cluster.flag_file import FlagFileClient  # noqa: PLC0415 - seldom needed
    from abctl.platforms import flagset  # noqa: PLC0415

    if where.cluster or where.state:
        raise UsageError(
            f"spec.flagFile: the split is in {path}, in no cluster and no local stack",
            "leave --state, --context, --kubeconfig and -n out",
        )
    platform = platforms.platform(experiment.platform)
    folder, target = path.parent / STATE_ROOT / path.name, platform.target(experiment)
    world = FlagFileClient(folder, path, target, flagset.KEY)
    return Session(
        world,
        platform,
        experiment,
        ready=_ready(world, platform, experiment),
        words=f"the file {path}",
        clock=world.now,
    )


def _is_local(state_dir: Path, where: Where) -> bool:
    from abctl.local import stack  # noqa: PLC0415 - not needed for a cluster

    if where.state:
        local, reason = True, "--state is given"
    elif where.cluster:
        local, reason = False, "--context, --kubeconfig or --namespace is given"
    elif stack.known(state_dir):
        local, reason = True, f"there is one in {state_dir}"
    elif kubeconfig.configured():
        local, reason = False, f"there is no stack in {state_dir}, and a cluster is configured"
    elif where.never_local:
        local, reason = False, f"there is no stack in {state_dir}"
    else:
        local, reason = True, "no cluster is configured"
    _log.info("%s: %s", "a local stack" if local else "a cluster", reason)
    return local


def in_cluster(client: "ClusterClient", experiment: Experiment) -> Session:
    """The session of an experiment in the cluster of a client.

    Raises:
        SpecError: its platform cannot express it.
    """
    if experiment.flag_file:
        raise SpecError(
            f"spec.flagFile: {experiment.flag_file} is in no cluster",
            "remove it: the flag is in a ConfigMap there",
        )
    platform = platforms.platform(experiment.platform)
    world = _informed(client, platform, experiment)
    return Session(
        world,
        platform,
        experiment,
        ready=_ready(world, platform, experiment),
        words=f"{client.words}, namespace {experiment.namespace}",
        audit=ClusterAudit(client),
        remind=_reminding(world),
        clock=world.now,
    )


def _require_no_stack(word: str, where: Where) -> None:
    if where.state:
        raise UsageError(
            f"{word}: a local stack is addressed by its experiment file",
            "name the file, or leave --state out",
        )


def _declared(word: str, where: Where) -> Session:
    _require_no_stack(word, where)
    client = _client(where)
    found = one_declared(client, word, where.namespace or client.namespace)
    return replace(in_cluster(client, found.experiment()), word=word)


def _adopted(word: str, where: Where) -> Session:
    _require_no_stack(word, where)
    client = _client(where)
    namespace = where.namespace or client.namespace
    platform, experiment, found = adopt.experiment(client, word, namespace)
    world = _informed(client, platform, experiment)
    # Where its status is the pods' or a route's to tell, they were not asked yet.
    told_elsewhere = bool(platform.CAPABILITIES.inquiry or platform.CAPABILITIES.made)
    return Session(
        adopt.Adopting(world, experiment, found, again=told_elsewhere),
        platform,
        experiment,
        ready=partial(readiness.ready, world, platform, experiment, ()),
        words=f"{client.words}, namespace {namespace}",
        audit=ClusterAudit(client),
        remind=_reminding(world),
        clock=world.now,
        word=word,
        adopted=True,
    )


def _ready(
    world: KubeClient, platform: Platform, experiment: Experiment
) -> Callable[[str], bool | str]:
    """What tells whether a variant's servers are ready, of all that the platform makes."""
    return partial(readiness.ready, world, platform, experiment, platform.objects(experiment))


def _reminding(world: KubeClient) -> Callable[[], str | None]:
    return world.remind if isinstance(world, ProxyPods) else lambda: None


def _client(where: Where) -> "ClusterClient":
    from abctl.cluster.kube import ClusterClient  # noqa: PLC0415 - the client is slow to import

    return ClusterClient(kubeconfig=where.kubeconfig, context=where.context)


def _informed(client: "ClusterClient", platform: Platform, experiment: Experiment) -> KubeClient:
    """Where no controller reports what is in effect, the pods or its route tell."""
    if made := platform.CAPABILITIES.made:
        return Following(client, made, platform.target(experiment))
    inquiry = platform.CAPABILITIES.inquiry
    if inquiry is None:
        return client
    return ProxyPods(client, platform, inquiry, platform.target(experiment))
