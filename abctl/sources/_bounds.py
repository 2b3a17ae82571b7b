"""Answers with an end: no server keeps us waiting for ever, or fills the memory.

The timeouts of a client are for one read each: who sends a byte now and then never exceeds them.
"""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Any, TypeVar

from requests import RequestException, Response
from requests.exceptions import Timeout

LARGEST_BYTES = 2**28
_PART_BYTES = 2**20
T = TypeVar("T")


class TooLargeError(RequestException):
    """An answer that is larger than any that was asked for."""


def require_bounded(answer: Response, *_: Any, **__: Any) -> None:
    """Read an answer, unpacked, as far as it can be one.

    Raises:
        TooLargeError: it goes on.
    """
    parts, size = [], 0
    for part in answer.iter_content(_PART_BYTES):
        parts.append(part)
        size += len(part)
        if size > LARGEST_BYTES:
            answer.close()
            raise TooLargeError(f"over {LARGEST_BYTES:,} bytes", response=answer)
    answer._content = b"".join(parts)  # noqa: SLF001 - it has no other way to give it back


def within(seconds: float, ask: Callable[[], T]) -> T:
    """What is answered, if it is in time.

    Raises:
        Timeout: it is not; who was asked is left to itself.
    """
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            answer.set_exception(error)

    Thread(target=run, daemon=True).start()  # which nobody waits for at the end
    try:
        return answer.result(seconds)
    except TimeoutError:
        raise Timeout from None
