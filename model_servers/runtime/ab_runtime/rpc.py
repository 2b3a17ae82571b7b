"""What stands around MLServer's gRPC methods: it counts answers as the client gets them."""

from asyncio import CancelledError
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from grpc import StatusCode
from grpc.aio import ServerInterceptor  # type: ignore[import-untyped]
from mlserver.grpc import dataplane_pb2 as pb

from ab_runtime.answers import GRPC_OF_CLIENTS
from ab_runtime.calls import Call, Counting, current
from ab_runtime.errors import cut

_SERVICE = "/inference.GRPCInferenceService/"
_UNARY, _STREAM = f"{_SERVICE}ModelInfer", f"{_SERVICE}ModelStreamInfer"
_OPEN = {
    _UNARY,
    _STREAM,
    *(
        _SERVICE + each
        for each in ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata")
    ),
}
# A client's clock, and how gRPC rounds a timeout up when it tells it to a server.
_EARLY_SECONDS, _EARLY_SHARE = 0.05, 0.02
_CODES = {code.value[0]: code for code in StatusCode}
_CLIENT = {_CODES[each] for each in GRPC_OF_CLIENTS}


class Interceptor(ServerInterceptor):  # type: ignore[misc] # grpc has no types
    """Counts predictions, and closes what manages models."""

    def __init__(self, counting: Counting, admin: bool) -> None:
        self._counting = counting
        self._admin = admin

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """The handler of a method, with a count around it; None answers UNIMPLEMENTED."""
        method = handler_call_details.method
        if not (self._admin or method in _OPEN):
            return None
        handler = await continuation(handler_call_details)
        if handler is None or method not in (_UNARY, _STREAM):
            return handler
        coding = (handler.request_deserializer, handler.response_serializer)
        began = perf_counter()
        if method == _UNARY:
            # As a stream of one, because only then is a message that gRPC refuses noticed here.
            one = self._one(handler.unary_unary, began)
            return grpc.stream_unary_rpc_method_handler(one, *coding)
        many = self._many(handler.stream_stream, began)
        return grpc.stream_stream_rpc_method_handler(many, *coding)

    def _one(self, behavior: Callable[..., Awaitable[Any]], began: float) -> Any:
        async def counted(requests: AsyncIterator[Any], context: Any) -> Any:
            async with self._counted(requests, context, began) as request:
                return await behavior(request, context)

        return counted

    def _many(self, behavior: Callable[..., AsyncIterator[Any]], began: float) -> Any:
        async def counted(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
            async with self._counted(requests, context, began) as first:
                async for response in behavior(_chained(first, requests), context):
                    yield response

        return counted

    @asynccontextmanager
    async def _counted(
        self, requests: AsyncIterator[Any], context: Any, began: float
    ) -> AsyncIterator[pb.ModelInferRequest]:
        """The first message of a request, which is counted when its answer has ended."""
        sent = context.invocation_metadata() or ()
        headers = [(_bytes(each[0]), _bytes(each[1])) for each in sent]
        model, code = "", "5xx"
        call = None
        try:
            request = await _first(requests, context, began)
            model = request.model_name
            call = self._counting.begin(model, headers, began)
            current.set(call)
            yield request
            if call is not None:
                _say(call, context)
            code = _class(context)
        except BaseException as error:
            code = _class(context, error)
            raise
        finally:
            call = call or self._counting.begin(model, headers, began)
            if call is not None:
                call.end(code)


async def _first(requests: AsyncIterator[Any], context: Any, began: float) -> pb.ModelInferRequest:
    try:
        async for request in requests:
            return request
    except DecodeError as error:
        await context.abort(StatusCode.INVALID_ARGUMENT, cut(f"no message of its kind: {error}"))
    if _is_over(context, began):
        await context.abort(StatusCode.CANCELLED, "the client's time was over while it sent")
    # gRPC itself has answered it if it was too large.
    await context.abort(StatusCode.RESOURCE_EXHAUSTED, "no message, or one over the limit")
    raise AssertionError


def _is_over(context: Any, began: float) -> bool:
    """Whether the time that the client gives is over, as the client's clock may have it."""
    left = context.time_remaining()
    return left is not None and left <= _EARLY_SECONDS + _EARLY_SHARE * (perf_counter() - began)


async def _chained(first: Any, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    yield first
    async for each in requests:
        yield each


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode(errors="surrogateescape")


def _say(call: Call, context: Any) -> None:
    sent = context.trailing_metadata() or ()
    kept = [each for each in sent if not each[0].startswith("x-ab-")]
    context.set_trailing_metadata((*kept, *call.headers.items()))


def _class(context: Any, error: BaseException | None = None) -> str:
    # A stream whose client left while it was written is closed, and its call is not done; one that
    # gRPC itself has ended (a message that cannot be written) is closed too, and done.
    left = isinstance(error, GeneratorExit) and not context.done()
    if left or context.cancelled() or isinstance(error, CancelledError):
        return "none"
    code = context.code()
    code = _CODES.get(code, StatusCode.UNKNOWN) if isinstance(code, int) else code
    if code in (None, StatusCode.OK):
        return "2xx" if error is None else "5xx"
    return "4xx" if code in _CLIENT else "5xx"
