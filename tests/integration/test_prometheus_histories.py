"""Real servers scrape pages whose story is easily misread; what is counted is what happened."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from api_server import DEADLINE_SECONDS, path_from
from prometheus_server import serving

from abctl.core.polls import Window, cut
from abctl.evidence.increments import Samples
from abctl.evidence.read import read
from abctl.evidence.summaries import summarize
from abctl.local.identity import wait_for
from abctl.sources.prometheus import Prometheus
from abctl.stats.summary import Histogram

TWO, THREE = ("debian", "prometheus"), ("go-program", "--cached", "prometheus")
COUNT = 'n_total{variant="a"}'
START = 1_700_000_000.25


def program(found: tuple[str, ...]) -> Path:
    return Path(path_from(*found))


@contextmanager
def page(text: Callable[[], str]) -> Iterator[str]:
    """The address of a metrics page."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = text().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Process:
    """Counts a few more at each look."""

    def __init__(self, started: float = START, variant: str = "a") -> None:
        self.started, self.variant, self.count = started, variant, 0

    def __call__(self) -> str:
        self.count += 3
        lines = [f'n_total{{variant="{self.variant}",bucket="{b}"}} {self.count}' for b in "01"]
        return "\n".join([*lines, f"process_start_time_seconds {self.started}", ""])


def config(folder: Path, *jobs: str, options: str = "") -> str:
    """Jobs whose targets are in files, so that they may change."""
    lines = ["global: {scrape_interval: 150ms, scrape_timeout: 150ms}", "scrape_configs:"]
    for job in jobs:
        (folder / f"{job}.json").write_text("[]")
        lines += [
            f"  - job_name: {job}",
            f"    file_sd_configs: [{{files: ['{folder}/{job}.json'], refresh_interval: 1s}}]",
            *([f"    {options}"] if options else []),
        ]
    return "\n".join(lines)


def target(folder: Path, job: str, *addresses: str, **labels: str) -> None:
    new = folder / f"{job}.new"
    new.write_text(json.dumps([{"targets": list(addresses), "labels": labels}]))
    new.replace(folder / f"{job}.json")


def scraped(source: Prometheus, selector: str, more: int, series: int = 1) -> None:
    """Wait until so many more scrapes are stored, of so many series."""
    begin = source.now()

    def done() -> bool:
        now = source.now()
        found = source.series(selector, begin, max(now, begin + 0.001))
        return sum(len(each.times) >= more for each in found) >= series

    assert wait_for(done, DEADLINE_SECONDS)


def look(source: Prometheus, begin: float, *selectors: str) -> Samples:
    now = source.now()
    return read(source, [Window(0, begin, now)], selectors, now)


def trouble(found: Samples, selector: str = COUNT) -> str:
    why = found.trouble(selector)
    return why.code if why else ""


@pytest.fixture(params=[TWO, THREE], ids=["prometheus-2", "prometheus-3"])
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Path, Prometheus]]:
    text = config(tmp_path, "models", "again")
    with serving(tmp_path, config=text, program=program(request.param)) as url:
        yield tmp_path, Prometheus(url)


@pytest.mark.parametrize("apart", [0.04, 4.0, 600.0])
def test_workers_that_answer_in_turn(server: tuple[Path, Prometheus], apart: float) -> None:
    folder, source = server
    workers, turn = [Process(START + i * apart) for i in range(3)], iter(range(10**9))
    for worker in workers:
        worker.count = 1000 * int(worker.started)

    def in_turn() -> str:
        return workers[(7 * next(turn)) % 5 % 3]()

    with page(in_turn) as address:
        begin = source.now()
        target(folder, "models", address)
        scraped(source, COUNT, 25)
        assert trouble(look(source, begin, COUNT)) == "severalProcesses"


def test_a_clock_that_is_set(server: tuple[Path, Prometheus]) -> None:
    folder, source = server
    process = Process()
    with page(process) as address:
        target(folder, "models", address)
        scraped(source, COUNT, 5)
        begin = source.now()
        for step in (7.0, -20.0, 3600.0):
            scraped(source, COUNT, 4)
            process.started += step
        scraped(source, COUNT, 4)
        found = look(source, begin, COUNT)
    watched = found.coverage(COUNT)
    assert watched is not None
    assert (trouble(found), watched.restarts, watched.falls) == ("", 0, 0)
    counted = found.rows(COUNT, cut(found.windows, 1e6)).total().sum()
    assert 0 < counted <= 2 * 3 * 100
    (one, _) = found.found[COUNT]
    inside = one.values[one.times > begin]
    assert counted == 2 * (inside[-1] - inside[0])


