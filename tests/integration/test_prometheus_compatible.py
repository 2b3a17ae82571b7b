"""What speaks the language of Prometheus gives the same numbers, or says that it does not.

Every server gets the same samples by remote write, staleness markers included. The truth is what
abctl makes of every one of those samples, without any server.
"""

import os
import socket
import struct
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from abctl.core import polls as polls_module
from abctl.core.polls import Window
from abctl.errors import SourceError
from abctl.services import read as read_module
from abctl.services.evidence import Samples
from abctl.services.read import read
from abctl.sources import Outline, Series, Source
from abctl.sources._outline import outline_of
from abctl.sources._promql import Selector
from abctl.sources.prometheus import Prometheus

FIND = Path(__file__).parents[2] / ".ci/compatible"
INTERVAL, SCRAPES = 5.0, 900
# The history ends now: what servers do about the newest samples matters.
BEGIN = float(int(time.time()) - INTERVAL * SCRAPES)
END = BEGIN + INTERVAL * SCRAPES
OFFSETS = {"calm": 0.0, "odd": 3.217, "restarts": 2.5, "silent": 1.0, "late": 4.0, "falls": 1.003}
STARTS = "process_start_time_seconds"
SELECTORS = ('n_total{variant="a"}', 'rare_total{variant="a"}')
STALE_BITS = 0x7FF0000000000002
PATIENCE_SECONDS = 90.0
# It takes ten minutes of a processor to build: `.ci/compatible thanos`.
NOT_IN_CI = ("thanos",)
Labels = tuple[tuple[str, str], ...]


def history() -> dict[Labels, list[tuple[int, float]]]:
    """Samples (milliseconds, value) by series; NaN is the end of one, for now."""
    rng = np.random.default_rng(7)
    found: dict[Labels, list[tuple[int, float]]] = {}
    for target, offset in OFFSETS.items():
        n, few, started = 0, 0, BEGIN - 100.5
        for i in range(600 if target == "late" else 0, SCRAPES):
            at = BEGIN + i * INTERVAL + offset
            if target in ("restarts", "silent") and i in (310, 555, SCRAPES - 3):
                n, few, started = (5000 if i == 555 else 0), 0, at - 2.0
            if target == "falls" and i == 441:
                n, few = n // 2, few // 2
            if target == "late" and i == 600:
                started = at - 2.0
            n, few = n + int(rng.poisson(4)), few + int(rng.random() < 0.02)
            page = {"n_total": n, "rare_total": few or None}
            page |= {} if target in ("odd", "silent") else {STARTS: started}
            missed = target == "odd" and i % 200 in range(150, 156)
            died = target == "calm" and i > SCRAPES - 100
            _store(found, target, at, {} if missed or died else page)
            if target == "odd":
                _store(found, target, at, {"up": float(not missed)}, ends=False)
    return found


def _store(
    found: dict[Labels, list[tuple[int, float]]],
    target: str,
    at: float,
    page: Mapping[str, float | None],
    *,
    ends: bool = True,
) -> None:
    variant = {"variant": "a"}
    for name in ("n_total", "rare_total", STARTS) if ends else page:
        labels = {"__name__": name, "instance": f"{target}:80", "job": "models"} | variant
        series = tuple(sorted(labels.items()))
        if (value := page.get(name)) is not None:
            found.setdefault(series, []).append((round(at * 1000), float(value)))
        elif series in found and not np.isnan(found[series][-1][1]):
            found[series].append((round(at * 1000), np.nan))


@dataclass
class Truth:
    """A source that holds every sample."""

    samples: Mapping[Labels, Sequence[tuple[int, float]]]
    place: str = "the truth"

    def now(self) -> float:
        return END

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


# Remote write: protocol buffers, and a snappy that does not compress.


def varint(number: int) -> bytes:
    head = bytearray()
    while number > 0x7F:
        head.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*head, number])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def sample(ms: int, value: float) -> bytes:
    number = struct.pack("<Q", STALE_BITS) if np.isnan(value) else struct.pack("<d", value)
    return b"\x09" + number + b"\x10" + varint(ms)


