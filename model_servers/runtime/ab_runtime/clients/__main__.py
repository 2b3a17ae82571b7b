"""`python -m ab_runtime.clients`: counts the access log of the proxy, and shows a page of counters.

A small process of its own. The proxy sends it lines over gRPC, or writes them to a file in memory,
and loses them rather than wait for it. The ids of users are in these lines: they are hashed to
buckets at once, and kept nowhere.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc  # type: ignore[import-untyped]
import uvicorn
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from prometheus_client import REGISTRY, generate_latest
from starlette.types import Receive, Scope, Send

from ab_runtime.clients.counting import Counting
from ab_runtime.clients.entries import METHOD, entries
from ab_runtime.clients.following import Following
from ab_runtime.errors import StartError
from ab_runtime.variant import Variant

_LAST_PORT = 65_535
_FILE = "file:"
_LOOK_SECONDS = 0.1
_PLAIN = b"text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Settings:
    """What the environment says.

    Attributes:
        variants: AB_VARIANTS, commas between.
        rules: AB_SALT and AB_BUCKETS.
        log: AB_LOG_ADDRESS, where the proxy sends its log: `unix-abstract:NAME` or HOST:PORT over
            gRPC, or `file:PATH`.
        host, port: AB_PAGE, where the page is: HOST:PORT.
    """

    variants: tuple[str, ...]
    rules: Variant
    log: str
    host: str
    port: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read them.

        Raises:
            StartError: one is missing or wrong.
        """
        found = {name: environment.get(name, "") for name in ("AB_VARIANTS", "AB_LOG_ADDRESS")}
        for name, value in found.items():
            if not value:
                raise StartError(f"{name} is not set")
        page = environment.get("AB_PAGE", "")
        host, _, port = page.rpartition(":")
        if not (host and port.isdecimal() and 0 < int(port) <= _LAST_PORT):
            raise StartError(f"AB_PAGE={page!r}, must be HOST:PORT")
        variants = tuple(found["AB_VARIANTS"].split(","))
        if "" in variants or len({*variants}) != len(variants):
            raise StartError(f"AB_VARIANTS={found['AB_VARIANTS']!r}, must be names, none twice")
        rules = Variant.from_environment({**environment, "AB_VARIANT": variants[0]})
        return cls(variants, rules, found["AB_LOG_ADDRESS"], host, int(port))


class Log(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc has no types
    """Takes the log: a stream of messages from each thread of the proxy."""

    def __init__(self, counting: Counting) -> None:
        self._counting = counting

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The handler of the one method that there is."""
        if handler_call_details.method != METHOD:
            return None
        return grpc.stream_unary_rpc_method_handler(self._read)

    async def _read(self, messages: AsyncIterator[bytes], context: Any) -> bytes:
        async for message in messages:
            try:
                for line, unit, timeout in entries(message):
                    self._counting.count(line, unit, timeout)
            except DecodeError:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no access log")
        return b""


def page(
    counting: Counting, following: Following | None = None
) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """An ASGI application: the page of counters at /metrics, and /ready."""

    async def app(scope: Scope, _: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == "/metrics":
            # With the process' own, which say since when it counts.
            lost = following.text() if following else ""
            body = generate_latest(REGISTRY) + f"{counting.page()}{lost}".encode()
            await _answer(send, 200, body)
        else:
            await _answer(send, *((200, b"ready") if scope["path"] == "/ready" else (404, b"")))

    return app


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", _PLAIN), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def serve(settings: Settings) -> None:
    """Count until a signal comes.

    Raises:
        StartError: another process has the log's address, or it is none.
    """
    counting = Counting(settings.variants, settings.rules)
    if settings.log.startswith(_FILE):
        following = Following(settings.log.removeprefix(_FILE), counting.count)
        reading = asyncio.create_task(_follow(following))
        showing = asyncio.create_task(_show(settings, page(counting, following)))
        await asyncio.wait((reading, showing), return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            reading.cancel()
            return
        # Nobody shall take it for one that counts.
        await reading
    # Two that shared it in silence would each count a part.
    server = grpc.aio.server(handlers=[Log(counting)], options=(("grpc.so_reuseport", 0),))
    try:
        server.add_insecure_port(settings.log)
    except RuntimeError:
        raise StartError(f"AB_LOG_ADDRESS={settings.log}: no address, or in use") from None
    await server.start()
    try:
        await _show(settings, page(counting))
    finally:
        await server.stop(None)


async def _follow(following: Following) -> None:
    while True:
        # The page is shown between two parts of a long log.
        pause_seconds = 0 if following.read() else _LOOK_SECONDS
        await asyncio.sleep(pause_seconds)


async def _show(settings: Settings, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
    config = uvicorn.Config(app, settings.host, settings.port, lifespan="off", log_level="warning")
    await uvicorn.Server(config).serve()


def main() -> None:
    """Run it."""
    try:
        asyncio.run(serve(Settings.from_environment(os.environ)))
    except StartError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
