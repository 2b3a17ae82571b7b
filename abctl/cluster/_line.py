"""What answers requests to an API server; with no proxy between, the standard library suffices."""

import ssl
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from http.client import HTTPConnection, HTTPException
from selectors import EVENT_READ, DefaultSelector
from socket import SHUT_RDWR, socket
from threading import Event, Lock
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import urlsplit
from weakref import finalize

from abctl.waiting import within

if TYPE_CHECKING:
    from http.client import HTTPMessage

    from urllib3 import HTTPHeaderDict, PoolManager

Headers = Iterable[tuple[str, str]]


class Answer(NamedTuple):
    """Whatever a server says."""

    code: int
    headers: "HTTPMessage | HTTPHeaderDict"
    body: bytes


class NoAnswerError(Exception):
    """There is none, and why.

    Attributes:
        sent: whether the server may have got the request.
        distrusted: whether it is TLS that failed.
    """

    def __init__(self, error: Exception, *, sent: bool, distrusted: bool) -> None:
        super().__init__(getattr(error, "strerror", None) or str(error) or type(error).__name__)
        self.sent, self.distrusted = sent, distrusted


class Line(Protocol):
    """Asks a server; several threads may."""

    def ask(
        self, method: str, path: str, headers: Headers, body: bytes | None, timeout_seconds: float
    ) -> Answer:
        """The answer to one request, which is not repeated.

        Raises:
            NoAnswerError: there is none, or none in time.
        """
        ...

    @property
    def pool(self) -> "PoolManager":
        """Connections of the same kind, for whoever speaks HTTP with urllib3."""
        ...


class Direct:
    """One connection, made when it is needed, and kept.

    Args:
        server: the address that all paths begin with.
        tls: for an https address.
        name: what the server's certificate calls it; None: the host of the address.
    """

    def __init__(self, server: str, tls: ssl.SSLContext | None, name: str | None) -> None:
        parts = urlsplit(server)
        self._prefix = parts.path
        self._tls, self._name, self._host = tls, name, parts.hostname or ""
        self._port = parts.port or (443 if tls else 80)
        self._connection = self._unconnected()
        self._one_at_a_time = Lock()

    def ask(
        self, method: str, path: str, headers: Headers, body: bytes | None, timeout_seconds: float
    ) -> Answer:
        """The answer to one request."""
        connected, given_up = Event(), Event()
        with self._one_at_a_time:
            kept = self._connection

            def run() -> Answer:
                try:
                    self._connect(kept, timeout_seconds)
                    connected.set()
                    if given_up.is_set():  # then nothing may be sent any more
                        raise TimeoutError
                    return self._ask(kept, method, path, headers, body)
                except (OSError, HTTPException, UnicodeError) as error:
                    # What is left of an answer must not be taken for the next one.
                    kept.close()
                    raise NoAnswerError(
                        error,
                        sent=connected.is_set(),
                        distrusted=isinstance(error, ssl.SSLError),
                    ) from error
                finally:
                    if given_up.is_set():
                        kept.close()

            try:
                return within(timeout_seconds, run)
            except NoAnswerError:
                raise
            except BaseException as error:
                # Who waits for that answer keeps its connection; the next request has its own.
                given_up.set()
                self._connection = self._unconnected()
                _hang_up(kept)
                if isinstance(error, TimeoutError):
                    raise too_late(timeout_seconds, sent=connected.is_set()) from None
                raise

    @cached_property
    def pool(self) -> "PoolManager":
        """Connections beside this one."""
        from abctl.cluster._pool import pool  # noqa: PLC0415 - slow to import

        return pool(self._tls, self._name)

    def _unconnected(self) -> HTTPConnection:
        made = HTTPConnection(self._host, self._port)
        made.default_port = 443 if self._tls else 80
        finalize(self, made.close)
        return made

    def _connect(self, kept: HTTPConnection, timeout_seconds: float) -> None:
        if kept.sock and _is_open(kept.sock):
            kept.sock.settimeout(timeout_seconds)
            return
        kept.close()
        kept.timeout = timeout_seconds
        kept.connect()
        if self._tls:
            kept.sock = self._tls.wrap_socket(kept.sock, server_hostname=self._name or self._host)

    def _ask(
        self, kept: HTTPConnection, method: str, path: str, headers: Headers, body: bytes | None
    ) -> Answer:
        kept.putrequest(method, f"{self._prefix}{path}")
        for name, value in headers:
            kept.putheader(name, value)
        if body is not None:
            kept.putheader("Content-Length", str(len(body)))
        kept.endheaders(body)
        answer = kept.getresponse()
        return Answer(answer.status, answer.headers, answer.read())


def too_late(seconds: float, *, sent: bool) -> NoAnswerError:
    """The error for an answer that did not end in time."""
    return NoAnswerError(
        TimeoutError(f"timed out after {seconds:g} s"), sent=sent, distrusted=False
    )


def _hang_up(connection: HTTPConnection) -> None:
    """End what another thread may be reading from."""
    if way := connection.sock:
        with suppress(OSError):
            socket.shutdown(way, SHUT_RDWR)  # without a farewell in TLS, which could block


def _is_open(connection: socket) -> bool:
    """Whether the server has kept it too: what comes without being asked for is its end."""
    with DefaultSelector() as selector:
        selector.register(connection, EVENT_READ)
        return not selector.select(0)
