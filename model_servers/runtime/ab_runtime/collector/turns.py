"""Jobs for the collector's memory: those that wait together share a transaction.

A transaction ends with a wait for the disk, which is most of what a report costs. While one ends,
others come; they all go into the next one. Nobody is answered before the own job is on the disk.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ab_runtime.collector.store import Store

T = TypeVar("T")
Job = Callable[[int], Any]
"""What is done at a moment (milliseconds), within a transaction."""
MOST = 256
"""How many jobs share a transaction at most."""


class Turns:
    """Does jobs in the order in which they came, as many at a time as wait.

    `clock` gives milliseconds; jobs of one transaction have the same moment. `most` is how many
    those are at most.
    """

    def __init__(self, store: Store, clock: Callable[[], int], most: int = MOST) -> None:
        self._store = store
        self._clock = clock
        self._most = most
        self._waiting: list[tuple[Job, asyncio.Future[Any]]] = []
        self._working: asyncio.Task[None] | None = None

    async def do(self, job: Callable[[int], T]) -> T:
        """Do a job; what it gives, once that is on the disk.

        Raises:
            sqlite3.Error: it is not on the disk.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, future))
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                turn = self._waiting[: self._most]
                del self._waiting[: self._most]
                # SQLite waits for the disk; the loop does not.
                found = await asyncio.to_thread(self._together, [job for job, _ in turn])
                for (_, future), result in zip(turn, found, strict=True):
                    if future.cancelled():
                        continue  # whoever asked has left
                    if isinstance(result, Exception):
                        future.set_exception(result)
                    else:
                        future.set_result(result)
        finally:
            self._working = None

    def _together(self, jobs: Sequence[Job]) -> list[Any]:
        try:
            with self._store.together():
                now_ms = self._clock()
                return [job(now_ms) for job in jobs]
        except Exception as error:  # noqa: BLE001 - it is whose job failed that is told
            if len(jobs) == 1:
                return [error]
        # Nothing of it is kept. One at a time, a job that fails takes no other with it.
        return [found for job in jobs for found in self._together([job])]
