"""Jobs for the collector's memory: they share transactions, and none is told before it is kept."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from ab_runtime.collector.store import Store
from ab_runtime.collector.turns import Turns


class Disk(sqlite3.Connection):
    """A connection that says how often it was written, and whose disk may be full."""

    commits = 0
    full = False

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if sql == "COMMIT":
            if Disk.full:
                raise sqlite3.OperationalError("database or disk is full")
            Disk.commits += 1
        return super().execute(sql, *parameters)


class Kept:
    """A store on a disk, and what another process would find there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = Store(path, {}, 0)
        Disk.commits, Disk.full = 0, False

    def told(self) -> int:
        other = sqlite3.connect(self.path)
        (found,) = other.execute("SELECT coalesce(sum(n), 0) FROM told").fetchone()
        other.close()
        return int(found)

    def refuse(self, _: int) -> None:
        self.store.refuse("value", 1)

    def run(self, jobs: Callable[[Turns], Coroutine[Any, Any, None]], most: int = 100) -> None:
        async def all_of_it() -> None:
            await jobs(Turns(self.store, lambda: 1000, most))

        asyncio.run(all_of_it())


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    connect = sqlite3.connect

    def connected(*given: Any, **options: Any) -> sqlite3.Connection:
        return connect(*given, **options, factory=Disk)

    monkeypatch.setattr(sqlite3, "connect", connected)
    return Kept(tmp_path / "memory.db")


@pytest.mark.parametrize(("most", "commits"), [(100, 1), (10, 5), (1, 50)])
def test_jobs_that_wait_share_a_transaction(kept: Kept, most: int, commits: int) -> None:
    order: list[int] = []

    async def many(turns: Turns) -> None:
        await asyncio.gather(*(turns.do(lambda _, i=i: order.append(i)) for i in range(50)))

    kept.run(many, most)
    assert order == list(range(50))
    assert Disk.commits == commits


def test_nobody_is_answered_before_the_own_job_is_on_the_disk(kept: Kept) -> None:
    answered = 0

    async def many(turns: Turns) -> None:
        async def one() -> None:
            nonlocal answered
            await turns.do(kept.refuse)
            answered += 1
            assert kept.told() >= answered

        await asyncio.gather(*(one() for _ in range(40)))

    kept.run(many)
    assert kept.told() == 40


def test_a_job_that_fails_takes_no_other_with_it_and_leaves_nothing(kept: Kept) -> None:
    def fails(now_ms: int) -> None:
        kept.refuse(now_ms)
        raise sqlite3.DataError("no")

    async def three(turns: Turns) -> None:
        jobs = (kept.refuse, fails, kept.refuse)
        found = await asyncio.gather(*map(turns.do, jobs), return_exceptions=True)
        assert [type(each) for each in found] == [type(None), sqlite3.DataError, type(None)]

    kept.run(three)
    assert kept.told() == 2


def test_on_a_full_disk_nobody_is_told_that_it_is_kept_and_room_mends_it(kept: Kept) -> None:
    async def three(turns: Turns) -> None:
        Disk.full = True
        jobs = (turns.do(kept.refuse) for _ in range(3))
        found = await asyncio.gather(*jobs, return_exceptions=True)
        assert [type(each) for each in found] == [sqlite3.OperationalError] * 3
        Disk.full = False
        await turns.do(kept.refuse)

    kept.run(three)
    assert kept.told() == 1


def test_who_leaves_early_stops_nobody(kept: Kept) -> None:
    began, go = Event(), Event()

    def first(_: int) -> None:
        began.set()
        assert go.wait(60)

    async def three(turns: Turns) -> None:
        waits, leaves, stays = (
            asyncio.create_task(turns.do(job)) for job in (first, kept.refuse, kept.refuse)
        )
        assert await asyncio.to_thread(began.wait, 60)
        leaves.cancel()
        go.set()
        await asyncio.gather(waits, stays)
        assert leaves.cancelled()

    kept.run(three)
    assert kept.told() == 2  # what was asked for is done
