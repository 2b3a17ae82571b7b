"""A disk that is really full: nothing that need not end does, and it is said which disk it is."""

from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from abctl.cli.main import run
from abctl.errors import SourceError
from abctl.local import disk, lifecycle, stack
from abctl.local.identity import wait_for
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
