"""Answers with an end: no server keeps us waiting for ever, or fills the memory."""

from collections.abc import Callable
from typing import Any, TypeVar

from requests import RequestException, Response
from requests.exceptions import Timeout

from abctl import waiting

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
    """What is answered, if it is in time; too late is an error of the client's own kind.

    Raises:
        Timeout: it is not; who was asked is left to itself.
    """
    try:
        return waiting.within(seconds, ask)
    except TimeoutError:
        raise Timeout from None
