"""`Experiment` objects of a cluster, each the experiment file as it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from abctl.cluster import KubeClient
from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment
from abctl.errors import NotFoundError, SpecError

API_VERSION, KIND = "abctl.dev/v1alpha1", "Experiment"
# What kubectl calls the kind; `experiment` is that of Seldon Core 2.
_WORDS = ("abx", "experiment.abctl.dev", "experiments.abctl.dev")
_INSTALL = "abctl schema crd | kubectl apply --server-side -f -"


@dataclass(frozen=True)
class Declared:
    """An `Experiment` as it is in the cluster.

    >>> meta = {"name": "iris", "namespace": "models", "uid": "7", "generation": 2}
    >>> Declared({"metadata": meta, "spec": {}}).generation
    2
    """

    obj: Object

    @property
    def ref(self) -> Ref:
        """Its address."""
        meta = self.obj["metadata"]
        return Ref(API_VERSION, KIND, meta["namespace"], meta["name"])

    @property
    def uid(self) -> str:
        """Another one after it was deleted and made again."""
        return str(self.obj["metadata"].get("uid") or "")

    @property
    def generation(self) -> int:
        """Another one after each change of its spec."""
        return int(self.obj["metadata"].get("generation") or 0)

    @property
    def leaving(self) -> bool:
        """Whether it is being deleted."""
        return "deletionTimestamp" in self.obj["metadata"]

    @property
    def status(self) -> Mapping[str, Any]:
        """What a controller wrote of it last."""
        return self.obj.get("status") or {}

    def experiment(self) -> Experiment:
        """What it declares.

        Raises:
            SpecError: whatever is wrong with it, also where the API server has let it pass.
        """
        from abctl.spec import parse  # noqa: PLC0415 - with the platforms

        if self.obj.get("apiVersion") != API_VERSION:
            raise SpecError(
                f"{self.obj.get('apiVersion')} is not {API_VERSION}, which this abctl reads",
                "a newer abctl controller may read it",
            )
        file = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": self.ref.name, "namespace": self.ref.namespace},
            "spec": self.obj.get("spec"),
        }
        text = yaml.safe_dump(file, sort_keys=False, allow_unicode=True)
        return parse(text, f"experiment/{self.ref.name}")


def names_declared(word: str) -> bool:
    """Whether it names such an object, as kubectl has it: `abx/iris`.

    >>> names_declared("abx/iris"), names_declared("experiment/iris"), names_declared("iris.yaml")
    (True, False, False)
    """
    kind, _, name = word.partition("/")
    return kind in _WORDS and bool(name) and not Path(word).exists()


def one_declared(client: KubeClient, word: str, namespace: str) -> Declared:
    """The object that a word names.

    Raises:
        NotFoundError: there is none, or the cluster does not know the kind.
        ClusterError: it cannot be read.
    """
    return Declared(client.get(Ref(API_VERSION, KIND, namespace, word.partition("/")[2])))


def declared(client: KubeClient, namespace: str) -> Sequence[Declared]:
    """The experiments of a namespace.

    Args:
        client: to the cluster.
        namespace: of them; empty for all.

    Raises:
        NotFoundError: the cluster does not know the kind.
        ClusterError: they may not be listed.
    """
    try:
        found = client.list(API_VERSION, KIND, namespace, {})
    except NotFoundError as error:
        raise NotFoundError(error.message, _INSTALL) from None
    return [Declared(obj) for obj in found if not Declared(obj).leaving]
