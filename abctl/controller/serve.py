"""The controller's own page: its metrics, and whether it lives."""

from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from abctl.errors import UsageError

Answer = Callable[[], tuple[HTTPStatus, str, bytes]]
_TIMEOUT_SECONDS = 10.0


class _Handler(BaseHTTPRequestHandler):
    """Answers GET of the paths that are known; anything else is not found."""

    answers: dict[str, Answer]
    timeout = _TIMEOUT_SECONDS  # who never ends a request keeps no thread
    server_version, sys_version = "abctl", ""

    def do_GET(self) -> None:
        """The page of a path."""
        answer = self.answers.get(self.path.partition("?")[0])
        if answer is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        code, kind, body = answer()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: whoever asks asks all the time."""


class Pages:
    """A server of pages, until it is closed.

    Args:
        where: `host:port`; port 0 takes a free one.
        answers: by path.

    Raises:
        UsageError: it is no address, or is taken.
    """

    def __init__(self, where: str, answers: dict[str, Answer]) -> None:
        host, _, port = where.rpartition(":")
        hint = "write --listen 0.0.0.0:9464, or another port"
        if not host or not port.isdecimal():
            raise UsageError(f"--listen {where!r}, must be HOST:PORT", hint)
        handler = type("Handler", (_Handler,), {"answers": answers})
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
