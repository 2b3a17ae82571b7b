"""Answers of a source, as they come in: with an end, whole, and logged."""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from requests import RequestException, Response
from requests.exceptions import Timeout

from abctl import waiting

_log = logging.getLogger(__name__)
LARGEST_BYTES = 2**28
_PART_BYTES = 2**20
# Of a time of which nobody has anything, an empty answer as everywhere else; and what Prometheus 2
# says of names, which later versions tell apart from warnings.
_HARMLESS = ("no storeapis matched for this query", "promql info:")
T = TypeVar("T")


class RefusedError(RequestException):
    """An answer that says why there is none."""

    response: Response


class IncompleteError(RequestException):
    """An answer that is not all there is, in the words of who gave it."""


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


def log_answer(answer: Response, *_: Any, **__: Any) -> None:
    """Say what was asked of whom, and what came of it."""
    asked, took_ms = answer.request, 1000 * answer.elapsed.total_seconds()
    told = (asked.method, answer.url.partition("?")[0], answer.status_code, len(answer.content))
    _log.info("%s %s: %d, %s bytes, %.0f ms", *told, took_ms)
    for query in parse_qs(urlsplit(answer.url).query).get("query", ()):
        _log.debug("query=%s", query)


def require_good(answer: Response, *_: Any, **__: Any) -> None:
    """What was asked for is 200; what leads elsewhere is an error of the session.

    Raises:
        RefusedError: anything else.
    """
    if answer.status_code != HTTPStatus.OK and not answer.is_redirect:
        raise RefusedError(response=answer)


def require_whole(answer: Response, *_: Any, **__: Any) -> None:
    """Answers with warnings lack something: what a store that is not there would have said."""
    # Large ones are not parsed for that.
    if not any(word in answer.content for word in (b'"warnings"', b'"isPartial":true')):
        return
    try:
        said = answer.json()
        warnings = said.get("warnings") or ()
    except (ValueError, AttributeError, RecursionError):
        return  # no answer of Prometheus at all, which others find out
    told = [str(w) for w in warnings if not any(h in str(w).lower() for h in _HARMLESS)]
    if said.get("isPartial"):
        told.append("the answer is partial")
    if told:
        raise IncompleteError("; ".join(told), response=answer)


def within(seconds: float, ask: Callable[[], T]) -> T:
    """What is answered, if it is in time; too late is an error of the client's own kind.

    Raises:
        Timeout: it is not; who was asked is left to itself.
    """
    try:
        return waiting.within(seconds, ask)
    except TimeoutError:
        raise Timeout from None
