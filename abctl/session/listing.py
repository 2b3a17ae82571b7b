"""The experiments of a namespace or a cluster, by their ledgers; and those that ended."""

from dataclasses import dataclass

from abctl.cluster import KubeClient
from abctl.core.change import EXPERIMENT
from abctl.core.ledger import Entry, Ledger
from abctl.errors import ClusterError
from abctl.forms.ledger import is_ledger, ledger_of, target_of
from abctl.forms.tombstone import ENDED, Tombstone, tombstone_of


@dataclass(frozen=True)
class Listed:
    """A ledger that was found.

    Attributes:
        name: of the experiment.
        namespace: where it is.
        target: the object that carries the split; empty where an earlier abctl did not write it.
        ledger: what it says; None where it is damaged.
        damage: why it cannot be read; else empty.
    """

    name: str
    namespace: str
    target: str
    ledger: Ledger | None
    damage: str = ""

    @property
    def last(self) -> Entry | None:
        """The last entry that is of its split."""
        return self.ledger.moves[-1] if self.ledger else None


def listed(client: KubeClient, namespace: str) -> list[Listed]:
    """The experiments that have a ledger.

    Args:
        client: the cluster.
        namespace: of them; empty for all.

    Raises:
        ClusterError: ConfigMaps may not be listed there.
    """
    found = []
    for obj in client.list("v1", "ConfigMap", namespace, {}):
        labels = obj["metadata"].get("labels") or {}
        if EXPERIMENT not in labels or not is_ledger(obj):
            continue
        said = target_of(obj)
        known, damage = None, ""
        try:
            known = ledger_of(obj)
        except ClusterError as error:
            damage = error.message
        place = obj["metadata"].get("namespace", "")
        found.append(Listed(labels[EXPERIMENT], place, str(said[0]) if said else "", known, damage))
    return found


def ended(client: KubeClient, namespace: str) -> list[tuple[str, Tombstone]]:
    """Those that ended, each with its namespace.

    Raises:
        ClusterError: ConfigMaps may not be listed there.
    """
    found = client.list("v1", "ConfigMap", namespace, {ENDED: "true"})
    read = ((obj["metadata"].get("namespace", ""), tombstone_of(obj)) for obj in found)
    return [(place, each) for place, each in read if each is not None]
