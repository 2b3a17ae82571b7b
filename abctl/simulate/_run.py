"""One run of simulated traffic: connections take what is due, feedback before new requests.

A connection is HTTP/1.1, kept open, and as lean as can be, for it shares the CPU with servers.
Parsing is llhttp's (httptools): a general client takes several times the CPU for each request.
"""

import asyncio
import json
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httptools

from abctl.core.address import Entrance
from abctl.simulate._tally import UNKNOWN, Summary, Tally
from abctl.simulate._traffic import Outcome, Request, Traffic, synthetic_value

Report = Callable[[int, int], None]
TIMEOUT_SECONDS = 10.0
_TICK_SECONDS = 0.1
_RETRY_SECONDS = 0.05  # a dead entrance must not eat the plan within a moment
_OK = range(200, 300)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """Sends one request at a time; opens itself again after it was closed."""

    def __init__(self, entrance: Entrance, timeout_seconds: float) -> None:
        self._entrance = entrance
        self._timeout_seconds = timeout_seconds
        self._wire: _Wire | None = None

    async def open(self) -> "_Wire":
        """Connect, if need be.

        Raises:
            OSError: nobody answers.
            TimeoutError: not in time.
        """
        if self._wire is None or self._wire.closed:
            to = self._entrance
            loop = asyncio.get_running_loop()
            context = ssl.create_default_context() if to.tls else None
            async with asyncio.timeout(self._timeout_seconds):
                _, self._wire = await loop.create_connection(_Wire, to.host, to.port, ssl=context)
        return self._wire

    async def post(self, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Send JSON and wait for the answer.

        Raises:
            OSError: no connection, or it broke.
            TimeoutError: no answer in time.
        """
        wire = await self.open()
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = (
            f"POST {self._entrance.path}{path} HTTP/1.1\r\nhost: {self._entrance.authority}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n{lines}\r\n"
        )
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await wire.exchange(head.encode() + body)
        except BaseException:
            self.close()  # an answer that comes later must not be taken for the next one
            raise

    def close(self) -> None:
        """Close it, now."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None


class _Wire(asyncio.Protocol):
    def __init__(self) -> None:
        self.closed = False
        self._answer: asyncio.Future[Response] | None = None
        self._headers: dict[str, str] = {}
        self._body = b""

    def exchange(self, message: bytes) -> "asyncio.Future[Response]":
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(message)
        return self._answer

    def close(self) -> None:
        self.closed = True
        self._transport.abort()

    def _fail(self, error: OSError) -> None:
        self.closed = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    # asyncio.Protocol

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.Transport = transport
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(f"not HTTP: {error}"))
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(ConnectionResetError(str(exc or "closed by the server")))

    # httptools' callbacks

    def on_message_begin(self) -> None:
        self._headers, self._body = {}, b""

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.close()
        if self._answer is not None and not self._answer.done():
            status = self._parser.get_status_code()
            self._answer.set_result(Response(status, self._headers, self._body))


@dataclass(frozen=True)
class RequestTemplate:
    """What to ask: the path of the model, the header for the user, what feedback tells."""

    path: str
    key: str
    variants: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    effects: Mapping[tuple[str, str], float]


@dataclass(frozen=True, slots=True)
class _Feedback:
    variant: str
    body: bytes


