"""A real Prometheus serves hours of history; what is left out when it is read does not matter."""

from collections.abc import Iterator

import numpy as np
import pytest
from alike import assert_same, few_even_polls
from prometheus_server import serving

from abctl.core.polls import Window
from abctl.errors import SourceError
from abctl.evidence.read import read
from abctl.sources import Outline, Series
from abctl.sources.prometheus import Prometheus

BEGIN, SCRAPES, INTERVAL = 1_700_006_400, 1200, 15
# Scrapes at whole seconds fall on edges of polls; those of `odd` never do.
OFFSETS = {"calm": 0.0, "odd": 3.217, "restarts": 7.5, "silent": 1.0, "late": 4.0, "falls": 9.0}
STARTS = "process_start_time_seconds"
SELECTORS = ('n_total{variant="a"}', 'rare_total{variant="a"}')


def history() -> dict[str, list[tuple[str, float, float]]]:
    """Every target has a busy counter, and one of rare events that is born with the first."""
    rng = np.random.default_rng(3)
    busy: list[tuple[str, float, float]] = []
    rare, starts, ups = busy.copy(), busy.copy(), busy.copy()
    for target, offset in OFFSETS.items():
        labels = f'variant="a",job="models",instance="{target}:80"'
        n, few, started = 0, 0, BEGIN - 100.5
        for i in range(900 if target == "late" else 0, SCRAPES):
            at = BEGIN + i * INTERVAL + offset
            if target in ("restarts", "silent") and i in (400, 777, 1100):
                n, few, started = (5000 if i == 777 else 0), 0, at - 2.0
            if target == "falls" and i == 641:
                n, few = n // 2, few // 2
            if target == "late" and i == 900:
                started = at - 5.0
            n, few = n + int(rng.poisson(4)), few + int(rng.random() < 0.01)
            if i % 300 in range(250, 256) and target == "odd":
                ups.append((labels, 0, at))
                continue
            busy.append((labels, n, at))
            if few:
                rare.append((labels, few, at))
            if target == "odd":
                ups.append((labels, 1, at))
            elif target != "silent":
                starts.append((labels, started, at))
    return {"n_total": busy, "rare_total": rare, STARTS: starts, "up": ups}


def openmetrics() -> Iterator[str]:
    """The history as text."""
    for name, samples in history().items():
        family = name.removesuffix("_total")
        yield f"# TYPE {family} {'gauge' if family == name else 'counter'}\n"
        yield from (f"{name}{{{labels}}} {value} {at:.3f}\n" for labels, value, at in samples)
    yield "# EOF\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that serves the history from blocks."""
    folder, old = tmp_path_factory.mktemp("prometheus"), "--storage.tsdb.retention.time=100y"
    with serving(folder, old, history=openmetrics()) as url:
        yield url


class Counting(Prometheus):
    """Counts the values that it gets."""

    got = 0

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        found = super().series(selector, start, end)
        self.got += sum(len(series.times) for series in found if "_total" in selector)
        return found

    def outline(self, selector: str, edges: np.ndarray, since: float) -> Outline:
        found = super().outline(selector, edges, since)
        self.got += int(np.count_nonzero(~np.isnan(found.last)))
        return found


CHUNK_SECONDS = 3600.0


def test_the_result_is_that_of_every_sample(server: str) -> None:
    end = BEGIN + SCRAPES * INTERVAL - 20.0
    windows = [
        Window(0, BEGIN + 300.0, BEGIN + 6000.0),
        Window(1, BEGIN + 6030.0, BEGIN + 9003.217),
        Window(2, BEGIN + 9003.217, end),
    ]
    thin, full = Counting(server), Counting(server)
    with few_even_polls(read_all=False, chunk_seconds=CHUNK_SECONDS):
        some = read(thin, windows, SELECTORS, end)
        with few_even_polls(read_all=True, chunk_seconds=CHUNK_SECONDS):
            every = read(full, windows, SELECTORS, end)
        assert_same(some, every, SELECTORS)
    # One of six targets does not tell when it was scraped: of that one, every sample is read.
    assert thin.got < full.got / 2

    coverage = every.coverage(SELECTORS[0])
    assert coverage is not None
    assert (coverage.targets, coverage.falls, coverage.restarts) == (6, 1, 6)
    assert coverage.doubtful_ratio > 0


def test_too_many_samples_at_once_are_asked_for_in_parts(server: str) -> None:
    edges = BEGIN + 600.0 * np.arange(1, 9)
    source = Prometheus(server)
    whole = source.outline(SELECTORS[0], edges, BEGIN)
    asked: list[int] = []

    class Limited(Prometheus):
        def _outline(self, selector: str, ms: np.ndarray, since: int) -> Outline:
            asked.append(len(ms))
            if len(ms) > 3:
                raise SourceError("query processing would load too many samples into memory", "-")
            return super()._outline(selector, ms, since)

    parts = Limited(server).outline(SELECTORS[0], edges, BEGIN)
    assert max(asked) == 8
    assert parts.labels == whole.labels
    np.testing.assert_array_equal(parts.last, whole.last)
    assert np.all(parts.drops >= whole.drops)
