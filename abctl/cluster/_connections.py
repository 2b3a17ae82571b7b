"""Connections to an API server, direct or through a proxy: made when needed, kept, and bounded."""

import logging
import re
import ssl
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from socket import SHUT_RDWR, socket
from threading import local
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError, NewConnectionError, ProxyError, SSLError
from urllib3.exceptions import TimeoutError as TooSlow

from abctl.cluster.kubeconfig import unusable
from abctl.waiting import within

Headers = Iterable[tuple[str, str]]
LARGEST_BYTES = 2**28
_PART_BYTES = 2**20
_MOST_KEPT = 16  # connections; more may be open at once
_log = logging.getLogger(__name__)
_PLACE_IN_TLS = re.compile(r" \(_ssl\.c:\d+\)")


class Answer(NamedTuple):
    """Whatever a server says."""

    code: int
    headers: urllib3.HTTPHeaderDict
    body: bytes


class NoAnswerError(Exception):
    """There is none, and why.

    Attributes:
        sent: whether the server may have got the request.
        distrusted: whether it is TLS that failed.
        too_large: whether there is one, but larger than any that was asked for.
    """

    def __init__(
        self, reason: str, *, sent: bool, distrusted: bool = False, too_large: bool = False
    ) -> None:
        super().__init__(reason)
        self.sent, self.distrusted, self.too_large = sent, distrusted, too_large


class Connections:
    """Several threads may ask at once.

    Args:
        server: the address that all paths begin with.
        tls: for an https address.
        name: what the server's certificate calls it; None: the host of the address.
        proxy: what is between, if anything.

    Attributes:
        pool: the same connections, for whoever speaks HTTP with urllib3.

    Raises:
        UnreachableError: a proxy that cannot be.
    """

    def __init__(
        self, server: str, tls: ssl.SSLContext | None, name: str | None, proxy: str | None = None
    ) -> None:
        self._server = server
        settings: dict[str, Any] = {"maxsize": _MOST_KEPT}
        if tls:
            settings["ssl_context"] = tls
            if tls.verify_mode is ssl.CERT_NONE:
                urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
            if name:
                settings["server_hostname"] = name
        self.pool = _through(proxy, settings) if proxy else urllib3.PoolManager(**settings)
        kinds = self.pool.pool_classes_by_scheme
        self.pool.pool_classes_by_scheme = {key: _watched(kinds[key]) for key in kinds}

    def ask(
        self, method: str, path: str, headers: Headers, body: bytes | None, timeout_seconds: float
    ) -> Answer:
        """The answer to one request, which is not repeated, nor sent on to anybody else.

        Raises:
            NoAnswerError: there is none, none in time, or none that is small enough.
        """
        began, said = time.monotonic(), "no answer"
        try:
            answer = self._ask(method, path, headers, body, timeout_seconds)
            said = f"{answer.code}, {len(answer.body):,} bytes"
        except NoAnswerError as error:
            said = f"no answer ({error})"
            raise
        finally:
            took_ms = 1000 * (time.monotonic() - began)
            _log.info("%s %s%s: %s, %.0f ms", method, self._server, path, said, took_ms)
        return answer

    def _ask(
        self, method: str, path: str, headers: Headers, body: bytes | None, timeout_seconds: float
    ) -> Answer:
        said, attempt = urllib3.HTTPHeaderDict(), _Attempt()
        for name, value in headers:
            said.add(name, value)

        def run() -> Answer:
            _this_thread.attempt = attempt
            answer = self.pool.request(
                method,
                f"{self._server}{path}",
                body=body,
                headers=said,
                timeout=timeout_seconds,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            content = bytearray()
            for part in iter(partial(answer.read, _PART_BYTES), b""):
                content += part
                if len(content) > LARGEST_BYTES:
                    answer.close()
                    reason = f"an answer of more than {LARGEST_BYTES:,} bytes"
                    raise NoAnswerError(reason, sent=True, too_large=True)
            return Answer(answer.status, answer.headers, bytes(content))

        late = f"timed out after {timeout_seconds:g} s"
        try:
            return within(timeout_seconds, run)
        except (HTTPError, UnicodeError) as error:
            slow = isinstance(error, TooSlow) and not isinstance(error, NewConnectionError)
            reason, distrusted = late if slow else _reason(error), isinstance(error, SSLError)
            raise NoAnswerError(reason, sent=attempt.sent, distrusted=distrusted) from error
        except BaseException as error:
            attempt.give_up()
            if isinstance(error, TimeoutError):
                raise NoAnswerError(late, sent=attempt.sent) from None
            raise


class _Attempt:
    """A request that one thread sends while another one waits for its answer.

    Attributes:
        sent: whether the server may have got it.
    """

    def __init__(self) -> None:
        self.sent = self._given_up = False
        self._connection: _Watched | None = None
        self._way: socket | None = None

    def send_by(self, connection: "_Watched") -> None:
        """Note the connection before it sends; refuse to send once the request was given up."""
        # A connection forgets its socket where the answer is the last one.
        self.sent, self._connection, self._way = True, connection, connection.sock
        if self._given_up:
            raise TimeoutError

    def give_up(self) -> None:
        """End the wait of the thread: shut its connection down, so that it is never used again."""
        self._given_up = True
        if self._connection is None or self._connection.attempt is not self:
            return  # it was not sent, or was answered just now, and the connection serves another
        if isinstance(self._way, socket):  # TLS in the TLS of a proxy is none
            with suppress(OSError):
                socket.shutdown(self._way, SHUT_RDWR)  # no farewell in TLS, which could block


_this_thread = local()  # has the attempt that it is for, if any: see `within`


class _Watched(HTTPConnection):
    """A connection that tells the request it serves what it sends."""

    attempt: _Attempt | None = None

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        self.attempt = getattr(_this_thread, "attempt", None)
        if self.attempt:
            self.attempt.send_by(self)
        super().send(data)


def _watched(pool: Any) -> Any:
    """A kind of pool, with connections that are watched."""
    connection = type("Watched", (_Watched, pool.ConnectionCls), {})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})


def _through(proxy: str, settings: dict[str, Any]) -> urllib3.PoolManager:
    parts = urlsplit(proxy)
    try:
        if parts.scheme.startswith("socks"):
            from urllib3.contrib.socks import SOCKSProxyManager  # noqa: PLC0415 - needs PySocks

            return SOCKSProxyManager(proxy, **settings)
        if parts.username:
            secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            settings["proxy_headers"] = urllib3.make_headers(proxy_basic_auth=secret)
        return urllib3.ProxyManager(proxy, **settings)
    except ImportError:
        raise unusable("a SOCKS proxy needs the package PySocks") from None
    except (ValueError, HTTPError):
        shown = f"{parts.scheme}://{parts.hostname}"  # without its password
        raise unusable(f"the proxy {shown} is not an address") from None


def _reason(error: BaseException) -> str:
    """What the innermost of the errors says, in short."""
    within_it = (each for each in reversed(error.args) if isinstance(each, Exception))
    if inner := next(within_it, error.__cause__):
        return f"the proxy: {_reason(inner)}" if isinstance(error, ProxyError) else _reason(inner)
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return _PLACE_IN_TLS.sub("", words.rpartition(": ")[2])
