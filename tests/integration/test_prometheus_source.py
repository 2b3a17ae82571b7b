"""A real Prometheus scrapes a page whose every value is known; what comes out must be exact."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from api_server import DEADLINE_SECONDS
from compatible import answers
from own_ports import free_ports
from prometheus_server import serving

from abctl.core.polls import Window, cut
from abctl.errors import SourceError
from abctl.evidence.counters.increase import counters_of, increase, scrapes_of
from abctl.local.identity import wait_for
from abctl.sources import prometheus
from abctl.sources.prometheus import Prometheus
from abctl.sources.scrape import Scraped, Scraper, Target

# What page after page says: total and rare events (None: no such series yet), start.
# A second process starts between the fourth page and the fifth: when that is, the test says.
FIRST, SECOND = -5.0, float("inf")
PAGES: list[tuple[int, int | None, float]] = [
    (0, None, FIRST),
    (7, None, FIRST),
    (1000, 5, FIRST),
    (1003, 5, FIRST),
    (20, None, SECOND),
    (21, 6, SECOND),
    (2**40, 6, SECOND),
]
RESTART = 4
TOTAL, RARE = 1003 + 2**40, 5 + 6


@dataclass
class Exporter:
    """A metrics page that follows a script: it turns when it is read, or when it is told to."""

    pages: list[str]
    at: int = 0
    turns: bool = True
    port: int = 0
    second: float = SECOND

    def page(self) -> str:
        text = self.pages[min(self.at, len(self.pages) - 1)]
        self.at += self.turns
        return text.replace(str(SECOND), str(self.second))


def page(total: int, rare: int | None, started: float) -> str:
    lines = [
        "# TYPE ab_requests_total counter",
        f'ab_requests_total{{variant="a\\"b",code="2xx"}} {total}',
        f"process_start_time_seconds {started}",
    ]
    if rare is not None:
        lines.append(f'ab_requests_total{{variant="a\\"b",code="5xx"}} {rare}')
    return "\n".join(lines) + "\n"


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    script = Exporter([page(*values) for values in PAGES])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = script.page().encode()
            self.send_response(200)
            self.send_header("content-type", "text/plain; version=0.0.4")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        script.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield script
        server.shutdown()
        thread.join()


@pytest.fixture
def server(tmp_path: Path, exporter: Exporter) -> Iterator[str]:
    """The address of a Prometheus that has seen every page of the script."""
    config = (
        "global: {scrape_interval: 150ms, scrape_timeout: 150ms}\n"
        "scrape_configs:\n"
        "  - job_name: models\n"
        f"    static_configs: [{{targets: ['127.0.0.1:{exporter.port}']}}]\n"
    )
    exporter.turns = False
    with serving(tmp_path, config=config) as url:
        source = Prometheus(url)
        for at, (total, _, _) in enumerate(PAGES):
            if at == RESTART:
                exporter.second = source.now() + 0.001
            exporter.at = at
            # A scrape may fail, where the machine has other things to do.
            assert wait_for(lambda total=total: latest(source) == total, DEADLINE_SECONDS)
        yield url


def latest(source: Prometheus) -> float | None:
    now = source.now()
    found = source.series('ab_requests_total{code="2xx"}', now - 5, now)
    return float(found[0].values[-1]) if found else None


def test_counts_are_exact_through_births_and_restarts(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Prometheus(server + "/")
    end = source.now()
    start = end - 120
    found = source.series('ab_requests_total{variant="a\\"b"}', start, end)
    by_code = {series.labels["code"]: series for series in found}
    started = source.series("process_start_time_seconds", start, end)
    mine = [s for s in started if s.labels["job"] == "models"]

    seen = by_code["2xx"].values
    assert list(dict.fromkeys(seen)) == [total for total, _, _ in PAGES]
    assert np.all(np.diff(by_code["2xx"].times) > 0)

    scrapes = scrapes_of([counters_of(found)], mine[0])
    assert len(scrapes.restarts) == 1
    polls = cut([Window(0, start, end)], 0.2)
    totals = {
        code: increase(counters_of([s]), scrapes, polls).by_poll.sum()
        for code, s in by_code.items()
    }
    assert totals == {"2xx": TOTAL, "5xx": RARE}

    # The same samples, whatever the size of a chunk.
    monkeypatch.setattr(prometheus, "_FIRST_CHUNK_MS", 1000)
    monkeypatch.setattr(prometheus, "_LONGEST_CHUNK_MS", 1000)
    again = Prometheus(server).series('ab_requests_total{code="2xx"}', start, end)
    assert again[0].times.tolist() == by_code["2xx"].times.tolist()
    assert again[0].values.tolist() == seen.tolist()

    assert source.series("no_such_metric", start, end) == []
    with pytest.raises(SourceError, match=r"refused sum\(.*parse error"):
        source.series("sum(ab_requests_total)", start, end)


def test_without_prometheus_the_scraper_gives_the_same_counts(
    exporter: Exporter, tmp_path: Path
) -> None:
    file = tmp_path / "scrapes.jsonl"
    targets = [Target(f"127.0.0.1:{port}") for port in (exporter.port, free_ports(1)[0])]
    source = Scraped(file)
    exporter.second = RESTART - 0.5
    with Scraper(file, targets) as scraper:
        for at in range(len(PAGES)):
            assert scraper.scrape(float(at)) == [targets[1].address]
    with file.open("a") as cut_short:
        cut_short.write('{"at": 99, "job"')

    found = source.series('ab_requests_total{variant="a\\"b"}', -1, 100)
    started = source.series("process_start_time_seconds", -1, 100)
    scrapes = scrapes_of([counters_of(found)], started[0])
    totals = increase(counters_of(found), scrapes, cut([Window(0, 0, 10)], 1)).by_poll.sum(axis=1)
    assert sorted(totals) == [RARE, TOTAL]
    assert source.series('ab_requests_total{code=~"5.."}', 1, 3)[0].times.tolist() == [2, 3]


def test_the_scraper_is_a_process_that_says_when_it_runs(
    exporter: Exporter, tmp_path: Path
) -> None:
    file, port = tmp_path / "scrapes.jsonl", free_ports(1)[0]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "abctl.sources.scrape"),
            *(str(port), "1", str(file), f"127.0.0.1:{exporter.port}"),
        ]
    )
    try:
        while not answers(f"http://127.0.0.1:{port}/-/ready"):
            assert process.poll() is None
        source = Scraped(file)
        first = source.series("process_start_time_seconds", 0, source.now())
        assert first[0].values.tolist()[:1] == [FIRST]
        while len(source.series("process_start_time_seconds", 0, source.now())[0].times) < 3:
            assert process.poll() is None
    finally:
        process.terminate()
        process.wait(DEADLINE_SECONDS)


def test_nobody_there_is_told_after_one_more_try(pauses: list[float]) -> None:
    with pytest.raises(SourceError, match="nothing answers at http://127") as caught:
        Prometheus(f"http://user:secret@127.0.0.1:{free_ports(1)[0]}").now()
    assert "secret" not in str(caught.value)
    assert sum(pauses) <= 1


def test_another_server_is_not_taken_for_a_prometheus(exporter: Exporter) -> None:
    with pytest.raises(SourceError, match="does not answer as Prometheus does"):
        Prometheus(f"http://127.0.0.1:{exporter.port}").now()


# Written as seconds, Prometheus takes some of these for a millisecond less.
@pytest.mark.parametrize("length_ms", [4001, 4293, 4294, 5999, 60_001])
def test_cells_of_any_length_are_answered_as_asked(server: str, length_ms: int) -> None:
    source = Prometheus(server)
    end_ms = round(source.now() * 1000)
    edges = (end_ms + length_ms * np.arange(-5, 1)) / 1000
    assert source.outline("up", edges, float(edges[0])).last.shape[1] == 5
