"""The controller's own pages: its metrics, whether it lives, and what others ask it."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from abctl.errors import UsageError

Answer = Callable[[], tuple[HTTPStatus, str, bytes]]
_TIMEOUT_SECONDS = 10.0
_MOST_BODY_BYTES = 65536
_SCHEME = "bearer "


@dataclass(frozen=True)
class Request:
    """What somebody asks, without what they sent along: nothing of that is read.

    >>> Request("GET", "/verdict/models/iris", token="").path
    '/verdict/models/iris'

    Attributes:
        method: of HTTP.
        path: without a query.
        token: the bearer token; empty where there is none.
    """

    method: str
    path: str
    token: str


@dataclass(frozen=True)
class Response:
    """What they are answered.

    >>> Response(HTTPStatus.OK, "text/plain", b"ok").code.value
    200

    Attributes:
        code: of HTTP.
        kind: the type of the content.
        body: the content.
    """

    code: HTTPStatus
    kind: str
    body: bytes


Ask = Callable[[Request], Response]


class _Handler(BaseHTTPRequestHandler):
    """Answers GET of the paths that are known, and what is asked; anything else is not found."""

    answers: dict[str, Answer]
    ask: Ask | None
    timeout = _TIMEOUT_SECONDS  # who never ends a request keeps no thread
    server_version, sys_version = "abctl", ""

    def do_GET(self) -> None:
        """The page of a path, or what is asked."""
        if answer := self.answers.get(self.path.partition("?")[0]):
            self._send(Response(*answer()))
        else:
            self._asked("GET")

    def do_POST(self) -> None:
        """What is asked; what was sent along is read away, so that the answer arrives."""
        given = self.headers.get("Content-Length", "0")
        length = int(given) if given.isascii() and given.isdecimal() else _MOST_BODY_BYTES + 1
        if length > _MOST_BODY_BYTES:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        self.rfile.read(length)
        self._asked("POST")

    def _asked(self, method: str) -> None:
        path, ask = self.path.partition("?")[0], type(self).ask
        if ask is None or not path.startswith(("/verdict/", "/gate/")):
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        given = self.headers.get("Authorization", "")
        token = given[len(_SCHEME) :].strip() if given.lower().startswith(_SCHEME) else ""
        self._send(ask(Request(method, path, token)))

    def _send(self, response: Response) -> None:
        self.send_response(response.code)
        self.send_header("Content-Type", response.kind)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body)

    def log_message(self, *_: Any) -> None:
        """Nothing: whoever asks asks all the time."""


class Pages:
    """A server of pages, until it is closed.

    Args:
        where: `host:port`; port 0 takes a free one.
        answers: by path.
        ask: answers /verdict/ and /gate/; they are not found if None.

    Raises:
        UsageError: it is no address, or is taken.
    """

    def __init__(self, where: str, answers: dict[str, Answer], ask: Ask | None = None) -> None:
        host, _, port = where.rpartition(":")
        hint = "write --listen 0.0.0.0:9464, or another port"
        if not host or not port.isdecimal():
            raise UsageError(f"--listen {where!r}, must be HOST:PORT", hint)
        asking = ask and staticmethod(ask)
        handler = type("Handler", (_Handler,), {"answers": answers, "ask": asking})
        try:
            self._server = ThreadingHTTPServer((host.strip("[]"), int(port)), handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UsageError(f"--listen {where}: {reason}", hint) from None
        self._server.daemon_threads = True
        Thread(target=self._server.serve_forever, name="pages", daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