def request(series: Iterable[tuple[Labels, Sequence[tuple[int, float]]]]) -> bytes:
    whole = b"".join(
        field(
            1,
            b"".join(field(1, field(1, k.encode()) + field(2, v.encode())) for k, v in labels)
            + b"".join(field(2, sample(*each)) for each in samples),
        )
        for labels, samples in series
    )
    parts = [whole[i : i + 60_000] for i in range(0, len(whole), 60_000)]
    literals = (b"\xf4" + struct.pack("<H", len(each) - 1) + each for each in parts)
    return varint(len(whole)) + b"".join(literals)


def push(url: str) -> None:
    """Write the history in the order of time, some minutes at a time."""
    samples = history()
    headers = {
        "content-type": "application/x-protobuf",
        "content-encoding": "snappy",
        "x-prometheus-remote-write-version": "0.1.0",
    }
    edges = np.arange(BEGIN * 1000, (BEGIN + SCRAPES * INTERVAL + 300) * 1000, 300_000)
    for first, last in pairwise(edges):
        some = [(k, [s for s in v if first <= s[0] < last]) for k, v in samples.items()]
        body = request((k, v) for k, v in some if v)
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as got:
            assert got.status in (200, 204)


# The servers.


def program(name: str) -> str:
    found = subprocess.run([FIND, "--cached", name], check=False, capture_output=True, text=True)
    if found.returncode:
        if os.environ.get("CI") == "true" and name not in NOT_IN_CI:
            pytest.fail(found.stderr)
        pytest.skip(found.stderr.strip())
    return found.stdout.strip()


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@contextmanager
def running(folder: Path, port: int, ready: str, command: Sequence[object]) -> Iterator[str]:
    """A process, from when it says at `ready` that it is, until the end; gives its address."""
    url, log = f"http://127.0.0.1:{port}", folder / "log"
    folder.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        words = list(map(str, command))
        process = subprocess.Popen(words, cwd=folder, stdout=file, stderr=subprocess.STDOUT)
        try:
            until(lambda: answers(url + ready), lambda: process.poll() is None, log)
            yield url
        finally:
            process.terminate()
            process.wait(60)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def until(done: Callable[[], bool], alive: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        assert alive(), log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


@contextmanager
def prometheus(folder: Path, *more: str, name: str = "prometheus") -> Iterator[tuple[str, str]]:
    """Gives the address, and the one to write to."""
    (port,) = free_ports(1)
    folder.mkdir()
    (folder / "config.yaml").write_text("global: {external_labels: {replica: one}}\n")
    command = [
        program(name),
        "--config.file=config.yaml",
        "--storage.tsdb.path=data",
        "--web.enable-remote-write-receiver",
        f"--web.listen-address=127.0.0.1:{port}",
        *more,
    ]
    with running(folder, port, "/-/ready", command) as url:
        yield url, f"{url}/api/v1/write"


@contextmanager
def victoria(folder: Path, *more: str) -> Iterator[tuple[str, str]]:
    (port,) = free_ports(1)
    address = f"-httpListenAddr=127.0.0.1:{port}"
    command = [program("victoria-metrics"), address, "-storageDataPath=data", *more]
    with running(folder, port, "/health", command) as url:
        yield url, f"{url}/api/v1/write"


@contextmanager
def thanos(folder: Path, *more: str) -> Iterator[tuple[str, str]]:
    """A querier, a sidecar, and the Prometheus that it sits beside."""
    here = "127.0.0.1"
    grpc, http, own_grpc, own_http = free_ports(4)
    with ExitStack() as stack:
        behind, write = stack.enter_context(prometheus(folder, name="prometheus-3"))
        sidecar = [program("thanos"), "sidecar", f"--prometheus.url={behind}"]
        sidecar += [f"--grpc-address={here}:{grpc}", f"--http-address={here}:{http}"]
        stack.enter_context(running(folder / "sidecar", http, "/-/ready", sidecar))
        query = [program("thanos"), "query", f"--endpoint={here}:{grpc}"]
        query += [f"--grpc-address={here}:{own_grpc}", f"--http-address={here}:{own_http}"]
        query += ["--query.replica-label=replica", *more]
        yield stack.enter_context(running(folder / "query", own_http, "/-/ready", query)), write


Started = AbstractContextManager[tuple[str, str]]
SERVERS: Mapping[str, Callable[..., Started]] = {
    "prometheus": prometheus,
    "prometheus-3": partial(prometheus, name="prometheus-3"),
    "victoria-metrics": victoria,
    "thanos": thanos,
}


@contextmanager
def filled(name: str, folder: Path, *more: str) -> Iterator[str]:
    """The address of a server that has the history, and gives it away."""
    with SERVERS[name](folder, *more) as (url, write):
        push(write)
        last = [max(ms for ms, _ in samples) / 1000 for samples in history().values()]
        behind = max(last) - INTERVAL

        def stored() -> bool:
            found = Prometheus(url).series("n_total", behind, END)
            return len(found) == len(Truth(history()).series("n_total", behind, END))

        until(stored, lambda: True, folder / "log")
        yield url


@pytest.fixture(scope="module", params=SERVERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of a server that has the history."""
    with filled(request.param, tmp_path_factory.mktemp("servers") / request.param) as url:
        yield url


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A short history is made to look like a long one."""
    monkeypatch.setattr(polls_module, "EVEN_POLLS", 32)
    monkeypatch.setattr(read_module, "EVEN_POLLS", 32)
    monkeypatch.setattr(read_module, "_CHUNK_SECONDS", 900.0)
    return monkeypatch


# The end of the last one is now, and cells that end there are shorter than a minute.
WINDOWS = {
    "long": [
        Window(0, BEGIN + 100.0, BEGIN + 1501.003),
        Window(1, BEGIN + 1530.0, BEGIN + 2253.217),
        Window(2, BEGIN + 2253.217, END),
    ],
    "young": [Window(0, END - 1200.0, END)],
}


@pytest.mark.parametrize("age", WINDOWS)
@pytest.mark.parametrize("thin", [True, False], ids=["thinned", "whole"])
def test_the_result_is_that_of_every_sample(
    server: str, small: pytest.MonkeyPatch, age: str, thin: bool
) -> None:
    truth = read_all(Truth(history()), WINDOWS[age], small)
    if thin:
        some = read(Prometheus(server), WINDOWS[age], SELECTORS, END)
    else:
        some = read_all(Prometheus(server), WINDOWS[age], small)
    assert_same(some, truth)


def read_all(source: Source, windows: Sequence[Window], patch: pytest.MonkeyPatch) -> Samples:
    with patch.context() as whole:
        whole.setattr(read_module, "EVEN_POLLS", 10**9)
        return read(source, windows, SELECTORS, END)


def assert_same(some: Samples, every: Samples) -> None:
    for selector in SELECTORS:
        polls = some.polls(SELECTORS)
        np.testing.assert_array_equal(polls.edges, every.polls(SELECTORS).edges)
        rows = [samples.rows(selector, polls) for samples in (some, every)]
        assert rows[0].labels == rows[1].labels
        assert rows[0].total().sum() > 0
        np.testing.assert_array_equal(rows[0].by_poll, rows[1].by_poll)
        assert some.coverage(selector) == every.coverage(selector)


def test_its_clock_is_the_present(server: str) -> None:
    before = time.time()
    now = Prometheus(server).now()
    assert before - 1.0 <= now <= time.time() + 1.0


def test_how_long_it_keeps_samples_is_known_or_not(server: str) -> None:
    kept = Prometheus(server).retention_seconds()
    assert kept is None or kept > 86_400


def test_a_limit_of_samples_makes_questions_smaller(
    tmp_path: Path, small: pytest.MonkeyPatch
) -> None:
    with filled("prometheus", tmp_path / "server", "--query.max-samples=2500") as url:
        with pytest.raises(SourceError, match="too many samples"):
            Prometheus(url)._ask("n_total[1d]", {"time": str(END)})
        truth = read_all(Truth(history()), WINDOWS["long"], small)
        assert_same(read(Prometheus(url), WINDOWS["long"], SELECTORS, END), truth)
        assert_same(read_all(Prometheus(url), WINDOWS["long"], small), truth)
