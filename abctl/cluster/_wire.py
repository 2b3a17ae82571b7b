"""Requests to an API server: what may pass is tried again, with growing pauses."""

import json
import re
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

from urllib3 import HTTPHeaderDict
from urllib3.exceptions import HTTPError, MaxRetryError, NewConnectionError, SSLError

from abctl import __version__
from abctl.cluster import _refusal
from abctl.cluster._access import Access
from abctl.errors import UnreachableError

JSON = "application/json"
_TIMEOUT_SECONDS = 15.0
_PAUSES_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6)
_LONGEST_PAUSE_SECONDS = 10.0
_HINT = "is it the right context (kubectl config get-contexts), and does the cluster run?"
_TLS_HINT = "is it the cluster of this certificate-authority (and of this tls-server-name)?"
_PLACE_IN_TLS = re.compile(r" \(_ssl\.c:\d+\)")


class Wire:
    """Asks an API server.

    Args:
        access: the way to it.
        sleep: waits for some seconds before a request is repeated.
    """

    def __init__(self, access: Access, sleep: Callable[[float], None]) -> None:
        self.access = access
        self._sleep = sleep
        self._answered = False
        self._ahead: float | None = None

    @property
    def ahead_seconds(self) -> float:
        """How much the server's clock is ahead of this machine's, by its first answer.

        It says whole seconds, and nobody knows when on the way: what may be nothing is 0.
        """
        if self._ahead is None:
            self.ask("GET", "/version")
        return self._ahead or 0.0

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content: str = JSON,
        parameters: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """The answer's code and content, whatever it says.

        Raises:
            UnreachableError: there is none.
        """
        url = f"{self.access.server}{path}"
        if parameters:
            url += f"?{urlencode(parameters)}"
        text = None if body is None else json.dumps(body).encode()
        for pause in (*_PAUSES_SECONDS, None):
            asked = time.time()
            try:
                answer = self.access.pool.request(
                    method,
                    url,
                    body=text,
                    headers=self._headers(content if text else None),
                    timeout=_TIMEOUT_SECONDS,
                    retries=False,
                    redirect=False,
                )
            except HTTPError as error:
                refused = isinstance(error, NewConnectionError | MaxRetryError)
                # Where nobody ever answered, waiting is of no use; and of a write that was cut off
                # nobody knows whether it was done.
                if pause is None or not self._answered or not (refused or method == "GET"):
                    raise self._unreachable(error) from error
            else:
                self._answered = True
                if self._ahead is None:
                    self._ahead = _ahead(answer.headers.get("Date", ""), asked, time.time())
                status = _refusal.said(answer.data)
                if pause is None or not _refusal.is_temporary(answer.status, status):
                    return answer.status, status
                pause = max(pause, _retry_after_seconds(answer.headers))  # noqa: PLW2901
            self._sleep(pause)
        raise AssertionError  # the last round returns or raises

    def ask_once(self, path: str, timeout_seconds: float) -> tuple[int, dict[str, Any]]:
        """The answer to GET, whatever it says; nothing is tried again.

        Raises:
            UnreachableError: there is none in time.
        """
        try:
            answer = self.access.pool.request(
                "GET",
                f"{self.access.server}{path}",
                headers=self._headers(None),
                timeout=timeout_seconds,
                retries=False,
                redirect=False,
            )
        except HTTPError as error:
            raise self._unreachable(error) from error
        return answer.status, _refusal.said(answer.data)

    def _headers(self, content: str | None) -> HTTPHeaderDict:
        headers = HTTPHeaderDict({"Accept": JSON, "User-Agent": f"abctl/{__version__}"})
        if content:
            headers["Content-Type"] = content
        for key, value in self.access.login.headers():
            headers.add(key, value)
        return headers

    def _unreachable(self, error: HTTPError) -> UnreachableError:
        reason = str(error).rpartition(": ")[2] or type(error).__name__
        hint = _TLS_HINT if isinstance(error, SSLError) else _HINT
        return UnreachableError(
            f"{self.access.words}: no answer from {self.access.server} "
            f"({_PLACE_IN_TLS.sub('', reason)})",
            f"{hint} What was begun is finished or reverted by the next command",
        )


def _ahead(date: str, asked: float, answered: float) -> float:
    """How much a clock is ahead of ours that said a whole second between two of our moments."""
    try:
        said = parsedate_to_datetime(date).timestamp()
    except ValueError:
        return 0.0
    least, most = said - answered, said + 1.0 - asked
    return 0.0 if least <= 0 <= most else (least + most) / 2


def _retry_after_seconds(headers: Mapping[str, str]) -> float:
    given = headers.get("Retry-After", "")
    return min(float(given), _LONGEST_PAUSE_SECONDS) if given.isdecimal() else 0.0
