"""The page of metrics: MLServer's own, and the variant's counters, as they stood at one moment."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Metric,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.openmetrics import exposition as open_metrics
from prometheus_client.registry import Collector
from starlette.types import Receive, Scope, Send

from ab_runtime.counters import Counters

_OPEN_METRICS = b"application/openmetrics-text; version=1.0.0; charset=utf-8"
_PLAIN = b"text/plain; version=0.0.4; charset=utf-8"
_END = b"# EOF\n"


class _Both(Collector):
    def __init__(self, *collectors: Any) -> None:
        self._collectors = collectors

    def collect(self) -> Iterator[Metric]:
        for each in self._collectors:
            yield from each.collect()


class Page:
    """An ASGI application that answers scrapes.

    With workers, what they count for MLServer is in files; that of the process itself is in none.
    The variant's counters are always in this process, which answers every request.
    """

    def __init__(self, path: str, counters: Counters, workers: bool) -> None:
        self._path = path
        self._counters = counters
        self._workers = workers
        self._own = CollectorRegistry()
        if workers:
            ProcessCollector(registry=self._own)
            PlatformCollector(registry=self._own)

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Answer a scrape, in the format that it asks for."""
        if scope["type"] != "http":
            return
        if scope["path"] != self._path:
            await _answer(send, 404, b"text/plain; charset=utf-8", b"Not Found")
            return
        accepted = b",".join([v for k, v in scope["headers"] if k == b"accept"])
        opened = _OPEN_METRICS.partition(b";")[0] in accepted
        body, opened = self._theirs(opened)
        page = body.removesuffix(_END) + self._counters.page(opened).encode()
        if opened:
            await _answer(send, 200, _OPEN_METRICS, page + _END)
        else:
            await _answer(send, 200, _PLAIN, page)

    def _theirs(self, opened: bool) -> tuple[bytes, bool]:
        registry = self._registry()
        if opened:
            # A runtime may have metrics of its own that this format cannot say.
            with suppress(ValueError):
                return open_metrics.generate_latest(registry), True  # type: ignore[no-untyped-call]
        return generate_latest(registry), False

    def _registry(self) -> Any:
        if not self._workers:
            return REGISTRY
        files = CollectorRegistry()
        MultiProcessCollector(files)  # type: ignore[no-untyped-call]
        return _Both(files, self._own)


async def _answer(send: Send, status: int, content_type: bytes, body: bytes) -> None:
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
