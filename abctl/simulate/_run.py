"""One run of simulated traffic: connections take what is due, feedback before new requests."""

import asyncio
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from abctl.core.address import Entrance
from abctl.core.assignment import BUCKET_HEADER, TOKEN_HEADER, VARIANT_HEADER
from abctl.simulate._connection import Connection, Response
from abctl.simulate._tally import UNKNOWN, Summary, Tally
from abctl.simulate._traffic import (
    Outcome,
    Request,
    Traffic,
    distance,
    is_right,
    prediction_of,
    synthetic_value,
)

Report = Callable[[int, int], None]
TIMEOUT_SECONDS = 10.0
_TICK_SECONDS = 0.1
_RETRY_SECONDS = 0.05  # a dead entrance must not eat the plan within a moment
_OK = range(200, 300)


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
        synthetic = tuple(each.name for each in self._asked.outcomes if not each.needs_truth)
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
        headers = {self._asked.key: request.user} if request.user and self._asked.key else {}
        response = await self._post(connection, self._asked.path, headers, request.body)
        self._done += 1
        self._asking_seconds = self._elapsed()
        if isinstance(response, str):
            self._tally.error(UNKNOWN, response)
            return
        variant = response.headers.get(VARIANT_HEADER, UNKNOWN)
        prediction = prediction_of(response.body)
        if response.status not in _OK or prediction is None:
            what = f"{response.status // 100}xx" if response.status not in _OK else "unreadable"
            self._tally.error(variant, what, response.body)
            return
        self._tally.answer(variant, request.user, self._elapsed() - meant)
        in_bucket = response.headers.get(BUCKET_HEADER) != "none"
        user = request.user if in_bucket else None
        token = response.headers.get(TOKEN_HEADER)
        self._plan_feedback(request, (variant, user, token), prediction)

    def _plan_feedback(
        self, request: Request, answer: tuple[str, str | None, str | None], prediction: Any
    ) -> None:
        variant, user, token = answer
        for outcome, coin in zip(self._asked.outcomes, request.coins, strict=True):
            effect = self._asked.effects.get((variant, outcome.name), 0.0)
            made_up = bool(effect)
            if outcome.needs_truth:
                if request.label is None:
                    continue  # nobody knows the truth
                if outcome.kind == "truth":
                    right = is_right(prediction, request.label)
                    value, made_up = self._tally.truth(variant, right, coin, effect)
                else:
                    squared = outcome.name.startswith("squared")
                    far = distance(prediction, request.label, squared=squared)
                    if far is None:
                        continue
                    value = far + effect
            else:
                value = synthetic_value(outcome, request.trait, coin, effect)
            self._tally.feedback_due(variant, made_up=made_up)
            if variant == UNKNOWN:
                continue  # nothing says where it would have to go
            told = {
                **({"token": token} if token else {"variant": variant, "user": user}),
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
        headers = {VARIANT_HEADER: feedback.variant}
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
