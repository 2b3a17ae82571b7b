"""Requests to an API server: what may pass is tried again, with growing pauses.

Of a write that was cut off, or that somebody on the way gave up on, nobody knows whether it was
done. It is read back before anything is said or sent again: else one's own success would look like
the change of somebody else.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from abctl.cluster import _refusal
from abctl.cluster._access import Access
from abctl.cluster._connections import NoAnswerError
from abctl.errors import UnreachableError
from abctl.version import __version__
from abctl.waiting import in_pod

JSON = "application/json"
_log = logging.getLogger(__name__)
Done = Callable[[], dict[str, Any] | None]
_TIMEOUT_SECONDS = 15.0
_LONGEST_SECONDS = 30.0  # after so long no request is sent again, whoever does not answer
_PAUSES_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6)
# In a new pod network policies may open the way only after a while.
_FIRST_PAUSES_SECONDS = (*_PAUSES_SECONDS, 3.2, 6.4, 12.8)
_LONGEST_PAUSE_SECONDS = 10.0
_HINT = "is it the right context (kubectl config get-contexts), and does the cluster run?"
_TLS_HINT = "is it the cluster of this certificate-authority (and of this tls-server-name)?"


@dataclass(frozen=True, kw_only=True)
class _Try:
    """What came of a request that was sent once.

    Attributes:
        code, status: the answer; 0 where there is none.
        failed: why there is none.
        wait_seconds: how long the server wants us to wait.
        may_pass: whether the same request may succeed a little later.
        may_be_done: whether it is a write that may have been done, though nobody said so.
    """

    code: int = 0
    status: dict[str, Any] = field(default_factory=dict)
    failed: UnreachableError | None = None
    wait_seconds: float = 0.0
    may_pass: bool
    may_be_done: bool

    @property
    def good(self) -> bool:
        return self.failed is None and self.code < HTTPStatus.BAD_REQUEST


class ApiClient:
    """Asks an API server.

    Args:
        access: the way to it.
        sleep: waits for some seconds before a request is repeated.
        guard: called before each write is sent, also again; it may refuse by an error.
    """

    def __init__(
        self,
        access: Access,
        sleep: Callable[[float], None],
        guard: Callable[[], None] = lambda: None,
    ) -> None:
        self.access, self._connections = access, access.connections
        self._sleep, self._guard = sleep, guard
        self._answered = False
        # By the clock that is never set: when an answer came, and what time it was there.
        self._moment: tuple[float, float] | None = None

    def now(self) -> float:
        """The server's clock (unix seconds), by its last answer.

        It says whole seconds, and nobody knows when on the way: where that of this machine may be
        the same, it is taken. In between, time goes on as it does here, whatever a clock is set to.
        """
        if self._moment is None:
            self.ask("GET", "/version")
        if self._moment is None:  # no answer says when it was made
            return time.time()
        then, said = self._moment
        return said + (time.monotonic() - then)

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content: str = JSON,
        parameters: Mapping[str, str] | None = None,
        done: Done | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """The answer's code and content, whatever it says.

        Args:
            method: of HTTP.
            path: below the server's address.
            body: what is sent, as plain data.
            content: its type.
            parameters: of the query.
            done: reads back what a write should have made, and gives it; None where it has not.

        Raises:
            UnreachableError: there is none.
        """
        if parameters:
            path += f"?{urlencode(parameters)}"
        text = None if body is None else json.dumps(body).encode()
        in_doubt, began = False, time.monotonic()
        pauses = _PAUSES_SECONDS if self._answered or not in_pod() else _FIRST_PAUSES_SECONDS
        for pause in (*pauses, None):
            tried = self._try(method, path, content, text)
            in_doubt |= tried.may_be_done
            if in_doubt and done and not tried.good and (found := done()) is not None:
                _log.info("%s %s: read back, it was done", method, path)
                return HTTPStatus.OK, found
            # A write that nobody can read back is not sent twice.
            lost = tried.failed is not None and tried.may_be_done and done is None
            spent = time.monotonic() - began >= _LONGEST_SECONDS
            if pause is None or lost or spent or not tried.may_pass:
                if tried.failed:
                    raise tried.failed
                return tried.code, tried.status
            seconds = max(pause, tried.wait_seconds)
            _log.info("%s %s: again in %g s", method, path, seconds)
            self._sleep(seconds)
        raise AssertionError  # the last round returns or raises

    def _try(self, method: str, path: str, content: str, text: bytes | None) -> "_Try":
        asked, write = time.monotonic(), method != "GET"
        if write:
            self._guard()
        headers = self._headers(content if text else None)
        try:
            answer = self._connections.ask(method, path, headers, text, _TIMEOUT_SECONDS)
        except NoAnswerError as error:
            # Where nobody ever answered, waiting is of no use, but in a pod that may be new.
            return _Try(
                failed=self._unreachable(error),
                may_pass=(self._answered or in_pod()) and not error.too_large,
                may_be_done=write and error.sent,
            )
        self._answered = True
        said = _time_of(answer.headers.get("Date", ""), time.monotonic() - asked)
        self._moment = (time.monotonic(), said) if said is not None else self._moment
        status = _refusal.said(answer.body)
        if answer.code < HTTPStatus.BAD_REQUEST and isinstance(status, _refusal.Quoted):
            raise _refusal.not_kubernetes(status, self.access.words, self.access.server)
        return _Try(
            code=answer.code,
            status=status,
            wait_seconds=_retry_after_seconds(answer.headers.get("Retry-After", "")),
            may_pass=_refusal.is_temporary(answer.code, status),
            may_be_done=write and _refusal.may_be_done(answer.code, status),
        )

    def ask_once(self, path: str, timeout_seconds: float) -> tuple[int, dict[str, Any]]:
        """The answer to GET, whatever it says; nothing is tried again.

        Raises:
            UnreachableError: there is none in time.
        """
        try:
            answer = self._connections.ask("GET", path, self._headers(None), None, timeout_seconds)
        except NoAnswerError as error:
            raise self._unreachable(error) from error
        return answer.code, _refusal.said(answer.body)

    def _headers(self, content: str | None) -> list[tuple[str, str]]:
        named = [("Accept", JSON), ("User-Agent", f"abctl/{__version__}")]
        if content:
            named.append(("Content-Type", content))
        return [*named, *self.access.credentials.headers()]

    def _unreachable(self, error: NoAnswerError) -> UnreachableError:
        hint = _TLS_HINT if error.distrusted else _HINT
        return UnreachableError(
            f"{self.access.words}: no answer from {self.access.server} ({error})",
            f"{hint} What was begun is finished or reverted by the next command",
        )


def _time_of(date: str, took_seconds: float) -> float | None:
    """What time it is now at a server that said a whole second on the way of its answer."""
    try:
        said = parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None
    here, least, most = time.time(), said, said + 1.0 + took_seconds
    return here if least <= here <= most else (least + most) / 2


def _retry_after_seconds(given: str) -> float:
    return min(float(given), _LONGEST_PAUSE_SECONDS) if given.isdecimal() else 0.0
