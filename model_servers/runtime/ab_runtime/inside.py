"""What is changed inside of a server of MLServer before it starts: no model has to know."""

# ruff: noqa: SLF001 - MLServer is pinned to one version, and has no public place for these.

import logging
from asyncio import shield
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import wraps
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from grpc import aio  # type: ignore[import-untyped]
from mlserver import MLServer, ModelSettings, types
from mlserver.cloudevents import CLOUDEVENTS_HEADER_ID, CLOUDEVENTS_HEADER_REQUEST_ID
from mlserver.errors import MLServerError
from mlserver.grpc import server as grpc_server
from mlserver.handlers import get_custom_handlers
from mlserver.utils import generate_uuid
from numpy import ndarray
from starlette.requests import Request

from ab_runtime.arrival import ArrivalProtocol
from ab_runtime.calls import Counting, current
from ab_runtime.errors import cut
from ab_runtime.feedback import taker
from ab_runtime.page import Page
from ab_runtime.rest import Entrance
from ab_runtime.rpc import Interceptor
from ab_runtime.short_way import ShortWay
from ab_runtime.variant import Limits

_ADMIN = ("/v2/repository/", "/openapi.json")
_LOG = logging.getLogger("mlserver")
_MOST_ERRORS = 10
_OF_IDS = (CLOUDEVENTS_HEADER_ID, CLOUDEVENTS_HEADER_REQUEST_ID)
_LONG = 1000
# The former is what the latter was called once, for both ways.
_OF_ANSWERS = ("grpc.max_message_length", "grpc.max_send_message_length")
_UNLIMITED = (("grpc.max_send_message_length", -1),)


def install(server: MLServer, counting: Counting, limits: Limits) -> None:
    """Count what a server that is not started yet will answer, and close what is no client's."""
    _Watch(server)
    _expect(server, counting)
    _rest(server, counting, limits)
    _grpc(server, counting, limits)
    if server._metrics_server:
        workers = bool(server._settings.parallel_workers)
        path = server._settings.metrics_endpoint
        server._metrics_server._app = Page(path, counting.counters, workers)


class _Watch:
    """Lets a request say its id and its predictions where both are known.

    Names of models that are not here end here: MLServer would make a label of each of them, and
    then look for the model.
    """

    def __init__(self, server: MLServer) -> None:
        self._models = server._model_registry
        plane = server._data_plane
        self._infer, self._infer_stream = plane.infer, plane.infer_stream
        plane.infer, plane.infer_stream = self.infer, self.infer_stream

    async def infer(
        self, payload: types.InferenceRequest, name: str, version: str | None = None
    ) -> types.InferenceResponse:
        """Answer a request."""
        model = await self._models.get_model(name, version)
        call = current.get()
        if call is None:
            return await self._infer(payload, name, version)
        if payload.id is None:
            payload.id = generate_uuid()
        call.id, call.version, call.inputs = payload.id, model.version, payload.inputs
        response = await self._infer(payload, name, version)
        _drop_unsendable(response)
        call.answered(response)
        if response.parameters is None:
            response.parameters = types.Parameters()
        for key, value in call.parameters.items():
            setattr(response.parameters, key, value)
        return response

    async def infer_stream(
        self,
        payloads: AsyncIterator[types.InferenceRequest],
        name: str,
        version: str | None = None,
    ) -> AsyncIterator[types.InferenceResponse]:
        """Answer a request in parts."""
        model = await self._models.get_model(name, version)
        call = current.get()
        if call is not None:
            call.version = model.version
        async for response in self._infer_stream(_identified(payloads), name, version):
            _drop_unsendable(response)
            yield response


def _drop_unsendable(response: types.InferenceResponse) -> None:
    """MLServer repeats the request's id in headers, whatever it is and however long."""
    headers = response.parameters and response.parameters.headers
    for name, value in (headers or {}).copy().items():
        if name in _OF_IDS and not (value.isascii() and value.isprintable() and len(value) < _LONG):
            del headers[name]