@pytest.mark.parametrize("second", ["port", "job"])
def test_a_process_that_is_scraped_twice(server: tuple[Path, Prometheus], second: str) -> None:
    folder, source = server
    process = Process()
    with page(process) as one, page(process) as two:
        target(folder, "models", *([one, two] if second == "port" else [one]))
        target(folder, "again", *([one] if second == "job" else []))

        def told() -> bool:
            begin = source.now()
            scraped(source, COUNT, 12, series=2)
            return trouble(look(source, begin, COUNT)) == "scrapedTwice"

        # Where the machine is busy, two scrapes overlap, and the later one has the older count.
        assert wait_for(told, DEADLINE_SECONDS)


@pytest.mark.parametrize("fate", ["gone", "down"])
def test_scaled_to_zero(server: tuple[Path, Prometheus], fate: str) -> None:
    folder, source = server
    other = Process(START + 9, "b")
    with page(other) as control:
        target(folder, "again", control)
        with page(Process()) as first:
            target(folder, "models", first, service="a")
            scraped(source, COUNT, 5)
            begin = source.now()
            scraped(source, COUNT, 5)
            if fate == "gone":
                target(folder, "models")
                up = f'up{{instance="{first}"}}'
                assert wait_for(lambda: not recent(source, up), DEADLINE_SECONDS)
        scraped(source, 'n_total{variant="b"}', 40)
        with page(Process(source.now())) as second:
            target(folder, "models", second, service="a")
            scraped(source, COUNT, 5)
            found = look(source, begin, COUNT, 'n_total{variant="b"}')
    watched = found.coverage(COUNT)
    assert watched is not None
    if fate == "gone":
        assert watched.covered_ratio == 1.0
        assert found.absent_seconds(COUNT) > 3
    else:
        assert watched.covered_ratio < 0.9
        assert found.absent_seconds(COUNT) == 0


def recent(source: Prometheus, selector: str) -> bool:
    now = source.now()
    return bool(source.series(selector, now - 1.5, now))


def histogram() -> Callable[[], str]:
    rng = np.random.default_rng(1)
    cells = np.zeros(4)

    def text() -> str:
        cells[:] += rng.poisson([5, 3, 1, 1])
        upto = np.cumsum(cells).astype(int).tolist()
        lines = ["# TYPE t_seconds histogram"]
        for le, value in zip(("0.5", "1", "20", "+Inf"), upto, strict=True):
            lines.append(f't_seconds_bucket{{variant="a",le="{le}"}} {value}')
        lines += [f't_seconds_count{{variant="a"}} {upto[-1]}', 't_seconds_sum{variant="a"} 7']
        return "\n".join([*lines, f"process_start_time_seconds {START}", ""])

    return text


BUCKETS = 't_seconds_bucket{variant="a"}'


def test_an_upgrade_of_prometheus_renames_buckets_and_nothing_is_born(tmp_path: Path) -> None:
    text = config(tmp_path, "models")
    with page(histogram()) as address:
        with serving(tmp_path, config=text, program=program(TWO)) as url:
            target(tmp_path, "models", address)
            source = Prometheus(url)
            scraped(source, BUCKETS, 3)
            begin = source.now()
            scraped(source, BUCKETS, 8)
        with serving(tmp_path, config=text.replace("[]", ""), program=program(THREE)) as url:
            target(tmp_path, "models", address)
            source = Prometheus(url)
            scraped(source, BUCKETS, 8)
            assert source.series('t_seconds_bucket{le="1"}', source.now() - 1, source.now())
            found = look(source, begin, BUCKETS)
    assert len(found.found[BUCKETS]) == 4
    summary = summarize("quantile", found, {"histogram": BUCKETS}, cut(found.windows, 1e6))
    assert isinstance(summary, Histogram)
    assert summary.edges == (0.5, 1.0, 20.0)
    last = next(s for s in found.found[BUCKETS] if s.labels["le"] == "+Inf")
    inside = last.values[last.times > begin]
    assert summary.counts.sum() == inside[-1] - inside[0]


@pytest.mark.parametrize("selector", [BUCKETS, 't_seconds_count{variant="a"}'])
def test_a_native_histogram_is_told_and_never_a_zero(tmp_path: Path, selector: str) -> None:
    text = config(tmp_path, "models", options="convert_classic_histograms_to_nhcb: true")
    with (
        page(histogram()) as address,
        serving(tmp_path, config=text, program=program(THREE)) as url,
    ):
        target(tmp_path, "models", address)
        source = Prometheus(url)
        begin = source.now()
        scraped(source, "process_start_time_seconds", 8)
        found = look(source, begin, selector)
    assert trouble(found, selector) == "notACounter"
    assert "t_seconds is a native histogram" in found.unreadable[selector]
    assert "always_scrape_classic_histograms" in found.unreadable[selector]
