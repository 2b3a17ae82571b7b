"""What is read of long histories: less than everything, and the same result, number for number.

The source is abctl's client of Prometheus; the server is a small evaluator of its own, written from
the definition of its functions.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from abctl.core import polls as polls_module
from abctl.core.polls import Window
from abctl.errors import SourceError
from abctl.services import read as read_module
from abctl.services.evidence import Samples
from abctl.services.read import read
from abctl.sources._promql import Selector
from abctl.sources.prometheus import Prometheus

START = 1_700_000_000_000  # milliseconds, as all times of the server
INTERVAL = 15_000
SELECTORS = ('n_total{variant="a"}', 'hits_total{variant="a"}', 'n_total{variant="b"}')

Stored = tuple[dict[str, str], np.ndarray[Any, Any], np.ndarray[Any, Any]]


@dataclass
class Server:
    """Evaluates raw ranges, `last_over_time` and `resets`, at one time or at many."""

    stored: list[Stored]
    closed: bool = True
    returned: int = 0

    def custom_query(self, query: str, params: Mapping[str, str]) -> list[Any]:
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
        function, selector, length = self._parse(query)
        assert function == "last_over_time"
        first, last, every = (
            round(float(x) * 1000) for x in (params["start"], params["end"], step)
        )
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

    def _parse(self, query: str) -> tuple[str, str, int]:
        parts = re.fullmatch(r"(?:(\w+)\()?(\w+\{.*\})\[(\d+)ms\]\)?", query)
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


@dataclass
class Target:
    """One address: processes that follow each other, scraped more or less every 15 seconds.

    `tells` is what there is besides counters: `start` of the process, `up`, or nothing.
    """

    variant: str
    instance: str
    rng: np.random.Generator
    scrapes: int
    tells: str
    lazy: bool
    trouble: float
    skips: float
    round_times: bool
    started: float | None = None
    counts: dict[tuple[str, str], float] = field(default_factory=dict)
    samples: dict[tuple[str, str], list[tuple[int, float]]] = field(default_factory=dict)

    def live(self) -> list[Stored]:
        begin, end = sorted(self.rng.choice(self.scrapes, 2, replace=False).tolist())
        if self.rng.random() < 0.5:
            begin, end = 0, self.scrapes
        offset = 0 if self.round_times else int(self.rng.integers(0, INTERVAL))
        for i in range(begin, end):
            late = int(self.rng.integers(0, 4000)) if self.rng.random() < 0.05 else 0
            at = START - 20 * INTERVAL + i * INTERVAL + offset + late
            self._happen(at)
            outage = self.trouble > 0.04 and (i // 37) % 9 == 8
            self._scrape(at, missed=outage or self.rng.random() < self.trouble)
        return self.stored()

    def stored(self) -> list[Stored]:
        here = {"instance": self.instance, "job": "models"}
        return [
            (
                {
                    "__name__": name,
                    **({"variant": self.variant, "bucket": bucket} if bucket else {}),
                }
                | here,
                *np.array(samples).T,
            )
            for (name, bucket), samples in self.samples.items()
        ]

    def _happen(self, at: int) -> None:
        """Restarts, workers that die, and events."""
        if self.started is None or self.rng.random() < self.trouble / 4:
            self.started, self.counts = at / 1000 - self.rng.integers(1, 14), {}
            if self.rng.random() < 0.3:  # overtakes what there was before
                self.counts = {("n_total", "0"): 5000.0, ("hits_total", "0"): 1.0}
        elif self.rng.random() < self.trouble / 6:
            self.counts = {key: np.floor(value * 0.5) for key, value in self.counts.items()}
        for bucket in ("0", "1"):
            more = self.rng.poisson(3 if self.rng.random() < 0.9 else 0)
            hits = self.rng.binomial(more, 0.05)
            for key, amount in ((("n_total", bucket), more), (("hits_total", bucket), hits)):
                if not self.lazy or amount or key in self.counts:
                    self.counts[key] = self.counts.get(key, 0.0) + amount * 1.1

    def _scrape(self, at: int, *, missed: bool) -> None:
        if self.tells == "up":
            self._store(("up", ""), at, float(not missed))
        if missed:
            return
        for key, value in self.counts.items():
            if self.rng.random() >= self.skips:
                self._store(key, at, value)
        if self.tells == "start":
            self._store(("process_start_time_seconds", ""), at, float(self.started or 0))

    def _store(self, key: tuple[str, str], at: int, value: float) -> None:
        self.samples.setdefault(key, []).append((at, value))


def history(seed: int) -> tuple[list[Stored], int]:
    rng = np.random.default_rng(seed)
    scrapes = int(rng.integers(60, 700))
    stored: list[Stored] = []
    for variant in "ab":
        for pod in range(int(rng.integers(1, 4))):
            stored += Target(
                variant,
                f"{variant}{pod}:80",
                rng,
                scrapes,
                tells=str(rng.choice(["start", "start", "up", ""])),
                lazy=bool(rng.random() < 0.4),
                trouble=float(rng.choice([0.0, 0.005, 0.05])),
                skips=float(rng.choice([0.0, 0.002, 0.03])),
                round_times=bool(rng.random() < 0.3),
            ).live()
    return [each for each in stored if len(each[1])], scrapes


def windows_of(seed: int, now: float) -> list[Window]:
    rng = np.random.default_rng([seed, 1])
    first = START / 1000
    cuts = np.sort(rng.choice(max(5, int(now - first)), 4, replace=False)) + first
    if seed % 4 == 0:
        return [Window(0, first, now)]
    if seed % 4 == 1:  # they touch, and at the time of a scrape
        cuts = first + 15 * ((cuts - first) // 15)
        if len(set(cuts.tolist())) == 4:
            return [Window(0, first, cuts[1]), Window(1, cuts[1], cuts[2]), Window(2, cuts[2], now)]
    return [Window(0, first, cuts[1]), Window(2, cuts[2] + 0.5, cuts[3] + 0.75)]


@contextmanager
def few_even_polls(read_all: bool) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(polls_module, "EVEN_POLLS", 8)
        patch.setattr(read_module, "EVEN_POLLS", 10**9 if read_all else 8)
        patch.setattr(read_module, "_CHUNK_SECONDS", 1200.0)
        yield


def assert_same(thin: Samples, full: Samples) -> None:
    assert thin.interval_seconds == full.interval_seconds
    for selector in SELECTORS:
        polls = [s.polls([selector]) for s in (thin, full)]
        np.testing.assert_array_equal(polls[0].edges, polls[1].edges)
        np.testing.assert_array_equal(polls[0].epoch, polls[1].epoch)
        rows = [s.rows(selector, polls[0]) for s in (thin, full)]
        assert rows[0].labels == rows[1].labels
        np.testing.assert_array_equal(rows[0].by_poll, rows[1].by_poll)
        for each in ("left_out", "unseen", "doubtful"):
            assert getattr(rows[0], each) == pytest.approx(getattr(rows[1], each), rel=1e-12)
        thin_coverage, full_coverage = (s.coverage(selector) for s in (thin, full))
        assert thin_coverage == full_coverage


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
@example(5065, True)  # a series is missing in the first scrape of a window
@example(6027, True)  # a series is missing at a restart
def test_what_is_left_out_does_not_matter(seed: int, closed: bool) -> None:
    stored, scrapes = history(seed)
    now = START / 1000 + (scrapes - 20) * 15.0
    windows = windows_of(seed, now)
    found = []
    for read_all in (False, True):
        with few_even_polls(read_all):
            found.append(read(source(Server(stored, closed)), windows, SELECTORS, now))
    with few_even_polls(read_all=False):
        assert_same(found[0], found[1])


def calm(scrapes: int, *, offset: int = 0, instance: str = "a0:80") -> list[Stored]:
    rng = np.random.default_rng(5)
    given: dict[str, Any] = {"rng": rng, "scrapes": scrapes, "tells": "start", "lazy": False}
    given |= {"trouble": 0.0, "skips": 0.0, "round_times": True, "started": START / 1000 - 999}
    target = Target("a", instance, **given)
    for i in range(scrapes):
        target._happen(at := START - 20 * INTERVAL + i * INTERVAL + offset)
        target._scrape(at, missed=False)
    return target.stored()


def test_of_a_long_quiet_history_little_is_read() -> None:
    stored, now = calm(1500), START / 1000 + 1400 * 15.0
    returned = []
    for read_all in (False, True):
        server = Server(stored)
        with few_even_polls(read_all):
            read(source(server), [Window(0, START / 1000, now)], SELECTORS, now)
        returned.append(server.returned)
    starts = 1500
    assert returned[0] - starts < 0.2 * (returned[1] - starts)


def test_progress_is_told_and_comes_to_an_end() -> None:
    now, told = START / 1000 + 600 * 15.0, []
    with few_even_polls(read_all=False):
        windows = [Window(0, START / 1000, now)]
        read(
            source(Server(calm(620))),
            windows,
            SELECTORS,
            now,
            progress=lambda done, total: told.append((done, total)),
        )
    assert told[-1][0] == told[-1][1] == len(told)


def test_two_servers_behind_one_address_are_refused() -> None:
    class Balanced(Server):
        """Every other question goes to a server that scrapes 7 seconds later."""

        asked = 0

        def _of(self, selector: str) -> Iterator[Stored]:
            self.asked += 1
            late = 7000 * (self.asked % 2)
            for labels, times, values in super()._of(selector):
                yield labels, times + late, values

    now = START / 1000 + 600 * 15.0
    for read_all in (False, True):
        with (
            few_even_polls(read_all),
            pytest.raises(SourceError, match="was scraped at other times for one answer"),
        ):
            read(source(Balanced(calm(620))), [Window(0, START / 1000, now)], SELECTORS, now)


def test_a_process_that_is_scraped_twice_is_refused_and_one_that_follows_another_is_not() -> None:
    now = START / 1000 + 600 * 15.0
    windows = [Window(0, START / 1000, now)]

    def of_pod(pod: str, first: int, last: int) -> list[Stored]:
        parts = slice(first, last)
        return [({**labels, "pod": pod}, t[parts], v[parts]) for labels, t, v in calm(620)]

    with few_even_polls(read_all=False):
        both = [*of_pod("x", 0, 620), *of_pod("y", 0, 620)]
        with pytest.raises(SourceError, match="scraped twice"):
            read(source(Server(both)), windows, SELECTORS, now)
        after = [*of_pod("x", 0, 300), *of_pod("y", 310, 620)]
        found = read(source(Server(after)), windows, SELECTORS, now)
    assert len(found.found[SELECTORS[0]]) == 4
