"""The short way for plain requests over REST.

Most of the time of a small prediction goes to FastAPI, which checks and copies a request and its
answer several times, and to finding out what to count. This middleware stands before all of it,
answers plain requests itself (the same answer, except for the `ce-*` headers of CloudEvents), and
hands all others on untouched. MLServer's own counters count both alike.
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

from ab_runtime.runtime import ABRuntime

_PATH = "/v2/models/{model_name}/infer"
_MATCH = re.compile("/v2/models/([^/]+)/infer").fullmatch
_APP_NAME = "mlserver"


def add(server: MLServer) -> None:
    """Put the middleware before all others of a server that is not started yet."""
    server._rest_server._app.add_middleware(ShortWay, server=server)


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
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        answer = await self._answer(match[1], scope, body)
        if answer is None:
            await self._app(scope, _again(body, receive), send)
            return
        content, headers = answer
        body = orjson.dumps(content)
        lines = [(name.encode(), value.encode()) for name, value in headers.items()]
        lines.append((b"content-length", str(len(body)).encode()))
        lines.append((b"content-type", b"application/json"))
        await send({"type": "http.response.start", "status": 200, "headers": lines})
        await send({"type": "http.response.body", "body": body})
        self._rest_count.inc()
        self._rest_duration.observe(perf_counter() - start_seconds)

    async def _answer(
        self, name: str, scope: Scope, body: bytes
    ) -> tuple[dict[str, Any], dict[str, str]] | None:
        start_seconds = perf_counter()
        # Of a header that is there twice, the first counts, as in Starlette.
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in reversed(scope["headers"])}
        if headers.get("content-type") != "application/json":
            return None
        try:
            model = await self._models.get_model(name)
            request = orjson.loads(body)
        except (ModelNotFound, orjson.JSONDecodeError):
            return None
        if not (isinstance(model, ABRuntime) and model.ready):
            return None
        answer = model.answer(request, headers)
        if answer is not None:
            count, duration = self._model_metrics(name)
            count.inc()
            duration.observe(perf_counter() - start_seconds)
        return answer

    def _metrics_of(self, name: str) -> tuple[Counter, Summary]:
        labels = {"model": name, "version": None}
        return (
            self._plane._ModelInferRequestSuccess.labels(**labels),
            self._plane._ModelInferRequestDuration.labels(**labels),
        )


def _again(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
