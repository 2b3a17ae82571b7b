"""The server: read only, on the loopback address, for browsers that have the token.

A page of somebody else that is open in the same browser can send requests here. It learns nothing:
the token is not in its hands, the cookie is not sent along, and a name of its own that leads to
this address (DNS rebinding) is refused by the Host header.
"""

import hmac
import secrets
from collections.abc import Sequence
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from abctl.report.page.whole import policy
from abctl.ui import pages
from abctl.ui.watched import Watched

ADDRESS = "127.0.0.1"
_SOON_SECONDS = 2.0
_PAGE_WAITS_SECONDS, _OVERVIEW_WAITS_SECONDS = 30.0, 1.0
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": f"{policy()}; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Server(ThreadingHTTPServer):
    """Serves the pages of experiments.

    Args:
        port: of the loopback address; 0: a free one.
        experiments: what is watched.
        every_seconds: how often pages come anew.

    Raises:
        OSError: the port is taken.
    """

    daemon_threads = True
    allow_reuse_address = False

    def __init__(self, port: int, experiments: Sequence[Watched], every_seconds: float) -> None:
        super().__init__((ADDRESS, port), _Handler)
        self.experiments, self.every_seconds = experiments, every_seconds
        self.token = secrets.token_urlsafe(32)
        own = self.server_address[1]
        self.cookie = f"abctl-{own}"  # cookies know no ports
        self.hosts = (f"{ADDRESS}:{own}", f"localhost:{own}")

    @property
    def url(self) -> str:
        """Where it is, with the token."""
        path = f"{pages.PLACE}1" if len(self.experiments) == 1 else "/"
        return f"http://{self.hosts[0]}{path}?token={self.token}"

    def is_token(self, given: str) -> bool:
        """Whether it is the token; how long that takes says nothing."""
        return hmac.compare_digest(given.encode(errors="replace"), self.token.encode())

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that leaves in the middle is nobody's error."""


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = 30  # a connection on which nothing comes

    def do_GET(self) -> None:
        """Answers a browser."""
        if self.headers.get_all("Host", []) not in [[host] for host in self.server.hosts]:
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST, "This is not the address of abctl ui.")
            return
        asked = urlsplit(self.path)
        query = parse_qs(asked.query, keep_blank_values=True)
        if self.server.is_token(query.get("token", [""])[0]):
            self._welcome(asked.path)
        elif not self._knows_token():
            said = "Open the address that abctl ui printed, with its token."
            self._refuse(HTTPStatus.FORBIDDEN, said)
        else:
            try:
                self._answer(asked.path, still="still" in query)
            except OSError:
                raise  # the browser has left
            except Exception as error:  # noqa: BLE001 - of one page, and the others go on
                said = f"This is a bug in abctl: {type(error).__name__} {error}. Please report it."
                self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, said)

    def _welcome(self, path: str) -> None:
        """The token goes from the address, where it would be seen, into a cookie."""
        known = path if self._number(path) is not None else "/"
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", known)
        kept = f"{self.server.cookie}={self.server.token}; Path=/; HttpOnly; SameSite=Strict"
        self.send_header("Set-Cookie", kept)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _knows_token(self) -> bool:
        try:
            found = SimpleCookie(self.headers.get("Cookie", "")).get(self.server.cookie)
        except CookieError:
            return False
        return found is not None and self.server.is_token(found.value)

    def _number(self, path: str) -> int | None:
        """Which experiment a path is of."""
        rest = path.removeprefix(pages.PLACE)
        ones = {str(i): i for i in range(1, len(self.server.experiments) + 1)}
        return ones.get(rest) if rest != path else None

    def _answer(self, path: str, *, still: bool) -> None:
        every, watched = self.server.every_seconds, self.server.experiments
        if path == "/":
            seen = [(each.name, each.seen(_OVERVIEW_WAITS_SECONDS)) for each in watched]
            text, waits = pages.overview(seen, every), any(not of.looks for _, of in seen)
        elif (number := self._number(path)) is not None:
            one = watched[number - 1]
            known = one.seen(_PAGE_WAITS_SECONDS)
            text = pages.experiment(one.name, known, every, alone=len(watched) == 1)
            waits = not known.looks
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "There is no such page.")
            return
        self._send(HTTPStatus.OK, text, _SOON_SECONDS if waits else None if still else every)

    def _refuse(self, status: HTTPStatus, said: str) -> None:
        self._send(status, pages.refused(status.phrase, said), None)

    def _send(self, status: HTTPStatus, text: str, again_seconds: float | None) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        if again_seconds is not None:
            self.send_header("Refresh", f"{again_seconds:.0f}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server refuses by itself: other methods, and what is no HTTP."""
        del message, explain
        status = HTTPStatus(code)
        if status is HTTPStatus.NOT_IMPLEMENTED:
            status = HTTPStatus.METHOD_NOT_ALLOWED
        self.close_connection = True
        self._refuse(status, "Pages can only be read here: GET.")

    def version_string(self) -> str:
        """Says nothing of the Python below."""
        return "abctl"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in http.server
        """Nothing: addresses have the token in them."""
