"""Who may write: of each namespace the controller that holds its Lease, and never two.

A Lease for each namespace, in it: so controllers of overlapping namespaces exclude each other as
well, and its Role is all the rights that one needs.

The official client's `leaderelection` is not used. An API server that is away raises out of its
renewal, which nobody catches: the thread that leads goes on leading for ever. It reckons with the
wall clock, which may be set, and it can neither be ended nor give the Lease back.

Here nobody compares clocks. Who holds a Lease writes only for `_LEADS_SECONDS` after the renewal
that succeeded was sent; others take it `_LASTS_SECONDS` after they saw it change last. Both are
measured by clocks that are never set; requests on the way have the time between.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any

from abctl.cluster import KubeClient
from abctl.core.change import Object, Ref
from abctl.errors import ClusterError, ConflictError, NotFoundError

NAME = "abctl-controller"
_API = "coordination.k8s.io/v1"
_LASTS_SECONDS, _LEADS_SECONDS, _RETRY_SECONDS = 15, 10.0, 2.0
_NEVER = float("-inf")
_log = logging.getLogger(__name__)


@dataclass
class Leadership:
    """Of one namespace.

    Attributes:
        client: to the cluster.
        namespace: whose Lease.
        identity: of this controller, which no other has.
        ticks: seconds of a clock that is never set.
    """

    client: KubeClient
    namespace: str
    identity: str
    ticks: Callable[[], float] = time.monotonic
    _renewed: float = field(default=_NEVER, init=False)
    _seen: tuple[str, float] = field(default=("", _NEVER), init=False)

    @property
    def held(self) -> bool:
        """Whether this controller may write now."""
        return self.ticks() - self._renewed < _LEADS_SECONDS

    def require(self) -> None:
        """Refuse to write without the Lease.

        Raises:
            ConflictError: it is not held.
        """
        if not self.held:
            raise ConflictError(
                f"this controller does not hold the Lease {self.namespace}/{NAME}",
                "who holds it goes on",
            )

    def renew(self) -> None:
        """Take the Lease where nobody holds it, or renew it.

        Raises:
            ClusterError: it cannot be read or written; what is held lapses.
        """
        sent = self.ticks()
        try:
            lease = self.client.get(self._ref)
        except NotFoundError:
            self._write(sent, self.client.create, {}, taken=True)
            return
        spec, version = lease.get("spec") or {}, str(lease["metadata"].get("resourceVersion"))
        if version != self._seen[0]:
            self._seen = (version, self.ticks())
        holder = spec.get("holderIdentity") or ""
        lasts = float(spec.get("leaseDurationSeconds") or _LASTS_SECONDS)
        if holder not in ("", self.identity) and self.ticks() - self._seen[1] < lasts:
            self._renewed = _NEVER
            return
        self._write(sent, self.client.replace, lease, taken=holder != self.identity)

    def release(self) -> None:
        """Give it back, so that another one need not wait.

        Raises:
            ClusterError: it cannot be written; then it lapses.
        """
        if not self.held:
            return
        self._renewed = _NEVER
        lease = self.client.get(self._ref)
        if (lease.get("spec") or {}).get("holderIdentity") == self.identity:
            spec = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
            self.client.replace({**lease, "spec": spec})

    @property
    def _ref(self) -> Ref:
        return Ref(_API, "Lease", self.namespace, NAME)

    def _write(
        self, sent: float, write: Callable[[Object], Object], lease: Object, *, taken: bool
    ) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec: dict[str, Any] = {**(lease.get("spec") or {}), "renewTime": now}
        spec |= {"holderIdentity": self.identity, "leaseDurationSeconds": _LASTS_SECONDS}
        if taken:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + bool(lease)
        meta = lease.get("metadata") or {"name": NAME, "namespace": self.namespace}
        try:
            write({"apiVersion": _API, "kind": "Lease", "metadata": meta, "spec": spec})
        except ConflictError:  # somebody else was faster
            self._renewed = _NEVER
            return
        if taken:
            _log.info("leads namespace %s", self.namespace)
        self._renewed = sent


class Leases:
    """The Leases of all namespaces that have an experiment, renewed by a thread.

    Args:
        client: to the cluster; its writes are never refused for the lack of a Lease.
        identity: of this controller, which no other has.
    """

    def __init__(self, client: KubeClient, identity: str) -> None:
        self._client, self._identity = client, identity
        self._known: dict[str, Leadership] = {}
        self._stop, self._wake = Event(), Event()
        self._thread = Thread(target=self._renew_always, name="leases", daemon=True)

    def start(self) -> None:
        """Renew from now on."""
        self._thread.start()

    def of(self, namespace: str) -> Leadership:
        """That of a namespace; of a new one, it is not held yet."""
        if namespace not in self._known:
            made = Leadership(self._client, namespace, self._identity)
            self._known = {**self._known, namespace: made}
            self._wake.set()
        return self._known[namespace]

    @property
    def held(self) -> dict[str, bool]:
        """Of each namespace, whether this controller leads there."""
        return {namespace: each.held for namespace, each in self._known.items()}

    def end(self) -> None:
        """Renew no more, and give back what is held."""
        self._stop.set()
        self._wake.set()
        self._thread.join(_LASTS_SECONDS)
        for each in self._known.values():
            try:
                each.release()
            except ClusterError as error:
                _log.info("%s: %s", each.namespace, error.message)

    def _renew_always(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            for each in self._known.values():
                try:
                    each.renew()
                except ClusterError as error:
                    _log.warning("Lease of %s: %s", each.namespace, error.message)
                except Exception:  # noqa: BLE001 - the thread must not end, or nobody renews
                    _log.exception("Lease of %s", each.namespace)
            self._wake.wait(_RETRY_SECONDS)
