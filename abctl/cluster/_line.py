"""What answers requests to an API server; with no proxy between, the standard library suffices."""

import ssl
from collections.abc import Iterable
from functools import cached_property
from http.client import HTTPConnection, HTTPException
from selectors import EVENT_READ, DefaultSelector
from socket import socket
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import urlsplit
from weakref import finalize

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
        self._connection = HTTPConnection(self._host, parts.port or (443 if tls else 80))
        self._connection.default_port = 443 if tls else 80
        self._one_at_a_time = Lock()
        finalize(self, self._connection.close)

    def ask(
        self, method: str, path: str, headers: Headers, body: bytes | None, timeout_seconds: float
    ) -> Answer:
        """The answer to one request."""
        with self._one_at_a_time:
            connected = False
            try:
                self._connect(timeout_seconds)
                connected = True
                return self._ask(method, path, headers, body)
            except (OSError, HTTPException, UnicodeError) as error:
                # What is left of an answer must not be taken for the next one.
                self._connection.close()
                raise NoAnswerError(
                    error, sent=connected, distrusted=isinstance(error, ssl.SSLError)
                ) from error

    @cached_property
    def pool(self) -> "PoolManager":
        """Connections beside this one."""
        from abctl.cluster._pool import pool  # noqa: PLC0415 - slow to import

        return pool(self._tls, self._name)

    def _connect(self, timeout_seconds: float) -> None:
        kept = self._connection
        if kept.sock and _is_open(kept.sock):
            kept.sock.settimeout(timeout_seconds)
            return
        kept.close()
        kept.timeout = timeout_seconds
        kept.connect()
        if self._tls:
            kept.sock = self._tls.wrap_socket(kept.sock, server_hostname=self._name or self._host)

    def _ask(self, method: str, path: str, headers: Headers, body: bytes | None) -> Answer:
        kept = self._connection
        kept.putrequest(method, f"{self._prefix}{path}")
        for name, value in headers:
            kept.putheader(name, value)
        if body is not None:
            kept.putheader("Content-Length", str(len(body)))
        kept.endheaders(body)
        answer = kept.getresponse()
        return Answer(answer.status, answer.headers, answer.read())


def _is_open(connection: socket) -> bool:
    """Whether the server has kept it too: what comes without being asked for is its end."""
    with DefaultSelector() as selector:
        selector.register(connection, EVENT_READ)
        return not selector.select(0)
