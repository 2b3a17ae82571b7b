"""Requests to an API server: what may pass is tried again, with growing pauses."""

import json
import re
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from abctl import __version__
from abctl.cluster import _refusal
from abctl.cluster._access import Access
from abctl.cluster._line import NoAnswerError
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
        self.access, self._line = access, access.line
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
        if parameters:
            path += f"?{urlencode(parameters)}"
        text = None if body is None else json.dumps(body).encode()
        for pause in (*_PAUSES_SECONDS, None):
            asked = time.time()
            try:
                headers = self._headers(content if text else None)
                answer = self._line.ask(method, path, headers, text, _TIMEOUT_SECONDS)
            except NoAnswerError as error:
                # Where nobody ever answered, waiting is of no use; and of a write that was cut off
                # nobody knows whether it was done.
                if pause is None or not self._answered or (error.sent and method != "GET"):
                    raise self._unreachable(error) from error
            else:
                self._answered = True
                if self._ahead is None:
                    self._ahead = _ahead(answer.headers.get("Date", ""), asked, time.time())
                status = _refusal.said(answer.body)
                if answer.code < HTTPStatus.BAD_REQUEST and isinstance(status, _refusal.Quoted):
                    raise _refusal.not_kubernetes(status, self.access.words, self.access.server)
                if pause is None or not _refusal.is_temporary(answer.code, status):
                    return answer.code, status
                wanted = _retry_after_seconds(answer.headers.get("Retry-After", ""))
                pause = max(pause, wanted)  # noqa: PLW2901
            self._sleep(pause)
        raise AssertionError  # the last round returns or raises

    def ask_once(self, path: str, timeout_seconds: float) -> tuple[int, dict[str, Any]]:
        """The answer to GET, whatever it says; nothing is tried again.

        Raises:
            UnreachableError: there is none in time.
        """
        try:
            answer = self._line.ask("GET", path, self._headers(None), None, timeout_seconds)
        except NoAnswerError as error:
            raise self._unreachable(error) from error
        return answer.code, _refusal.said(answer.body)

    def _headers(self, content: str | None) -> list[tuple[str, str]]:
        named = [("Accept", JSON), ("User-Agent", f"abctl/{__version__}")]
        if content:
            named.append(("Content-Type", content))
        return [*named, *self.access.login.headers()]

    def _unreachable(self, error: NoAnswerError) -> UnreachableError:
        reason = str(error).rpartition(": ")[2]
        hint = _TLS_HINT if error.distrusted else _HINT
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


def _retry_after_seconds(given: str) -> float:
    return min(float(given), _LONGEST_PAUSE_SECONDS) if given.isdecimal() else 0.0