class Run:
    """Made and used within one event loop."""

    def __init__(
        self,
        entrance: Entrance,
        asked: RequestTemplate,
        traffic: Traffic,
        requests: Iterator[Request],
    ) -> None:
        self._asked, self._traffic, self._plan = asked, traffic, requests
        self._connections = [
            Connection(entrance, TIMEOUT_SECONDS) for _ in range(traffic.concurrency)
        ]
        self._tally = Tally(asked.variants)
        self._name = secrets.token_hex(4)  # a server counts the feedback of an id only once
        self._due: asyncio.Queue[Request | _Feedback | None] = asyncio.Queue()
        self._unfinished = 0
        self._planned_all = False
        self._done = 0
        self._asking_seconds = 0.0
        self._loop = asyncio.get_running_loop()

    async def open(self) -> None:
        """Make sure that somebody listens.

        Raises:
            OSError: nobody does.
        """
        await self._connections[0].open()

    async def all(self, report: Report | None, stop: threading.Event) -> Summary:
        """Send everything, or as much as there is time for."""
        traffic, self._start = self._traffic, time.monotonic()
        last = traffic.duration_seconds + 2 * traffic.feedback_delay_seconds + TIMEOUT_SECONDS
        tasks = {self._loop.create_task(self._work(each)) for each in self._connections}
        if traffic.rate_per_second is not None:
            tasks.add(self._loop.create_task(self._arrive()))
        pending = tasks
        try:
            while pending and not stop.is_set() and self._elapsed() < last:
                done, pending = await asyncio.wait(
                    pending, timeout=_TICK_SECONDS, return_when=asyncio.FIRST_EXCEPTION
                )
                for task in done:
                    task.result()
                if report is not None:
                    report(self._done, traffic.planned)
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            for connection in self._connections:
                connection.close()
        interrupted = bool(pending) and stop.is_set()
        synthetic = tuple(each.name for each in self._asked.outcomes if each.kind != "truth")
        return self._tally.summary(self._asking_seconds, traffic.effects, synthetic, interrupted)

    def _elapsed(self) -> float:
        return time.monotonic() - self._start

    def _draw(self) -> Request | None:
        """The next request of the plan, if there is time for it."""
        if self._planned_all:
            return None
        request = next(self._plan, None)
        if request and max(request.due_seconds, self._elapsed()) < self._traffic.duration_seconds:
            self._unfinished += 1
            return request
        self._planned_all = True
        self._end_if_idle()
        return None

    def _end_if_idle(self) -> None:
        if self._planned_all and not self._unfinished:
            for _ in self._connections:
                self._due.put_nowait(None)

    async def _arrive(self) -> None:
        while request := self._draw():
            await asyncio.sleep(request.due_seconds - self._elapsed())
            self._due.put_nowait(request)

    async def _work(self, connection: Connection) -> None:
        while (job := await self._next()) is not None:
            if isinstance(job, _Feedback):
                await self._tell(connection, job)
            else:
                await self._ask(connection, job)
            self._unfinished -= 1
            self._end_if_idle()

    async def _next(self) -> Request | _Feedback | None:
        if self._traffic.rate_per_second is None and self._due.empty():
            request = self._draw()
            if request is not None:
                return request
        return await self._due.get()

    async def _ask(self, connection: Connection, request: Request) -> None:
        sent = self._elapsed()
        if sent >= self._traffic.duration_seconds:
            self._tally.error(UNKNOWN, "unsent")
            return
        meant = sent if self._traffic.rate_per_second is None else request.due_seconds
        values = ",".join(map(str, request.features))
        body = (
            '{"inputs":[{"name":"predict","datatype":"FP32",'
            f'"shape":[1,{len(request.features)}],"data":[{values}]}}]}}'
        )
        headers = {self._asked.key: request.user} if request.user and self._asked.key else {}
        response = await self._post(connection, self._asked.path, headers, body.encode())
        self._done += 1
        self._asking_seconds = self._elapsed()
        if isinstance(response, str):
            self._tally.error(UNKNOWN, response)
            return
        variant = response.headers.get("x-ab-variant", UNKNOWN)
        prediction = _prediction(response)
        if response.status not in _OK or prediction is None:
            what = f"{response.status // 100}xx" if response.status not in _OK else "unreadable"
            self._tally.error(variant, what)
            return
        self._tally.answer(variant, request.user, self._elapsed() - meant)
        in_bucket = response.headers.get("x-ab-bucket") != "none"
        self._plan_feedback(request, variant, prediction, request.user if in_bucket else None)

    def _plan_feedback(
        self, request: Request, variant: str, prediction: Any, user: str | None
    ) -> None:
        for outcome, coin in zip(self._asked.outcomes, request.coins, strict=True):
            effect = self._asked.effects.get((variant, outcome.name), 0.0)
            made_up = bool(effect)
            if outcome.kind == "truth":
                right = prediction == request.label
                value, made_up = self._tally.truth(variant, right, coin, effect)
            else:
                value = synthetic_value(outcome, request.trait, coin, effect)
            self._tally.feedback_due(variant, made_up=made_up)
            if variant == UNKNOWN:
                continue  # nothing says where it would have to go
            told = {
                "variant": variant,
                "user": user,
                "outcome": outcome.name,
                "value": value,
                "id": f"{self._name}-{request.index}",
            }
            self._unfinished += 1
            self._loop.call_later(
                request.feedback_delay_seconds,
                self._due.put_nowait,
                _Feedback(variant, json.dumps(told).encode()),
            )

    async def _tell(self, connection: Connection, feedback: _Feedback) -> None:
        headers = {"x-ab-variant": feedback.variant}
        response = await self._post(connection, "/feedback", headers, feedback.body)
        if not isinstance(response, str) and response.status in _OK:
            self._tally.feedback_sent(feedback.variant)

    @staticmethod
    async def _post(
        connection: Connection, path: str, headers: Mapping[str, str], body: bytes
    ) -> Response | str:
        try:
            return await connection.post(path, headers, body)
        except TimeoutError:
            return "timeout"
        except OSError:
            await asyncio.sleep(_RETRY_SECONDS)
            return "connection"


def _prediction(response: Response) -> Any:
    try:
        return json.loads(response.body)["outputs"][0]["data"][0]
    except (ValueError, LookupError, TypeError):
        return None
