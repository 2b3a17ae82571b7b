"""Whom a server tells the collector of: each user once, or again where returns count."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from ab_runtime import collecting as module
from ab_runtime.collecting import Collecting, Exposure, Exposures
from ab_runtime.token import Keys

KEYS = Keys(b"u" * 32, {"a": b"s" * 32}, "a")


def told(waiting: Exposures) -> list[tuple[str, int]]:
    found = waiting.next()
    waiting.told(found)
    return [(each.unit, each.at_ms) for each in found]


def test_a_user_is_told_of_once() -> None:
    waiting = Exposures()
    for at_ms in (1000, 2000, 90_000_000):
        waiting.add(Exposure("u", "1", at_ms))
        assert told(waiting) == ([("u", 1000)] if at_ms == 1000 else [])


def test_where_returns_count_a_user_is_told_of_again_after_a_while() -> None:
    waiting = Exposures()
    waiting.add(Exposure("u", "1", 1000))
    assert told(waiting) == [("u", 1000)]
    waiting.again_ms = 500
    waiting.add(Exposure("u", "1", 1499))
    assert told(waiting) == []
    waiting.add(Exposure("u", "1", 1500))
    waiting.add(Exposure("u", "1", 1600))
    assert told(waiting) == [("u", 1500)]
    waiting.add(Exposure("u", "1", 1999))
    assert told(waiting) == []


@asynccontextmanager
async def told_to(answer: Callable[[list[str]], str]) -> AsyncIterator[Collecting]:
    """A server's way to a collector that answers so to the units that it is told of."""

    async def exposures(request: web.Request) -> web.Response:
        units = json.loads(await request.read())["units"]
        return web.Response(text=answer([unit for unit, *_ in units]))

    app = web.Application()
    app.router.add_post("/exposures", exposures)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield Collecting(f"http://127.0.0.1:{runner.addresses[0][1]}", KEYS, "control")
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("page", ["<html>try again later</html>", "[]", '{"againSeconds": "1"}'])
def test_what_no_collector_answered_is_told_again(
    monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    monkeypatch.setattr(module, "_EVERY_SECONDS", 0.01)
    seen: list[list[str]] = []
    again = asyncio.Event()

    def answer(units: list[str]) -> str:
        seen.append(units)
        if len(seen) > 1:
            again.set()
        return page if len(seen) == 1 else '{"late": 0, "againSeconds": 1.5}'

    async def run() -> None:
        async with told_to(answer) as collecting:
            collecting.exposures.add(Exposure("u", "1", 1000))
            async with collecting.running():
                await again.wait()
            assert collecting.exposures.again_ms == 1500
            assert collecting.exposures.next() == []

    asyncio.run(run())
    assert seen[:2] == [["u"], ["u"]]


def test_a_server_that_ends_tells_of_everybody() -> None:
    seen: list[str] = []

    def answer(units: list[str]) -> str:
        seen.extend(units)
        return '{"late": 0}'

    units = [str(number) for number in range(12_000)]

    async def run() -> None:
        async with told_to(answer) as collecting, collecting.running():
            for unit in units:
                collecting.exposures.add(Exposure(unit, "1", 1000))

    asyncio.run(run())
    assert seen == units
