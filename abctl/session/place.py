"""Which world a command works on: the local stack, or a cluster; and on what in it.

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

from abctl.cluster import Door, kubeconfig
from abctl.core.change import Object
from abctl.core.experiment import Experiment
from abctl.errors import UsageError
from abctl.files import as_argument
from abctl.platforms import Platform, platform
from abctl.session import adopt, readiness

if TYPE_CHECKING:
    from abctl.cluster.kube import KubeDoor


_log = logging.getLogger(__name__)
STATE_ROOT = Path(".abctl")


@dataclass(frozen=True)
class Where:
    """What the user said about the world; None: nothing."""

    state: Path | None = None
    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str | None = None

    @property
    def cluster(self) -> bool:
        """Whether a cluster was meant."""
        return any((self.kubeconfig, self.context, self.namespace))


@dataclass(frozen=True)
class Place:
    """A world, and an experiment in it.

    Attributes:
        door: to the world.
        platform: what carries the split.
        experiment: of the file, or made up for an object that abctl did not make.
        ready: whether a variant can take requests; a text says why it cannot.
        words: which world it is, for people.
        word: what the user called the experiment, for commands: its file, or KIND/NAME.
        state: the folder of the local stack; None in a cluster.
        adopted: whether there is no experiment file.
        found: the object that carries the split with its status, if it was read for that.
    """

    door: Door
    platform: Platform
    experiment: Experiment
    ready: Callable[[str], bool | str]
    words: str
    word: str = "EXPERIMENT"
    state: Path | None = None
    adopted: bool = False
    found: Object | None = None


def find(word: str, where: Where, *, now: float, experiment: Experiment | None = None) -> Place:
    """The place that an experiment file, or KIND/NAME, stands for.

    Args:
        word: the path of the file, or kubectl's kind and name.
        where: what the user said about the world.
        now: unix seconds.
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
    if experiment is None and not Path(word).exists() and adopt.is_address(word):
        return _adopted(word, where, now)
    from abctl.spec import load  # noqa: PLC0415 - not needed for KIND/NAME

    experiment = experiment or load(Path(word))
    if where.state:
        from abctl.local import stack  # noqa: PLC0415 - not needed for a cluster

        stack.require_folder(where.state)
    if where.namespace:
        experiment = replace(experiment, namespace=where.namespace)
    state = where.state or STATE_ROOT / experiment.name
    found = _local(experiment, state) if _is_local(state, where) else _cluster(experiment, where)
    return replace(found, word=as_argument(word))


def _is_local(state: Path, where: Where) -> bool:
    from abctl.local import stack  # noqa: PLC0415 - not needed for a cluster

    if where.state:
        local, reason = True, "--state is given"
    elif where.cluster:
        local, reason = False, "--context, --kubeconfig or --namespace is given"
    elif stack.known(state):
        local, reason = True, f"there is one in {state}"
    elif kubeconfig.configured():
        local, reason = False, f"there is no stack in {state}, and a cluster is configured"
    else:
        local, reason = True, "no cluster is configured"
    _log.info("%s: %s", "a local stack" if local else "a cluster", reason)
    return local


def _local(experiment: Experiment, state: Path) -> Place:
    from abctl.session import local_world  # noqa: PLC0415 - not needed for a cluster

    return Place(
        door=local_world.door(experiment, state),
        platform=platform(experiment.platform),
        experiment=experiment,
        ready=partial(local_world.ready, state),
        words=f"the local stack in {state}",
        state=state,
    )


def _cluster(experiment: Experiment, where: Where) -> Place:
    door = _open(where)
    carrier = platform(experiment.platform)
    _ask_pods(door, carrier, experiment)
    return Place(
        door=door,
        platform=carrier,
        experiment=experiment,
        ready=partial(readiness.ready, door, carrier, experiment, carrier.objects(experiment)),
        words=f"{door.words}, namespace {experiment.namespace}",
    )


def _adopted(word: str, where: Where, now: float) -> Place:
    if where.state:
        raise UsageError(
            f"{word}: a local stack is addressed by its experiment file",
            "name the file, or leave --state out",
        )
    door = _open(where)
    namespace = where.namespace or door.namespace
    carrier, experiment, found = adopt.experiment(door, word, namespace)
    _ask_pods(door, carrier, experiment)
    return Place(
        door=adopt.Adopting(door, experiment, now),
        platform=carrier,
        experiment=experiment,
        ready=partial(readiness.ready, door, carrier, experiment, ()),
        words=f"{door.words}, namespace {namespace}",
        word=word,
        adopted=True,
        # Its status is the pods' to tell, who were not asked yet.
        found=None if carrier.CAPABILITIES.inquiry else found,
    )


def _open(where: Where) -> "KubeDoor":
    from abctl.cluster.kube import KubeDoor  # noqa: PLC0415 - the client is slow to import

    return KubeDoor(kubeconfig=where.kubeconfig, context=where.context)


def _ask_pods(door: "KubeDoor", carrier: Platform, experiment: Experiment) -> None:
    """Where no controller reports what is in effect, the pods themselves are asked."""
    if inquiry := carrier.CAPABILITIES.inquiry:
        from abctl.session.readiness import ProxyPods  # noqa: PLC0415 - few platforms need it

        pods = ProxyPods(door, carrier, inquiry, carrier.target(experiment))
        door.live = pods.status