async def _identified(
    payloads: AsyncIterator[types.InferenceRequest],
) -> AsyncIterator[types.InferenceRequest]:
    call = current.get()
    async for each in payloads:
        if each.id is None:
            each.id = generate_uuid()
        if call is not None and call.id is None:
            call.id, call.inputs = each.id, each.inputs
        yield each


def _expect(server: MLServer, counting: Counting) -> None:
    """Have the classes of a model at zero as soon as it is loaded, and say what does not count."""
    if server._settings.kafka_enabled:
        _say_uncounted("what comes by Kafka")
    load = server._model_registry.load

    async def loaded(settings: ModelSettings) -> Any:
        model = await load(settings)
        if settings.max_batch_size > 1:
            model.predict = _unbroken(model.predict)
        if counting.counts(model.name):
            counting.counters.expect(_classes(model))
        else:
            _say_uncounted(f"requests for model {model.name}, which AB_MODELS does not name")
        for handler, _ in get_custom_handlers(model):
            _say_uncounted(f"{handler.rest_method} {handler.rest_path} of model {model.name}")
        return model

    server._model_registry.load = loaded


def _unbroken(predict: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    """What answers in batches, for clients that may leave, as those of gRPC do at their deadline.

    Whoever is missing in a batch that MLServer has begun leaves the others in it without an answer.
    """

    @wraps(predict)
    async def whole(payload: Any) -> Any:
        return await shield(predict(payload))

    return whole


def _say_uncounted(what: str) -> None:
    _LOG.warning("not counted: %s", what)


def _rest(server: MLServer, counting: Counting, limits: Limits) -> None:
    rest = server._rest_server
    app = rest._app
    if not limits.admin:
        app.router.routes[:] = [
            each for each in app.routes if not _managing(getattr(each, "path", ""))
        ]
    app.add_exception_handler(MLServerError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    collecting = counting.collecting
    take = collecting.feedback if collecting else taker(counting.variant, counting.counters)
    app.add_api_route("/feedback", take, methods=["POST"])
    configure = rest._get_config

    def configured() -> Any:
        config = configure()
        config.app = Entrance(ShortWay(config.app, server), counting, limits.max_bytes)
        if config.http == "auto":
            config.http = ArrivalProtocol
        return config

    rest._get_config = configured


def _managing(path: str) -> bool:
    return path.startswith(_ADMIN) or "docs" in path.split("/")


def _grpc(server: MLServer, counting: Counting, limits: Limits) -> None:
    if server._settings.grpc_max_message_length is None:
        server._settings.grpc_max_message_length = limits.max_bytes
    grpc_server.aio = _Aio(Interceptor(counting, limits.admin))


class _Aio:
    """Makes gRPC servers as `grpc.aio` does, with an interceptor before all others."""

    def __init__(self, first: Interceptor) -> None:
        self._first = first

    def server(self, pool: Any, interceptors: list[Any], options: Any) -> Any:
        """A server that is not started yet; as by REST, only what clients send has a limit.

        An answer over a limit would be an error for the client, after it was counted as an answer.
        """
        options = [*(each for each in options if each[0] not in _OF_ANSWERS), *_UNLIMITED]
        return aio.server(pool, interceptors=[self._first, *interceptors], options=options)


async def _answer_error(_: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, MLServerError) else 500
    return JSONResponse({"error": cut(str(error))}, status)


async def _answer_invalid(_: Request, error: Exception) -> JSONResponse:
    """What is wrong, and where; never what was sent."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    detail = [
        {
            "type": each["type"],
            "loc": [cut(part) if isinstance(part, str) else part for part in each["loc"][:10]],
            "msg": cut(each["msg"]),
        }
        for each in found[:_MOST_ERRORS]
    ]
    return JSONResponse({"detail": detail}, 422)


def _classes(model: Any) -> list[Any]:
    """The classes that a model of scikit-learn's kind in a runtime says it has."""
    inner = getattr(model, "_model", None)
    found = getattr(inner, "classes_", None)
    return found.tolist() if isinstance(found, ndarray) and found.ndim == 1 else []
