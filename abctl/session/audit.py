"""Who acts, by the API server's own word, and what the cluster's Events say of it.

Neither may stand in the way: what the server does not tell or allow is left out.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from abctl.core.change import Object, Ref
from abctl.core.ledger import SAID, WORDS, Entry
from abctl.errors import AbctlError

if TYPE_CHECKING:
    from abctl.cluster.kube import ClusterClient

_REASONS = {
    "applied": "SplitApplied",
    "reverted": "SplitReverted",
    "amended": "PlanAmended",
    "approved": "RampApproved",
    "paused": "RampPaused",
    "resumed": "RampResumed",
    "aborted": "RampAborted",
    "accepted": "DoubtAccepted",
}
_STARTED = "ExperimentStarted"
_LONGEST_NOTE = 1000  # of 1,024 characters that an Event may have


class Audit:
    """Of a world that knows no users and keeps no Events: a local stack.

    >>> Audit().user
    ''
    """

    @property
    def user(self) -> str:
        """Whom the API server takes one for; empty where it does not say."""
        return ""

    def announce(self, carrier: Object, entry: Entry) -> None:
        """Tell that it started, that its plan was amended, or that a change of the split ended."""


@dataclass
class ClusterAudit(Audit):
    """Of a cluster.

    Args:
        client: to it.
    """

    client: "ClusterClient"
    _known: str | None = field(default=None, init=False)

    @property
    def user(self) -> str:
        """Whom the API server takes one for, asked once (SelfSubjectReview)."""
        if self._known is None:
            try:
                self._known = self.client.user()
            except AbctlError:
                self._known = ""
        return self._known

    def announce(self, carrier: Object, entry: Entry) -> None:
        """Make an Event of the object that carries the split, where one may."""
        try:
            self.client.create(event(carrier, entry))
        except AbctlError:
            return


def event(carrier: Object, entry: Entry) -> Object:
    """The Event of an entry of the ledger, as `kubectl describe` and `kubectl events` show it.

    Args:
        carrier: the object that carries the split.
        entry: what was done.
    """
    ref, meta = Ref.of(carrier), carrier["metadata"]
    who = f"{entry.actor} ({entry.user})" if entry.user else entry.actor
    why = f": {entry.why}" if entry.why else ""
    what = f"{entry.before} -> {entry.after}" if entry.before else f"started at {entry.after}"
    if entry.phase in WORDS:
        what = f"ramp {entry.phase} {', '.join(entry.parts)}".rstrip()
    if entry.phase == "accepted":
        what = f"{', '.join(entry.parts)} accepted"
    if entry.phase == "amended":
        what = f"plan amended ({', '.join(entry.parts)})"
    reason = _REASONS.get(entry.phase, "SplitChanged") if entry.before else _STARTED
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{ref.name}.{uuid4().hex[:16]}", "namespace": ref.namespace},
        "eventTime": datetime.fromtimestamp(entry.at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": "abctl.dev/abctl",
        "reportingInstance": "abctl",
        "action": _action(entry),
        "reason": reason,
        "regarding": {
            "apiVersion": ref.api_version,
            "kind": ref.kind,
            "namespace": ref.namespace,
            "name": ref.name,
            "uid": str(meta.get("uid") or ""),
            "resourceVersion": str(meta.get("resourceVersion") or ""),
        },
        "note": f"{what} by {who}{why}"[:_LONGEST_NOTE],
        "type": "Normal",
    }


def _action(entry: Entry) -> str:
    if entry.phase in SAID:
        return "Say"
    return "Amend" if entry.phase == "amended" else "Shift" if entry.before else "Start"
