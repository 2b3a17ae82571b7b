"""The short way for plain requests over REST.

Most of the time of a small prediction goes to FastAPI, which checks and copies a request and its
answer several times. This route stands before MLServer's own for the same path, answers plain
requests itself (the same answer, except for the `ce-*` headers of CloudEvents), and hands all
others on untouched. MLServer's counters count both alike.
"""

# ruff: noqa: SLF001 - MLServer is pinned to one version, and has no public place for a route.

from collections.abc import Mapping
from time import perf_counter
from typing import Any

import orjson
from mlserver import MLServer
from mlserver.errors import ModelNotFound
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from ab_runtime.runtime import ABRuntime

PATH = "/v2/models/{model_name}/infer"


def add(server: MLServer) -> None:
    """Put the route before all others of a server that is not started yet."""
    routes = server._rest_server._app.router.routes
    general = next(route for route in routes if route.path == PATH)
    routes.insert(0, Route(PATH, InferRoute(server, general), methods=["POST"]))


class InferRoute:
    """An ASGI application for one path."""

    def __init__(self, server: MLServer, general: Route) -> None:
        self._models = server._model_registry
        self._plane = server._data_plane
        self._general = general

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        answer = await self._answer(scope, body)
        if answer is None:
            scope.update(self._general.matches(scope)[1])
            await self._general.handle(scope, _again(body, receive), send)
            return
        content, headers = answer
        body = orjson.dumps(content)
        lines = [(name.encode(), value.encode()) for name, value in headers.items()]
        lines.append((b"content-length", str(len(body)).encode()))
        lines.append((b"content-type", b"application/json"))
        await send({"type": "http.response.start", "status": 200, "headers": lines})
        await send({"type": "http.response.body", "body": body})

    async def _answer(
        self, scope: Scope, body: bytes
    ) -> tuple[dict[str, Any], Mapping[str, str]] | None:
        start_seconds = perf_counter()
        # Of a header that is there twice, the first counts, as in Starlette.
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in reversed(scope["headers"])}
        if headers.get("content-type") != "application/json":
            return None
        name = scope["path_params"]["model_name"]
        try:
            model = await self._models.get_model(name)
            request = orjson.loads(body)
        except (ModelNotFound, orjson.JSONDecodeError):
            return None
        if not (isinstance(model, ABRuntime) and model.ready):
            return None
        answer = model.answer(request, headers)
        if answer is not None:
            labels = {"model": name, "version": None}
            self._plane._ModelInferRequestSuccess.labels(**labels).inc()
            duration = self._plane._ModelInferRequestDuration.labels(**labels)
            duration.observe(perf_counter() - start_seconds)
        return answer


def _again(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
