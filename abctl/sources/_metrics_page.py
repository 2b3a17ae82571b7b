"""A metrics page, read from its server; and whether what came is one."""

import gzip
import io
import logging
import socket
import ssl
import threading
import time
import zlib
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from abctl.foreign import is_web_page, said
from abctl.sources._page_lines import END, lines_of, sample_of

_log = logging.getLogger(__name__)
LARGEST_BYTES = 2**24
_TIMEOUT_SECONDS = 2.0
_LONGEST_SECONDS = 10.0  # for a page; what Prometheus allows, unless configured otherwise
_PACKED = b"\x1f\x8b"  # how gzip begins
_MOST_QUOTED = 60
_OK, _SERVER_ERROR = 200, 500
_REDIRECTS, _MOST_REDIRECTS = (301, 302, 303, 307, 308), 5
_ACCEPTED = (
    "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=1,*/*;q=0.1"
)
_PROTOBUF = "application/vnd.google.protobuf"


class Page(NamedTuple):
    """What a target answered.

    Attributes:
        text: its metrics page; None where it does not answer with one.
        instead: what else it was that came; empty for silence.
        passing: whether that may be another time otherwise.
    """

    text: str | None = None
    instead: str = ""
    passing: bool = False


_TOO_LARGE = Page(instead=f"a page of more than {LARGEST_BYTES >> 20} MiB")


def page(url: str) -> Page:
    """The page at a URL, or where that leads."""
    for _ in range(_MOST_REDIRECTS):
        answer = _answer(url)
        if isinstance(answer, Page):
            return answer
        url = urljoin(url, answer)
        if urlsplit(url).scheme not in ("http", "https"):
            return Page(instead=f"a redirect to {said(url)}")
    return Page(instead=f"more than {_MOST_REDIRECTS} redirects, the last to {said(url)}")


def _answer(url: str) -> Page | str:
    """What one server says: a page, or where else to ask."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    make = HTTPSConnection if secure else HTTPConnection
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = make(parts.netloc, timeout=_TIMEOUT_SECONDS)
    # The timeout is for each read: who sends a byte now and then never exceeds it.
    timer = threading.Timer(_LONGEST_SECONDS, lambda: _end(way))
    timer.daemon = True
    try:
        connection.connect()
        way = connection.sock  # which the connection forgets once it has an answer
        began = time.monotonic()
        timer.start()
        headers = {"Accept": _ACCEPTED, "Accept-Encoding": "gzip;q=0.5, identity"}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read(LARGEST_BYTES + 1)
    except ssl.SSLCertVerificationError as error:
        return Page(instead=f"a certificate that is not trusted ({error.verify_message})")
    except (OSError, HTTPException, ValueError) as error:
        _log.info("GET %s: no answer (%s)", url, type(error).__name__)
        return Page()
    finally:
        timer.cancel()
        connection.close()
    took = time.monotonic() - began
    _log.info("GET %s: %d, %s bytes, %.0f ms", url, answer.status, len(body), 1000 * took)
    if answer.status in _REDIRECTS and (to := answer.headers.get("Location")):
        return to
    return _page_of(answer, body, in_time=took < _LONGEST_SECONDS)


def _page_of(answer: HTTPResponse, body: bytes, *, in_time: bool) -> Page:
    """What an answer holds."""
    if answer.status != _OK:
        return Page(instead=f"HTTP {answer.status}", passing=answer.status >= _SERVER_ERROR)
    if len(body) > LARGEST_BYTES:
        return _TOO_LARGE
    # Of a page that was cut off the last number may be half of one.
    if answer.length or not in_time:
        return Page(instead="a page that was cut off", passing=True)
    try:
        text = _text_of(answer, body)
    except _UnreadableError as error:
        return Page(instead=str(error))
    kind = answer.headers.get("Content-Type", "").strip().lower()
    if kind.startswith("application/openmetrics-text") and not text.rstrip().endswith(END):
        return Page(instead=f"a page that was cut off: it does not end with {END}", passing=True)
    instead = _instead(text)
    return Page(instead=instead) if instead else Page(text)


class _UnreadableError(Exception):
    """A body that is no text, and what it is."""


def _text_of(answer: HTTPResponse, body: bytes) -> str:
    coding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if coding in ("gzip", "x-gzip") or body.startswith(_PACKED):
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
                body = file.read(LARGEST_BYTES + 1)
        except (OSError, EOFError, zlib.error):
            raise _UnreadableError("a body that says gzip and is not") from None
        if len(body) > LARGEST_BYTES:
            raise _UnreadableError(_TOO_LARGE.instead)
    elif coding != "identity":
        told = f"a body compressed with {said(coding)}, which abctl does not accept"
        raise _UnreadableError(told)
    if answer.headers.get("Content-Type", "").strip().lower().startswith(_PROTOBUF):
        raise _UnreadableError("a page in protobuf, which was not asked for")
    return body.decode(errors="replace")


def _instead(text: str) -> str:
    """What a text is, if it is not a metrics page. A page with one wrong line is a page."""
    if is_web_page(text):
        return said(text)
    first = ""
    for line in lines_of(text):
        first = first or line
        try:
            sample_of(line)
        except ValueError:
            continue
        return ""
    if not first:
        return ""
    kind = "JSON" if first[0] in "{[" else "text"
    return f"{kind}: {said(text)[:_MOST_QUOTED]}"


def _end(way: socket.socket) -> None:
    with suppress(OSError):
        way.shutdown(socket.SHUT_RDWR)
