"""What stands around MLServer's REST application: it counts answers as the client gets them.

It is outside of everything that MLServer does (decoding, checks, batches, workers, its answers to
errors), and needs nothing of the model. It never holds a body back: parts of it are passed on as
they come, and stop at the limit.
"""

import re
import zlib
from asyncio import sleep
from time import perf_counter

import orjson
from mlserver.errors import MLServerError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ab_runtime.arrival import KEY, REFUSED
from ab_runtime.calls import Call, Counting, current
from ab_runtime.errors import cut

_INFERENCE = re.compile(
    "/v2/models/([^/]+)(?:/versions/[^/]+)?/(?:infer|generate|infer_stream|generate_stream)"
).fullmatch
_BROKEN = "5xx"
_WRONG, _FAULT = 400, 500
_FEEDBACK_BYTES = 1024 * 1024


class RefusedError(Exception):
    """A body that is not read to its end: whoever reads it must stop."""


class Entrance:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, counting: Counting, max_bytes: int) -> None:
        self._app = app
        self._counting = counting
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, and count its answer if it is one of a model."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        match = _INFERENCE(path)
        call = None
        if match is not None and scope["method"] != "OPTIONS":
            began = scope.get("state", {}).get(KEY) or perf_counter()
            call = self._counting.begin(match[1], scope["headers"], began)
        limit = _FEEDBACK_BYTES if path == "/feedback" else self._max_bytes
        exchange = _Exchange(call, limit, receive, send)
        token = current.set(call)
        try:
            await exchange.run(self._app, scope)
        finally:
            current.reset(token)


class _Exchange:
    """One request and its answer, as both pass by."""

    def __init__(self, call: Call | None, limit: int, receive: Receive, send: Send) -> None:
        self._call = call
        self._limit = limit
        self._receive, self._send = receive, send
        self._size = 0
        self._unpack: _Gunzip | None = None
        self._refused: tuple[int, str] | None = None
        self._start: Message | None = None
        self._fault: tuple[Message, Message] | None = None
        self._status = 0
        self._left = False
        self._done = False

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Let an application answer, and see to it that there is an answer and one count."""
        if self._foresee(scope["headers"]):
            await self._answer(*self._over)
            return
        if self._unpack is not None:
            # MLServer would unpack it without a limit.
            kept = [each for each in scope["headers"] if each[0] != b"content-encoding"]
            scope = {**scope, "headers": kept}
        failed = None
        try:
            await app(scope, self.receive, self.send)
        except BaseException as error:  # noqa: BLE001 - it is raised again below
            failed = error
        if self._refused is not None:
            refused, self._refused = self._refused, None
            await self._answer(*refused)
            return
        if self._fault is not None or (failed is not None and self._start is not None):
            await self._explain(failed)
        elif not self._done:
            self._end(_BROKEN)
        if failed is not None:
            raise failed  # for the log

    async def _explain(self, failed: BaseException | None) -> None:
        """Answer an error of which nothing was sent yet, with its own status if it has one.

        An answer in parts may have broken before the first of them, where MLServer has no other
        words than 500.
        """
        fault, self._fault = self._fault, None
        status, reason = _status_of(failed)
        if fault is None or status != _FAULT:
            await self._answer(status, reason)
        else:
            self._start, last = fault
            await self._pass(last)

    def _foresee(self, headers: list[tuple[bytes, bytes]]) -> bool:
        for name, value in headers:
            if name == b"content-length" and value.isdigit() and int(value) > self._limit:
                return True
            if name == b"content-encoding" and b"gzip" in value:
                self._unpack = _Gunzip(self._limit)
        return False

    async def receive(self) -> Message:
        """The next part of the body, unpacked; nothing more once it is refused."""
        message = await self._receive()
        if message["type"] != "http.request":
            self._left = self._left or not self._done
            return message
        body = message.get("body", b"")
        self._size += len(body)
        if self._size > self._limit:
            raise self._refuse(*self._over)
        if self._unpack is not None and body:
            try:
                message = {**message, "body": self._unpack(body)}
            except OverflowError:
                raise self._refuse(*self._over) from None
            except zlib.error as error:
                raise self._refuse(400, f"the body is not gzip: {error}") from None
        return message

    async def send(self, message: Message) -> None:
        """The next part of the answer; its start waits for the first part of its body."""
        if self._refused is not None:
            return
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._start = message
            return
        if self._start is not None and self._status == _FAULT and not message.get("more_body"):
            self._fault, self._start = (self._start, message), None
            return
        await self._pass(message)

    async def _pass(self, message: Message) -> None:
        if self._start is not None:
            start, self._start = self._start, None
            if self._call is not None:
                own = [(k.encode(), v.encode()) for k, v in self._call.headers.items()]
                start["headers"] = [*start.get("headers", ()), *own]
            await self._send(start)
        last = not message.get("more_body", False)
        if last:
            self._see_whether_left()
        else:
            # uvicorn waits while a client reads slowly, and for nothing else: without a turn of the
            # loop nobody would notice that one has left, and no other request would go on.
            await sleep(0)
        await self._send(message)
        if last:
            self._done = True
            self._end("2xx" if self._status < _WRONG else f"{self._status // 100}xx")

    def _see_whether_left(self) -> None:
        # uvicorn tells only those who ask, and asking waits.
        if self._said("disconnected"):
            self._left = True

    def _said(self, what: str) -> bool:
        return getattr(getattr(self._receive, "__self__", None), what, False) is True

    def _end(self, code: str) -> None:
        if self._call is not None:
            left = "4xx" if self._said(REFUSED) else "none"
            self._call.end(left if self._left else code)

    @property
    def _over(self) -> tuple[int, str]:
        return 413, f"the body is larger than {self._limit} bytes, the most that is taken here"

    def _refuse(self, status: int, reason: str) -> RefusedError:
        self._refused = status, reason
        return RefusedError(reason)

    async def _answer(self, status: int, reason: str) -> None:
        body = orjson.dumps({"error": cut(reason)})
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        self._status = status
        self._start = {"type": "http.response.start", "status": status, "headers": headers}
        await self._pass({"type": "http.response.body", "body": body})


def _status_of(error: BaseException | None) -> tuple[int, str]:
    """The HTTP status and the reason of an error that nobody answered."""
    while error is not None:
        if isinstance(error, MLServerError):
            return error.status_code, str(error)
        error = error.__cause__ or error.__context__
    return 500, "Internal Server Error"


class _Gunzip:
    """Unpacks a body part by part, up to a limit."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._gzip = zlib.decompressobj(wbits=31)

    def __call__(self, part: bytes) -> bytes:
        """What a part holds; OverflowError if that is over the limit."""
        found = self._gzip.decompress(part, self._left + 1)
        self._left -= len(found)
        if self._left < 0:
            raise OverflowError
        return found
