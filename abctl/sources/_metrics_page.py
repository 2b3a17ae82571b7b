"""A metrics page, read from its server; and whether what came is one.

Lines are read by hand: prometheus_client takes over ten times as long, names no line that
is wrong, and renames counters that do not end in `_total`.
"""

import logging
import re
import socket
import threading
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from typing import NamedTuple

from abctl.core.number import parse_number
from abctl.foreign import is_web_page, said

_log = logging.getLogger(__name__)
LARGEST_BYTES = 2**24
_TIMEOUT_SECONDS = 2.0
_LONGEST_SECONDS = 10.0  # for a page; what Prometheus allows, unless configured otherwise
_PACKED = b"\x1f\x8b"  # how gzip begins
_MOST_QUOTED = 60
_LINE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?\s*$", re.ASCII)


class Page(NamedTuple):
    """What a target answered.

    Attributes:
        text: its metrics page; None where it does not answer with one.
        instead: what else it was that came; empty for silence.
    """

    text: str | None = None
    instead: str = ""


def page(address: str) -> Page:
    """The page of a target."""
    connection = HTTPConnection(address, timeout=_TIMEOUT_SECONDS)
    # The timeout is for each read: who sends a byte now and then never exceeds it.
    timer = threading.Timer(_LONGEST_SECONDS, lambda: _end(way))
    timer.daemon = True
    try:
        connection.connect()
        way = connection.sock  # which the connection forgets once it has an answer
        began = time.monotonic()
        timer.start()
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        body = answer.read(LARGEST_BYTES + 1)
    except (OSError, HTTPException, ValueError) as error:
        _log.info("GET http://%s/metrics: no answer (%s)", address, type(error).__name__)
        return Page()
    finally:
        timer.cancel()
        connection.close()
    took_ms = 1000 * (time.monotonic() - began)
    told = (address, answer.status, len(body), took_ms)
    _log.info("GET http://%s/metrics: %d, %s bytes, %.0f ms", *told)
    # Of a page that was cut off the last number may be half of one.
    in_time = time.monotonic() - began < _LONGEST_SECONDS
    whole = not answer.length and in_time and len(body) <= LARGEST_BYTES
    if answer.status != 200 or not whole:  # noqa: PLR2004 - HTTP's own
        return Page()
    coding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if coding != "identity" or body.startswith(_PACKED):
        packed = "gzip" if coding == "identity" else said(coding)
        return Page(instead=f"a body compressed with {packed}, which abctl does not accept")
    text = body.decode(errors="replace")
    instead = _instead(text)
    return Page(instead=instead) if instead else Page(text)


def parted(line: str) -> tuple[str, float]:
    """The series and the value of a line of a page; a time that it gives itself is not used.

    Raises:
        ValueError: it is none.
    """
    parts = _LINE.match(line)
    if parts is None:
        raise ValueError(line)
    return line[: parts.start(3)].rstrip(), parse_number(parts[3])


def _instead(text: str) -> str:
    """What a text is, if it is not a metrics page. A page with one wrong line is a page."""
    if is_web_page(text):
        return said(text)
    lines = [line for line in map(str.strip, text.splitlines()) if line and line[0] != "#"]
    if not lines or any(map(_is_sample, lines)):
        return ""
    kind = "JSON" if lines[0][0] in "{[" else "text"
    return f"{kind}: {said(text)[:_MOST_QUOTED]}"


def _is_sample(line: str) -> bool:
    try:
        parted(line)
    except ValueError:
        return False
    return True


def _end(way: socket.socket) -> None:
    with suppress(OSError):
        way.shutdown(socket.SHUT_RDWR)
