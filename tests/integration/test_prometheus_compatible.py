"""What speaks the language of Prometheus gives the same numbers, or says that it does not.

Every server gets the same samples by remote write, staleness markers included. The truth is what
abctl makes of every one of those samples, without any server.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alike import assert_same, few_even_polls
from apart import APART, mimir, querier, sidecar, thanos
from compatible import SERVERS, prometheus, until
from remote_write import Labels, push

from abctl.core.polls import Window
from abctl.core.selector import Selector
from abctl.errors import SourceError
from abctl.evidence.increments import Samples
from abctl.evidence.read import read
from abctl.sources import Outline, Series, Source
from abctl.sources.prometheus import Prometheus
from abctl.sources.series import outline_of

INTERVAL, SCRAPES = 5.0, 900
OFFSETS = {"calm": 0.0, "odd": 3.217, "restarts": 2.5, "silent": 1.0, "late": 4.0, "falls": 1.003}
SMALL: dict[str, Any] = {"few": 32, "chunk_seconds": 900.0}
STARTS = "process_start_time_seconds"
SELECTORS = ('n_total{variant="a"}', 'rare_total{variant="a"}')


@dataclass
class Truth:
    """A source that holds every sample of an hour and a quarter."""

    begin: float
    place: str = "the truth"

    @property
    def end(self) -> float:
        return self.begin + INTERVAL * SCRAPES

    @cached_property
    def samples(self) -> dict[Labels, list[tuple[int, float]]]:
        """By series: milliseconds and value; NaN is the end of a series, for now."""
        rng = np.random.default_rng(7)
        found: dict[Labels, list[tuple[int, float]]] = {}
        for target, offset in OFFSETS.items():
            n, few, started = 0, 0, self.begin - 100.5
            for i in range(600 if target == "late" else 0, SCRAPES):
                at = self.begin + i * INTERVAL + offset
                if target in ("restarts", "silent") and i in (310, 555, SCRAPES - 3):
                    n, few, started = (5000 if i == 555 else 0), 0, at - 2.0
                if target == "falls" and i == 441:
                    n, few = n // 2, few // 2
                if target == "late" and i == 600:
                    started = at - 2.0
                n, few = n + int(rng.poisson(4)), few + int(rng.random() < 0.02)
                missed = target == "odd" and i % 200 in range(150, 156)
                gone = missed or (target == "calm" and i > SCRAPES - 100)
                page = {} if gone else {"n_total": n, "rare_total": few or None}
                page |= {} if gone or target in ("odd", "silent") else {STARTS: started}
                page |= {"up": float(not missed)} if target == "odd" else {}
                _store(found, target, at, page)
        return found

    def now(self) -> float:
        return self.end

    def retention_seconds(self) -> float | None:
        return None

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        wanted, found = Selector.parse(selector), []
        for labels, samples in self.samples.items():
            if wanted.matches(dict(labels)):
                table = np.array(samples)
                ms, values = table[~np.isnan(table[:, 1])].T
                inside = (ms > round(start * 1000)) & (ms <= round(end * 1000))
                if inside.any():
                    found.append(Series(dict(labels), ms[inside] / 1000, values[inside]))
        return found

    def outline(self, selector: str, edges: np.ndarray, since: float) -> Outline:
        return outline_of(self, selector, edges, since)

    def windows(self, age: str) -> list[Window]:
        """The last one ends now, and the last cells of `young` are shorter than a minute."""
        if age == "young":
            return [Window(0, self.end - 1200.0, self.end)]
        return [
            Window(0, self.begin + 100.0, self.begin + 1501.003),
            Window(1, self.begin + 1530.0, self.begin + 2253.217),
            Window(2, self.begin + 2253.217, self.end),
        ]


def _store(
    found: dict[Labels, list[tuple[int, float]]],
    target: str,
    at: float,
    page: Mapping[str, float | None],
) -> None:
    for name in ("n_total", "rare_total", STARTS, "up"):
        labels = {"__name__": name, "instance": f"{target}:80", "job": "models", "variant": "a"}
        series = tuple(sorted(labels.items()))
        if (value := page.get(name)) is not None:
            found.setdefault(series, []).append((round(at * 1000), float(value)))
        elif series in found and not np.isnan(found[series][-1][1]):
            found[series].append((round(at * 1000), np.nan))


@contextmanager
def filled(name: str, folder: Path, *more: str) -> Iterator[tuple[str, Truth]]:
    """The address of a server that has a history, and gives it away."""
    with (SERVERS | APART)[name](folder, *more) as (url, *writes):
        # It ends now: what servers do about the newest samples matters.
        truth = Truth(float(int(time.time()) - INTERVAL * SCRAPES))
        for write in writes:
            push(write, truth.samples)
        behind = truth.end - INTERVAL

        def stored() -> bool:
            found = Prometheus(url).series("n_total", behind, truth.end)
            return len(found) == len(truth.series("n_total", behind, truth.end))

        until(stored, lambda: True, folder / "log")
        yield url, truth


@pytest.fixture(
    scope="module",
    params=[*SERVERS, *(pytest.param(name, marks=pytest.mark.apart) for name in APART)],
)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Truth]]:
    """The address of a server that has a history, and the history."""
    with filled(request.param, tmp_path_factory.mktemp("servers") / request.param) as both:
        yield both


@pytest.fixture
def small() -> Iterator[None]:
    """A short history is made to look like a long one."""
    with few_even_polls(read_all=False, **SMALL):
        yield


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("age", ["young", "long"])
@pytest.mark.parametrize("reading", ["thinned", "whole"])
def test_the_result_is_that_of_every_sample(
    server: tuple[str, Truth], age: str, reading: str
) -> None:
    url, truth = server
    windows = truth.windows(age)
    if reading == "thinned":
        found = read_thin(Prometheus(url), windows)
    else:
        found = read_all(Prometheus(url), windows)
    assert_same(found, read_all(truth, windows), SELECTORS)


def read_thin(source: Source, windows: Sequence[Window]) -> Samples:
    return read(source, windows, SELECTORS, windows[-1].end)


def read_all(source: Source, windows: Sequence[Window]) -> Samples:
    with few_even_polls(read_all=True, **SMALL):
        return read(source, windows, SELECTORS, windows[-1].end)


def test_its_clock_is_the_present(server: tuple[str, Truth]) -> None:
    before = time.time()
    now = Prometheus(server[0]).now()
    assert before - 1.0 <= now <= time.time() + 1.0


def test_how_long_it_keeps_samples_is_known_or_not(server: tuple[str, Truth]) -> None:
    kept = Prometheus(server[0]).retention_seconds()
    assert kept is None or kept > 86_400


@pytest.mark.usefixtures("small")
def test_a_limit_of_samples_makes_questions_smaller(tmp_path: Path) -> None:
    with filled("prometheus", tmp_path / "server", "--query.max-samples=2500") as (url, truth):
        with pytest.raises(SourceError, match="too many samples"):
            Prometheus(url)._ask("n_total[1d]", {"time": str(truth.end)})
        windows = truth.windows("long")
        every = read_all(truth, windows)
        assert_same(read_thin(Prometheus(url), windows), every, SELECTORS)
        assert_same(read_all(Prometheus(url), windows), every, SELECTORS)


@pytest.mark.apart
@pytest.mark.usefixtures("small")
def test_what_one_replica_missed_thanos_has_from_the_other(tmp_path: Path) -> None:
    truth = Truth(float(int(time.time()) - INTERVAL * SCRAPES))
    windows = truth.windows("long")
    with thanos(tmp_path / "thanos") as (url, *writes):
        for write, away in zip(writes, [(350, 400), (700, 760)], strict=True):
            first, last = ((truth.begin + i * INTERVAL) * 1000 for i in away)
            seen = {
                labels: [sample for sample in samples if not first < sample[0] < last]
                for labels, samples in truth.samples.items()
            }
            push(write, seen)
        every = counted(read_all(truth, windows))
        for reading in (read_all, read_thin):
            found = counted(reading(Prometheus(url), windows))
            # Where it changes replicas it skips scrapes: some of what it has comes a poll later.
            assert (np.cumsum(found, axis=1) <= np.cumsum(every, axis=1)).all()
            np.testing.assert_array_equal(found.sum(axis=1), every.sum(axis=1))


def counted(samples: Samples) -> np.ndarray:
    polls = samples.polls(SELECTORS)
    return np.array([samples.rows(selector, polls).total() for selector in SELECTORS])


@pytest.mark.apart
def test_without_one_of_its_stores_thanos_is_not_believed(tmp_path: Path) -> None:
    truth = Truth(float(int(time.time()) - INTERVAL * SCRAPES))
    with ExitStack() as stack:
        behind, write = stack.enter_context(prometheus(tmp_path / "server"))
        beside = stack.enter_context(ExitStack())
        store = beside.enter_context(sidecar(tmp_path / "sidecar", behind))
        url = stack.enter_context(querier(tmp_path / "query", f"--endpoint-strict={store}"))
        push(write, truth.samples)
        assert Prometheus(url).series("n_total", truth.begin, truth.end)
        beside.close()
        with pytest.raises(SourceError, match=r"refused .* connection refused"):
            Prometheus(url).series("n_total", truth.begin, truth.end)


@pytest.mark.apart
def test_a_tenant_of_mimir_has_its_own_samples(tmp_path: Path) -> None:
    truth = Truth(float(int(time.time()) - INTERVAL * SCRAPES))
    teams: dict[str, dict[str, Any]] = {
        team: {"headers": {"X-Scope-OrgID": team}} for team in ("ours", "theirs")
    }
    with mimir(tmp_path / "server", "-auth.multitenancy-enabled=true") as (url, write):
        push(write, truth.samples, **teams["ours"]["headers"])
        found = {
            team: Prometheus(url, options).series("n_total", truth.begin, truth.end)
            for team, options in teams.items()
        }
        with pytest.raises(SourceError, match="no org id"):
            Prometheus(url).series("n_total", truth.begin, truth.end)
    assert len(found["ours"]) == len(OFFSETS)
    assert not found["theirs"]
