"""`abctl scrape` through the real command line."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from abctl.cli.main import run
from abctl.sources.scrape import Scraped


class Server(ThreadingHTTPServer):
    """Has one page."""

    body = b'ab_requests_total{variant="a"} 7\nhttp_requests_total 3\n'

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.server_port}"


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(server.body)

        def log_message(self, *_: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def target(server: Server) -> str:
    return server.target


@pytest.mark.parametrize(
    ("body", "instead"),
    [
        (b'{"status": "ok"}', 'JSON: {"status": "ok"}'),
        (b"<!doctype html><title>Sign in</title>", "a web page (Sign in)"),
        (b"Hello there", "text: Hello there"),
    ],
)
def test_what_is_no_metrics_page_is_an_error_of_the_source(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], body: bytes, instead: str
) -> None:
    server.body, file = body, tmp_path / "pages.jsonl"
    assert run(["scrape", server.target, "-f", str(file), "--for", "1s"]) == 6
    error, hint = capsys.readouterr().err.splitlines()
    assert error == f"error: {server.target}: no metrics page but {instead}"
    assert hint.startswith("hint: is it the right port?")
    assert file.read_bytes() == b""


def test_it_reads_for_a_while_and_says_what_it_did(
    target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pages.jsonl"
    options = ["-f", str(file), "--interval", "0.1s", "--for", "0.35s", "--keep", "http_"]
    assert run(["scrape", target, *options]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    (found,) = Scraped(file).series("http_requests_total", 0, Scraped(file).now())
    assert f"{len(found.times)} rounds in {file}\n" == err
    assert Scraped(file).series("ab_requests_total", 0, Scraped(file).now()) == []


@pytest.mark.process
def test_an_interrupt_leaves_whole_rounds_and_says_so(target: str, tmp_path: Path) -> None:
    file = tmp_path / "pages.jsonl"
    command = [sys.executable, "-c", "from abctl.cli.main import main; main()", "scrape", target]
    process = subprocess.Popen(
        [*command, "127.0.0.1:1", "-f", str(file), "--interval", "0.1s"],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not file.exists() or file.read_bytes().count(b"\n") < 2:
            assert process.poll() is None
        os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == 130
    assert "silent: 127.0.0.1:1\n" in err
    assert "error: interrupted after " in err
    assert f"all of them in {file}\nhint: the same command goes on with it\n" in err
    assert Scraped(file).series("ab_requests_total", 0, Scraped(file).now())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Missing argument"),
        (["model"], "'model' is not a target"),
        (["m:80", "--interval", "15"], "'15' is not a duration"),
        (["m:80", "--interval", "0s"], "must be more than 0"),
    ],
)
def test_what_makes_no_sense_is_told(
    options: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["scrape", *options]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
