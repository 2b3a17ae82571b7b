"""The controller's loop: list the experiments, give each its turn when it is due, begin again.

A turn runs in a thread of a small pool, so one that waits for its servers or its source keeps no
other one. Whatever goes wrong with one is in its status, and nothing of it outlives the turn.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from uuid import uuid4

from abctl.cluster.kube import ClusterClient
from abctl.cluster.status import write_status
from abctl.controller.events import events
from abctl.controller.leases import Leases
from abctl.controller.permitted import Allowed
from abctl.controller.reconcile import Found, open_declared, reconcile
from abctl.controller.seen import Seen
from abctl.controller.status import NOT_APPLIED, status_of
from abctl.errors import AbctlError, ClusterError
from abctl.session.declared import Declared, declared
from abctl.session.session import Session

_LIST_SECONDS, _SOON_SECONDS = 5.0, 5.0
_WORKERS = 4
_ENDED_SLOWER = 10  # times the interval: what is over changes only by people
_log = logging.getLogger(__name__)


class _Ending(BaseException):
    """The controller ends: what waits is left as it is, for whoever comes next."""


@dataclass(frozen=True)
class Settings:
    """Where a controller works, and how.

    Attributes:
        kubeconfig: its file; as for kubectl if None.
        context: of the kubeconfig; its current one if None.
        namespaces: whose experiments; that of the context, or of the pod, if empty.
        everywhere: those of all namespaces.
        interval_seconds: between two looks at one experiment.
        timeout_seconds: how long one turn may wait for something to be in effect.
        allowed: what objects may name.
        prometheus: where the counters are of experiments that do not say it.
        prometheus_config: a file that says so, and who one is there.
        adjusted: what a test changes of a session.
    """

    kubeconfig: Path | None = None
    context: str | None = None
    namespaces: tuple[str, ...] = ()
    everywhere: bool = False
    interval_seconds: float = 60.0
    timeout_seconds: float = 30.0
    allowed: Allowed = field(default_factory=Allowed)
    prometheus: str | None = None
    prometheus_config: Path | None = None
    adjusted: Callable[[Session], Session] = lambda session: session


class Controller:
    """One process of it; several of them elect who works.

    Args:
        settings: where it works, and how.
        told: is given what each look found.
    """

    def __init__(self, settings: Settings, told: Callable[[Declared, Found], None]) -> None:
        self._settings, self._told = settings, told
        self._stop = Event()
        self._client = self._connect()
        own = f"{socket.gethostname()}_{os.getpid()}_{uuid4().hex[:8]}"
        self.leases = Leases(self._connect(), own)
        self.seen = Seen()
        named = settings.namespaces or (self._client.namespace,)
        self.namespaces: tuple[str, ...] = () if settings.everywhere else named
        self._came = time.monotonic()
        self._due: dict[str, tuple[int, float]] = {}
        self._busy: set[str] = set()

    @property
    def words(self) -> str:
        """Which cluster it is, for people."""
        return self._client.words

    @property
    def silent_seconds(self) -> float:
        """How long ago it came round last; the API server may be away all the same."""
        return time.monotonic() - self._came

    def reader(self, sleep: Callable[[float], None]) -> ClusterClient:
        """A client of its own to the same cluster, for what others ask meanwhile.

        Args:
            sleep: waits for some seconds before a request is repeated.
        """
        given = self._settings
        return ClusterClient(kubeconfig=given.kubeconfig, context=given.context, sleep=sleep)

    def stop(self) -> None:
        """End after the turns that run; may be called by a signal's handler."""
        self._stop.set()

    def run(self) -> None:
        """Work until it is stopped.

        Raises:
            ClusterError: at first, the experiments cannot be listed; later that passes.
        """
        self._list()
        self.leases.start()
        pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="turn")
        try:
            while not self._stop.is_set():
                self._round(pool)
                self._stop.wait(self._pause())
        finally:
            self._stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            self.leases.end()

    def _pause(self) -> float:
        # A namespace that is new is led within a moment.
        waiting = not all(self.leases.held.values())
        return min(_LIST_SECONDS, self._settings.interval_seconds) / (5.0 if waiting else 1.0)

    def _connect(self, guard: Callable[[], None] = lambda: None) -> ClusterClient:
        given = self._settings
        return ClusterClient(
            kubeconfig=given.kubeconfig, context=given.context, sleep=self._sleep, guard=guard
        )

    def _sleep(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise _Ending

    def _list(self) -> Sequence[Declared]:
        places = self.namespaces or ("",)
        return [each for place in places for each in declared(self._client, place)]

    def _round(self, pool: ThreadPoolExecutor) -> None:
        self._came = time.monotonic()
        try:
            there = self._list()
        except ClusterError as error:
            self.seen.failed(error)
            _log.warning("the experiments cannot be listed: %s", error.message)
            return
        self.seen.keep({each.uid for each in there})
        self._due = {u: due for u, due in self._due.items() if u in {each.uid for each in there}}
        for each in there:
            led = self.leases.of(each.ref.namespace).held
            if led and each.uid not in self._busy and self._is_due(each):
                self._busy.add(each.uid)
                pool.submit(self._work, each)

    def _is_due(self, each: Declared) -> bool:
        generation, at = self._due.get(each.uid, (-1, 0.0))
        return generation != each.generation or time.monotonic() >= at

    def _work(self, each: Declared) -> None:
        """One turn of one experiment; nothing that goes wrong leaves it."""
        began, after = time.monotonic(), self._settings.interval_seconds
        try:
            found = self._look(each)
            self._tell(each, found)
            self.seen.looked(each, found, time.monotonic() - began)
            if found.turn is None and not found.refused:
                after = min(after, _SOON_SECONDS)
            elif found.turn and found.turn.action.done:
                after *= _ENDED_SLOWER
        except _Ending:
            return
        except AbctlError as error:
            self.seen.failed(error)
            _log.warning("%s: %s", each.ref, error.message)
        except Exception as error:  # noqa: BLE001 - a bug of one experiment stops no other
            self.seen.failed(error)
            _log.exception("%s", each.ref)
        finally:
            self._due[each.uid] = (each.generation, time.monotonic() + after)
            self._busy.discard(each.uid)

    def _look(self, each: Declared) -> Found:
        given = self._settings
        client = self._connect(self.leases.of(each.ref.namespace).require)
        try:
            session = open_declared(each, client, given.allowed)
        except AbctlError as error:
            return Found(client.now(), failure=error)
        if session.experiment.source is None:
            session = replace(
                session,
                prometheus_url=given.prometheus,
                prometheus_config=given.prometheus_config,
            )
        session = replace(
            session,
            timeout_seconds=given.timeout_seconds,
            sleep=self._sleep,
            report=lambda text: _log.info("%s: %s", each.ref, text),
        )
        try:
            return reconcile(given.adjusted(session), again=_is_new(each))
        except AbctlError as error:
            return Found(session.clock(), failure=error)

    def _tell(self, each: Declared, found: Found) -> None:
        client = self._connect(self.leases.of(each.ref.namespace).require)
        status = status_of(each, found)
        write_status(client, each.ref, each.uid, status)
        for event in events(each, status, found.at):
            with suppress(ClusterError):  # it is told by the status all the same
                client.create(event)
        self._told(each, found)


def _is_new(each: Declared) -> bool:
    """Whether its objects are not yet as its spec says; a split that others set stays theirs."""
    known = {c["type"]: c for c in each.status.get("conditions") or ()}
    ready = known.get("Ready", {})
    return ready.get("observedGeneration") != each.generation or ready["reason"] in NOT_APPLIED
