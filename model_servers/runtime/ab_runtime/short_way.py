"""The short way for plain requests over REST.

Most of the time of a small prediction goes to FastAPI, which checks and copies a request and its
answer several times, and to finding out what to count. This middleware stands before all of it,
answers plain requests itself (the same answer, except for the `ce-*` headers of CloudEvents), and
hands all others on untouched. MLServer's own counters count both alike, and so do the variant's.
"""

# ruff: noqa: SLF001 - MLServer is pinned to one version, and has no public place for a middleware.

import re
from functools import cache
from time import perf_counter
from typing import Any

import orjson
from mlserver import MLServer
from mlserver.errors import ModelNotFound
from prometheus_client import Counter, Summary
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette_exporter import PrometheusMiddleware

from ab_runtime.calls import Call, current
from ab_runtime.runtime import ABRuntime

_PATH = "/v2/models/{model_name}/infer"
_MATCH = re.compile("/v2/models/([^/]+)/infer").fullmatch
_APP_NAME = "mlserver"
_MOST_BYTES = 256 * 1024


class ShortWay:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, server: MLServer) -> None:
        self._app = app
        self._models = server._model_registry
        self._plane = server._data_plane
        prefix = server._settings.metrics_rest_server_prefix
        rest = PrometheusMiddleware(app, app_name=_APP_NAME, prefix=prefix)
        labels = {"method": "POST", "path": _PATH, "status_code": 200, "app_name": _APP_NAME}
        self._rest_count = rest.request_count.labels(**labels)
        self._rest_duration = rest.request_time.labels(**labels)
        self._model_metrics = cache(self._metrics_of)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        start_seconds = perf_counter()
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        match = _MATCH(scope["path"])
        if match is None:
            await self._app(scope, receive, send)
            return
        call = current.get()
        if call is None or not _short(scope["headers"]):
            await self._app(scope, receive, send)
            return
        try:
            model = await self._models.get_model(match[1])
        except ModelNotFound:
            model = None
        if not (isinstance(model, ABRuntime) and model.ready and model.short):
            await self._app(scope, receive, send)
            return
        parts = []
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        body = b"".join(parts)
        answer = self._answer(model, call, body)
        if answer is None:
            await self._app(scope, _again(body, receive), send)
            return
        body = orjson.dumps(answer)
        lines = [
            (b"content-length", str(len(body)).encode()),
            (b"content-type", b"application/json"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": lines})
        await send({"type": "http.response.body", "body": body})
        self._rest_count.inc()
        self._rest_duration.observe(perf_counter() - start_seconds)

    def _answer(self, model: ABRuntime, call: Call, body: bytes) -> dict[str, Any] | None:
        start_seconds = perf_counter()
        try:
            request = orjson.loads(body)
            answered = model.answer(request)
        except orjson.JSONDecodeError:
            return None
        if answered is None:
            return None
        answer, call.predictions = answered
        call.id, call.version, call.inputs = answer["id"], model.version, request["inputs"]
        call.outputs = call.predictions
        answer["parameters"] = call.parameters
        count, duration = self._model_metrics(model.name)
        count.inc()
        duration.observe(perf_counter() - start_seconds)
        return answer

    def _metrics_of(self, name: str) -> tuple[Counter, Summary]:
        labels = {"model": name, "version": None}
        return (
            self._plane._ModelInferRequestSuccess.labels(**labels),
            self._plane._ModelInferRequestDuration.labels(**labels),
        )


def _short(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether it is JSON whose length is said, and small: nothing else is held here."""
    content_type = length = b""
    for name, value in headers:
        if name == b"content-type":
            content_type = value
        elif name == b"content-length":
            length = value
        elif name in (b"content-encoding", b"origin"):  # a page: CORS is MLServer's
            return False
    return content_type == b"application/json" and length.isdigit() and int(length) <= _MOST_BYTES


def _again(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
