"""A connection of HTTP/1.1, kept open, and as lean as can be, for it shares the CPU with servers.

Parsing is llhttp's (httptools): a general client takes several times the CPU for each request.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httptools

from abctl.core.address import Entrance

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """Sends one request at a time; opens itself again after it was closed."""

    def __init__(self, entrance: Entrance, timeout_seconds: float) -> None:
        self._entrance, self._timeout_seconds = entrance, timeout_seconds
        self._wire: _Wire | None = None

    async def open(self) -> "_Wire":
        """Connect, if need be.

        Raises:
            OSError: nobody answers.
            TimeoutError: not in time.
        """
        if self._wire is None or self._wire.closed:
            to, loop = self._entrance, asyncio.get_running_loop()
            context = ssl.create_default_context() if to.tls else None
            async with asyncio.timeout(self._timeout_seconds):
                _, self._wire = await loop.create_connection(_Wire, to.host, to.port, ssl=context)
        return self._wire

    async def post(self, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Send JSON and wait for the answer.

        Raises:
            OSError: no connection, or it broke.
            TimeoutError: no answer in time.
        """
        wire = await self.open()
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = (
            f"POST {self._entrance.path}{path} HTTP/1.1\r\nhost: {self._entrance.authority}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n{lines}\r\n"
        )
        begun, url = time.monotonic(), f"{self._entrance.authority}{self._entrance.path}{path}"
        try:
            async with asyncio.timeout(self._timeout_seconds):
                found = await wire.exchange(head.encode() + body)
        except BaseException as error:
            _log.info("POST %s: no answer (%s)", url, type(error).__name__)
            self.close()  # an answer that comes later must not be taken for the next one
            raise
        _log.info("POST %s: %d, %.0f ms", url, found.status, 1000 * (time.monotonic() - begun))
        return found

    def close(self) -> None:
        """Close it, now."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None


class _Wire(asyncio.Protocol):
    def __init__(self) -> None:
        self.closed = False
        self._answer: asyncio.Future[Response] | None = None
        self._headers, self._body = dict[str, str](), b""

    def exchange(self, message: bytes) -> "asyncio.Future[Response]":
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(message)
        return self._answer

    def close(self) -> None:
        self.closed = True
        self._transport.abort()

    def _fail(self, error: OSError) -> None:
        self.closed = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.Transport = transport
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(f"not HTTP: {error}"))
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(ConnectionResetError(str(exc or "closed by the server")))

    def on_message_begin(self) -> None:
        self._headers, self._body = {}, b""

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.close()
        if self._answer is not None and not self._answer.done():
            found = Response(self._parser.get_status_code(), self._headers, self._body)
            self._answer.set_result(found)
