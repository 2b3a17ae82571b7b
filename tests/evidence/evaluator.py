"""A small Prometheus, written from the definition of its functions."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from abctl.core.selector import Selector
from abctl.errors import SourceError
from abctl.sources.prometheus import Prometheus

Stored = tuple[dict[str, str], np.ndarray[Any, Any], np.ndarray[Any, Any]]


def _ms(text: str) -> int:
    """A time, or a duration, as the API takes it."""
    if text.endswith("ms"):
        return int(text.removesuffix("ms"))
    return round(float(text) * 1000)


@dataclass
class Server:
    """Evaluates raw ranges, `last_over_time` and `resets`, at one time or at many."""

    stored: list[Stored]
    closed: bool = True
    fails_after: int | None = None
    asked: int = 0
    returned: int = 0

    def custom_query(self, query: str, params: Mapping[str, str]) -> list[Any]:
        self._count()
        at = round(float(params["time"]) * 1000)
        inner = query.removesuffix(" > 0")
        function, selector, length = self._parse(inner)
        if function == "":
            matrix = []
            for labels, times, values in self._of(selector):
                inside = self._inside(times, at, length)
                if inside.any():
                    pairs = zip(
                        times[inside] / 1000, map(repr, values[inside].tolist()), strict=True
                    )
                    matrix.append({"metric": labels, "values": [list(pair) for pair in pairs]})
                    self.returned += int(inside.sum())
            return matrix
        assert function == "resets", query
        found = []
        for labels, times, values in self._of(selector):
            seen = values[self._inside(times, at, length)]
            count = sum(later < earlier for earlier, later in pairwise(seen))
            if count > 0:
                bare = {k: v for k, v in labels.items() if k != "__name__"}
                found.append({"metric": bare, "value": [at / 1000, str(count)]})
        return found

    def custom_query_range(
        self, query: str, _s: object, _e: object, step: str, params: Mapping[str, str]
    ) -> list[Any]:
        self._count()
        function, selector, length = self._parse(query)
        assert function == "last_over_time"
        first, last, every = (_ms(x) for x in (params["start"], params["end"], step))
        found = []
        for labels, times, values in self._of(selector):
            pairs = []
            for at in range(first, last + 1, every):
                inside = self._inside(times, at, length)
                if inside.any():
                    pairs.append([at / 1000, repr(float(values[inside][-1]))])
            if pairs:
                self.returned += len(pairs)
                found.append({"metric": labels, "values": pairs})
        return found

    def _count(self) -> None:
        self.asked += 1
        if self.fails_after is not None and self.asked > self.fails_after:
            raise SourceError("the server went away", "-")

    def _parse(self, query: str) -> tuple[str, str, int]:
        parts = re.fullmatch(r"(?:(\w+)\()?(\w+(?:\{.*\})?)\[(\d+)ms\]\)?", query)
        assert parts, query
        return parts[1] or "", parts[2], int(parts[3])

    def _of(self, selector: str) -> Iterator[Stored]:
        wanted = Selector.parse(selector)
        return (each for each in self.stored if wanted.matches(each[0]))

    def _inside(self, times: Any, at: int, length: int) -> Any:
        after = times >= at - length if self.closed else times > at - length
        return after & (times <= at)


def source(server: Server) -> Prometheus:
    found = Prometheus("http://made.up")
    found._client = server
    return found
