"""What a server does where there is a collector: tokens, exposures, and feedback that is passed on.

The server remembers nothing of it: a token says all that feedback needs, and which users were
answered is told to the collector every second.
"""

import asyncio
import json
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fastapi import Request, Response

from ab_runtime.errors import StartError
from ab_runtime.token import SIGNATURE, Answer, Keys

if TYPE_CHECKING:
    import aiohttp

_LOG = logging.getLogger("mlserver")
_EVERY_SECONDS = 1.0
_TIMEOUT_SECONDS = 10.0
# Of users: those whose exposure waits to be told, and those that were told lately.
_MOST_WAITING = 100_000
_MOST_TOLD = 200_000
_AT_ONCE = 5_000
_UNREACHABLE = 503


class Exposure(NamedTuple):
    """A user's first answer since the collector was told of it."""

    unit: str
    bucket: str
    at_ms: int


class Exposures:
    """Users that were answered and whom the collector does not know yet; bounded.

    `again_ms` is how long after one was told of, the same is told of again; None: never.

    >>> waiting = Exposures(most=1)
    >>> waiting.add(Exposure("u1", "3", 10)), waiting.add(Exposure("u2", "4", 11)), waiting.dropped
    (None, None, 1)
    """

    def __init__(self, most: int = _MOST_WAITING) -> None:
        self._most = most
        self._waiting: dict[str, Exposure] = {}
        self._told: OrderedDict[str, int] = OrderedDict()
        self.again_ms: int | None = None
        self.dropped = 0

    def add(self, exposure: Exposure) -> None:
        """Note an answer."""
        unit, told_ms = exposure.unit, self._told.get(exposure.unit)
        # Where returns count, a user who comes again later is told of again.
        again = self.again_ms is not None and exposure.at_ms >= (told_ms or 0) + self.again_ms
        if told_ms is not None and not again:
            self._told.move_to_end(unit)
        elif unit not in self._waiting:
            if len(self._waiting) < self._most:
                self._waiting[unit] = exposure
            else:
                self.dropped += 1

    def next(self) -> list[Exposure]:
        """Some of those that wait; they go on waiting until they are told."""
        return [each for each, _ in zip(self._waiting.values(), range(_AT_ONCE), strict=False)]

    def told(self, exposures: list[Exposure]) -> None:
        """The collector knows these."""
        for each in exposures:
            self._waiting.pop(each.unit, None)
            self._told[each.unit] = each.at_ms
            self._told.move_to_end(each.unit)
        while len(self._told) > _MOST_TOLD:
            self._told.popitem(last=False)


class Collecting:
    """Tokens for answers, and a way to the collector."""

    def __init__(self, url: str, keys: Keys, variant: str) -> None:
        self._url = url.rstrip("/")
        self._keys = keys
        self._variant = variant
        self.exposures = Exposures()
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], variant: str) -> "Collecting | None":
        """Read AB_COLLECTOR (its address) and AB_KEYS (a file); None where neither is set.

        Raises:
            StartError: one is there without the other, or the file of keys cannot be used.
        """
        url, keys = environment.get("AB_COLLECTOR", ""), environment.get("AB_KEYS", "")
        if not url and not keys:
            return None
        if not (url.startswith(("http://", "https://")) and keys):
            raise StartError("AB_COLLECTOR (http://HOST:PORT) and AB_KEYS (a file) go together")
        return cls(url, Keys.from_file(Path(keys)), variant)

    @property
    def unit_key(self) -> bytes:
        """What hashes units."""
        return self._keys.unit

    def token(self, bucket: str, unit: str | None) -> str:
        """The token of an answer that is given now; its user is told to the collector later."""
        at_ms = time.time_ns() // 1_000_000
        token, who = self._keys.hashed_token(Answer(self._variant, bucket, at_ms, unit))
        if unit is not None:
            self.exposures.add(Exposure(who, bucket, at_ms))
        return token

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Tell the collector every second whom this server has answered."""
        import aiohttp  # noqa: PLC0415 - only where there is a collector

        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as self._session:
            task = asyncio.create_task(self._tell())
            try:
                yield
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
                with suppress(OSError, TimeoutError, aiohttp.ClientError):
                    while await self._tell_once():
                        pass

    async def feedback(self, request: Request) -> Response:
        """Pass a report on to the collector, and its answer back, as they are."""
        status, body = await self._post("/feedback", await request.body(), {})
        return Response(body, status, media_type="application/json")

    async def _tell(self) -> None:
        import aiohttp  # noqa: PLC0415

        reachable = True
        while True:
            try:
                while await self._tell_once():
                    pass
                reachable = True
            except (OSError, TimeoutError, aiohttp.ClientError) as error:
                if reachable:
                    _LOG.warning("the collector at %s does not answer: %s", self._url, error)
                reachable = False
            await asyncio.sleep(_EVERY_SECONDS)

    async def _tell_once(self) -> bool:
        """Tell of some users; whether there may be more."""
        exposures = self.exposures.next()
        if not exposures:
            return False
        units = [[each.unit, each.bucket, each.at_ms] for each in exposures]
        body = json.dumps({"variant": self._variant, "units": units}).encode()
        status, answer = await self._post("/exposures", body, {SIGNATURE: self._keys.sign(body)})
        if status >= 400:  # noqa: PLR2004
            raise OSError(f"HTTP {status}: {answer[:200].decode(errors='replace')}")
        self.exposures.again_ms = _again_ms(answer)
        self.exposures.told(exposures)
        return len(exposures) == _AT_ONCE

    async def _post(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        import aiohttp  # noqa: PLC0415

        if self._session is None:
            return _UNREACHABLE, b'{"error": "the server is not started yet"}'
        try:
            async with self._session.post(self._url + path, data=body, headers=headers) as answer:
                return answer.status, await answer.read()
        except (OSError, TimeoutError, aiohttp.ClientError):
            if path == "/feedback":
                return _UNREACHABLE, b'{"error": "the collector does not answer; try again later"}'
            raise


def _again_ms(answer: bytes) -> int | None:
    """What a collector says of users who come again; OSError where it was none that answered."""
    try:
        seconds = json.loads(answer).get("againSeconds")
        return None if seconds is None else round(seconds * 1000)
    except (ValueError, TypeError, AttributeError, OverflowError):
        raise OSError(f"no collector: {answer[:200].decode(errors='replace')}") from None
