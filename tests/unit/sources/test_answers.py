"""A server that is meant to be a Prometheus may send anything, for ever: every question ends."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from abctl.errors import SourceAwayError, SourceError
from abctl.sources import _answers, _metrics_page
from abctl.sources.prometheus import Prometheus
from abctl.sources.scrape import Scraper, Target

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Its address; whatever is not HTTP can be answered as well."""

    def one(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.recv(2**16)
            answer(client)
            client.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=one, args=(listening.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


def again(head: bytes, piece: bytes, pause: float) -> Callable[[socket.socket], None]:
    def answer(client: socket.socket) -> None:
        client.sendall(head)
        while True:
            client.sendall(piece)
            time.sleep(pause)

    return answer


SLOW = [
    again(HEAD + b"\r\n", b" ", 0.02),
    again(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n", 0.04),
    again(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.02),
]


@pytest.mark.parametrize("answer", SLOW, ids=["body", "head", "continue"])
def test_who_sends_a_byte_now_and_then_is_not_waited_for(
    answer: Callable[[socket.socket], None],
) -> None:
    with server(answer) as address:
        prometheus = Prometheus(f"http://{address}", {"timeout_seconds": 0.2})
        began = time.monotonic()
        with pytest.raises(SourceAwayError, match="did not answer within"):
            prometheus.now()
        assert prometheus.retention_seconds() is None
        assert time.monotonic() - began < 10


def test_an_endless_answer_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_answers, "LARGEST_BYTES", 2**21)
    with (
        server(again(HEAD + b"\r\n", b"x" * 2**16, 0)) as address,
        pytest.raises(SourceError, match="too many samples: over 2,097,152 bytes"),
    ):
        Prometheus(f"http://{address}").now()


@pytest.mark.parametrize("code", [b"200 OK", b"400 Bad Request"])
def test_an_answer_may_be_nested_too_deeply(code: bytes) -> None:
    deep = b"HTTP/1.0 " + code + b"\r\n\r\n" + b"[" * 100_000
    with (
        server(lambda client: client.sendall(deep)) as address,
        pytest.raises(SourceError, match=r"does not answer as|refused"),
    ):
        Prometheus(f"http://{address}").now()


def test_where_a_path_leads_on_to_is_told_whole() -> None:
    moved = b"HTTP/1.1 302 Found\r\nlocation: /login?next=x\r\ncontent-length: 0\r\n\r\n"
    with (
        server(lambda client: client.sendall(moved)) as address,
        pytest.raises(SourceError, match=f"redirects to http://{address}/login "),
    ):
        Prometheus(f"http://{address}").now()


@pytest.mark.parametrize("answer", SLOW, ids=["body", "head", "continue"])
def test_a_page_without_an_end_is_silence(
    answer: Callable[[socket.socket], None],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_metrics_page, "_LONGEST_SECONDS", 0.3)
    file = tmp_path_factory.mktemp("scrapes") / "pages.jsonl"
    with server(answer) as address, Scraper(file, [Target(address)]) as scraper:
        began = time.monotonic()
        (told,) = scraper.scrape(1)
        assert told.startswith(address)
        assert scraper.strangers == {}
        assert time.monotonic() - began < 10
    assert file.read_bytes() == b""


def test_a_page_that_was_cut_off_is_silence(tmp_path_factory: pytest.TempPathFactory) -> None:
    # 1234 requests would be 12 of them: a restart that never was.
    cut = HEAD + b"content-length: 99\r\n\r\nab_requests_total 12"
    file = tmp_path_factory.mktemp("scrapes") / "pages.jsonl"
    with (
        server(lambda client: client.sendall(cut)) as address,
        Scraper(file, [Target(address)]) as scraper,
    ):
        (told,) = scraper.scrape(1)
        assert told.startswith(address)
        assert scraper.strangers == {}
    assert file.read_bytes() == b""
