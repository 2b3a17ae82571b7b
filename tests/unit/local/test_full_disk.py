"""A disk that is really full: nothing that need not end does, and it is said which disk it is."""

import errno
import mmap
import os
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from abctl.cli.main import run
from abctl.core.experiment import Experiment
from abctl.errors import ClusterError, SourceError
from abctl.local import disk, lifecycle, stack
from abctl.local.identity import wait_for
from abctl.local.plan import Plan
from abctl.sources.scrape import Scraped, Scraper, Target

SECONDS = 20.0
# Ready like any other; fills the disk when it is told to, and ends by that.
FILLER = """
import http.server as h, os, pathlib, sys, threading, time
def fill():
    while not pathlib.Path("go").exists():
        time.sleep(0.02)
    file = os.open("filler", os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(file, bytes(4096))
    except OSError:
        os._exit(3)
threading.Thread(target=fill).start()
h.test(h.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind="127.0.0.1")
"""
SERVE = """
import http.server as h, sys
h.test(h.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind="127.0.0.1")
"""
Launch = Callable[..., Path]


def fill(folder: Path) -> Path:
    path = folder / "filler"
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    assert disk.full(folder)
    return path


def test_the_stack_outlives_a_full_disk_which_is_named(
    small_disk: Path,
    launch: Launch,
    started: Callable[[], dict[int, str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    state_dir = launch(under=small_disk, server=SERVE, filler=FILLER)
    lifecycle.wait_ready(state_dir, SECONDS, lambda _: None)
    assert disk.full(state_dir) is None
    (state_dir / "go").touch()
    assert wait_for(lambda: [p.name for p in stack.read(state_dir).dead] == ["filler"], SECONDS)
    assert run(["local", "status", "--state", str(state_dir)]) == 5
    err = capsys.readouterr().err
    assert "filler ended" in err
    assert f"the disk of {state_dir} ({small_disk}) is full: 0.0 of 2 MB are free" in err
    # The supervisor and the other process go on, as do their readers.
    assert len(started()) == 2
    (state_dir / "filler").unlink()
    assert wait_for(lambda: "code 3" in stack.read(state_dir).dead[0].ending, SECONDS)
    assert run(["local", "status", "--state", str(state_dir)]) == 5
    assert "is full" not in capsys.readouterr().err
    assert lifecycle.stop(state_dir)


@pytest.fixture
def _tiny(plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An experiment is at hand, and `abctl local up` starts tiny servers."""

    def planned(_: Experiment, state_dir: Path, *__: object, tied: bool, **___: object) -> Plan:
        return plan(state_dir, tied=tied)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("abctl.local.mlserver.require_installed", lambda: None)
    monkeypatch.setattr("abctl.session.local_stack.planned", planned)
    monkeypatch.setattr("abctl.session.local_stack._models", lambda *_: {})
    assert run(["init", "iris.yaml"]) == 0


# A start needs some twenty pages: a ledger, routes, a plan, logs, a state.
@pytest.mark.parametrize("pages", [0, 1, 3, 15, 18, 19, 20, 21])
@pytest.mark.usefixtures("_tiny")
def test_a_start_on_a_full_disk_says_so_however_little_is_left(
    pages: int,
    small_disk: Path,
    started: Callable[[], dict[int, str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    filler = fill(small_disk)
    os.truncate(filler, filler.stat().st_size - pages * mmap.PAGESIZE)
    state_dir = small_disk / "iris"
    words = ["--models", ".", "--state", str(state_dir), "--timeout", "3"]
    assert run(["local", "up", "iris.yaml", *words]) == 2
    error, hint = capsys.readouterr().err.split("\nhint: ")
    assert "error: " in error
    assert hint.startswith(f"the disk of {state_dir} ({small_disk}) is full: 0.")
    assert not started()


@pytest.mark.usefixtures("_tiny")
def test_a_folder_that_cannot_be_written_is_no_fault_of_the_stack(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("file").touch()
    for place in ("/sys/abctl", "file/stack"):
        capsys.readouterr()
        assert run(["local", "up", "iris.yaml", "--models", ".", "--state", place]) == 2
        assert f"{place} cannot be written: " in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.EAGAIN, errno.ENOENT])
def test_what_has_nothing_to_do_with_the_folder_is_not_said_of_it(
    number: int, tmp_path: Path
) -> None:
    for error in (OSError(number, "?"), OSError(number, "?", "/elsewhere/file")):
        assert disk.refusal(error, tmp_path, starting=True) is None
    elsewhere = PermissionError(errno.EACCES, "Permission denied", "/elsewhere/file")
    assert disk.refusal(elsewhere, tmp_path, starting=True) is None
    assert disk.refusal(ClusterError("ended", "its log"), tmp_path, starting=True) is None


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"".join(b'ab_requests_total{bucket="%d"} 1\n' % i for i in range(2000)))

    def log_message(self, *_: object) -> None:
        pass


def test_what_cannot_be_scraped_onto_a_full_disk_is_a_gap_and_not_half_a_line(
    small_disk: Path,
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    Thread(target=server.serve_forever, daemon=True).start()
    path, target = small_disk / "scrapes.jsonl", Target(f"127.0.0.1:{server.server_port}")
    with Scraper(path, [target]) as scraper:
        scraper.scrape(1.0)
        whole = path.read_bytes()
        filler = fill(small_disk)
        with pytest.raises(SourceError, match=r"scrapes\.jsonl: No space left on device"):
            scraper.scrape(2.0)
        assert path.read_bytes() == whole
        filler.unlink()
        scraper.scrape(3.0)
    found = Scraped(path).series('ab_requests_total{bucket="7"}', 0.0, 9.0)
    assert [series.times.tolist() for series in found] == [[1.0, 3.0]]
    server.shutdown()
    server.server_close()
