"""When a request arrived: in the socket, not when the server came to read it.

A server that computes, or is stopped, reads late, and what waited meanwhile looks quick to it. The
kernel knows how long ago the last data came, in ticks of a few milliseconds. It is asked only
where nothing was read for some ticks: else nothing can have waited longer.
"""

import asyncio
import socket
import struct
import time
from contextlib import suppress
from time import perf_counter
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

KEY = "ab_began"
"""Where the state of a request's scope has when it arrived, as `perf_counter` gives it."""
REFUSED = "ab_refused"
"""What a request's cycle of uvicorn has where its body was no HTTP, and it was told so (400)."""
_LAST_DATA_MS = struct.Struct("52xI")  # tcpi_last_data_recv of Linux' tcp_info
_TICK_SECONDS = (
    time.clock_getres(time.CLOCK_MONOTONIC_COARSE)  # type: ignore[attr-defined, unused-ignore]
    if hasattr(time, "CLOCK_MONOTONIC_COARSE")
    else 0.004
)
_LATE_SECONDS = 2 * _TICK_SECONDS


class _Reading:
    """When this process read last, and whether it asks the kernel."""

    last = 0.0
    asking = False

    @classmethod
    def done(cls) -> None:
        cls.asking = False


class ArrivalProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, whose requests know when they arrived."""

    def on_message_begin(self) -> None:
        """The first bytes of a request are read."""
        super().on_message_begin()
        now = perf_counter()
        waited = 0.0
        if _Reading.asking or now - _Reading.last > _LATE_SECONDS:
            waited = _waited_seconds(self.transport)
            _Reading.asking = True
            if not waited:
                # What is read at this turn of the loop may have waited; what comes later has not.
                asyncio.get_running_loop().call_soon(_Reading.done)
        _Reading.last = now
        self.scope.setdefault("state", {})[KEY] = now - waited

    def send_400_response(self, msg: str) -> None:
        """What was sent is no HTTP; a request of which it was the body is answered by this."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_started:
            setattr(cycle, REFUSED, True)
        super().send_400_response(msg)


def _waited_seconds(transport: Any) -> float:
    """How long data waited in a socket: zero if under two ticks, or if nobody knows."""
    with suppress(OSError, AttributeError, struct.error):
        sock = transport.get_extra_info("socket")
        found = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_MS.size)
        waited: int = _LAST_DATA_MS.unpack(found)[0]
        if waited >= 1000 * _LATE_SECONDS:
            return waited / 1000
    return 0.0
