"""Requests of made-up users, some at a time, until all are answered or it is of no use to go on."""

import http.client
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from abctl.services._entrance import Entrance

VARIANT = "x-ab-variant"
Headers = Mapping[str, str]

# Polite, and yet a server that does not answer holds up few.
_AT_A_TIME = 8
_TIMEOUT_SECONDS = 4.0
# A variant that is dead fails all of its requests: so many say it as well as a thousand.
_MOST_FAILURES = 8
# How long all may take together; what is on its way then is still waited for.
_LONGEST_SECONDS, _LONGEST_SECONDS_EACH = 5.0, 0.008
_TOLD_SECONDS = 0.2


@dataclass(frozen=True)
class Answer:
    """Which variant answered (empty: it does not say), or what went wrong instead."""

    variant: str
    failure: str = ""


class Asking:
    """Asks an entrance, over and over.

    Args:
        to: where requests go in.
        path: what they ask for.
        host: the Host header; None: that of the entrance.
        report: told how many requests were answered, of how many; never from another thread.
    """

    def __init__(
        self,
        to: Entrance,
        path: str,
        host: str | None,
        report: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> None:
        self._to, self._path = to, to.path + path
        self._host = {"Host": host} if host else {}
        self._report = report

    def all(self, requests: Sequence[Headers]) -> list[Answer | None]:
        """The answer to each; None where it was not asked any more."""
        found: list[Answer | None] = [None] * len(requests)
        todo, over, failed = iter(range(len(requests))), threading.Event(), list[int]()
        end = time.monotonic() + _LONGEST_SECONDS + _LONGEST_SECONDS_EACH * len(requests)
        one_at_a_time = threading.Lock()

        def next_one() -> int | None:
            with one_at_a_time:
                given_up = over.is_set() or time.monotonic() > end
                return None if given_up else next(todo, None)

        def work() -> None:
            with self._line() as ask:
                while (i := next_one()) is not None:
                    found[i] = answer = ask(requests[i])
                    if answer.failure:
                        failed.append(i)
                    if len(failed) >= _MOST_FAILURES:
                        over.set()

        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            try:
                working = [pool.submit(work) for _ in range(_AT_A_TIME)]
                while working:
                    done, left = wait(working, _TOLD_SECONDS)
                    working = list(left)
                    self._report(sum(each is not None for each in found), len(found))
                    for each in done:
                        each.result()
            finally:
                over.set()
        return found

    @contextmanager
    def _line(self) -> Iterator[Callable[[Headers], Answer]]:
        """Asks over one connection, which is kept as long as it holds."""
        kind = http.client.HTTPSConnection if self._to.tls else http.client.HTTPConnection
        connection = kind(self._to.host, self._to.port, timeout=_TIMEOUT_SECONDS)

        def once(headers: Headers) -> Answer:
            connection.request("GET", self._path, headers={**self._host, **headers})
            answer = connection.getresponse()
            answer.read()
            wrong = "" if answer.status == HTTPStatus.OK else f"HTTP {answer.status}"
            return Answer(answer.headers.get(VARIANT, ""), wrong)

        def ask(headers: Headers) -> Answer:
            kept = connection.sock is not None
            try:
                try:
                    return once(headers)
                except (ConnectionError, http.client.HTTPException):
                    connection.close()
                    # A connection that was kept may just have been closed at the other end.
                    if not kept:
                        raise
                    return once(headers)
            except TimeoutError:
                connection.close()
                return Answer("", f"no answer within {_TIMEOUT_SECONDS:g} s")
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                return Answer("", f"no answer ({str(error) or type(error).__name__})")

        try:
            yield ask
        finally:
            connection.close()


def failures(answers: Sequence[Answer | None]) -> list[str]:
    """What went wrong, for each that failed."""
    return [each.failure for each in answers if each is not None and each.failure]
