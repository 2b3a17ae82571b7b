"""The scraper's file: what comes in, what comes out, and what it is robust against."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from abctl.errors import SourceError, UsageError
from abctl.sources.scrape import Scraped, Scraper, Target, parse_target

PAGE = """# HELP ab_requests_total Requests.
# TYPE ab_requests_total counter
ab_requests_total{variant="a",path="/x y}",} 7
ab_requests_total{variant="b",path="\\\\\\"\\n"} 8e0 1700000000000
ab_up 1
go_threads 12
"""


class Page:
    body: bytes = PAGE.encode()
    status: int = 200


@pytest.fixture
def page() -> Iterator[Page]:
    served = Page()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(served.status)
            self.end_headers()
            self.wfile.write(served.body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        served.address = f"127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
        yield served
        server.shutdown()
        thread.join()


def address(page: Page) -> str:
    return str(page.address)  # type: ignore[attr-defined]


def test_every_kind_of_line_comes_back_with_its_labels(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "pages.jsonl"
    with Scraper(file, [Target(address(page))]) as scraper:
        assert scraper.scrape(1.5) == []
    found = Scraped(file).series("ab_requests_total", 0, 2)
    assert [(dict(s.labels), s.times.tolist(), s.values.tolist()) for s in found] == [
        (
            {
                "__name__": "ab_requests_total",
                "variant": variant,
                "path": path,
                "job": "scrape",
                "instance": address(page),
            },
            [1.5],
            [value],
        )
        for variant, path, value in (("a", "/x y}", 7), ("b", '\\"\n', 8))
    ]
    assert Scraped(file).series("go_threads", 0, 2) == []


def test_a_target_may_be_told_which_variant_it_is(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "pages.jsonl"
    with Scraper(file, [parse_target(f"treatment={address(page)}")], ("go_",)) as scraper:
        scraper.scrape(1)
    (found,) = Scraped(file).series('go_threads{variant="treatment"}', 0, 2)
    assert found.values.tolist() == [12]


def test_another_round_goes_on_after_one_that_was_killed(page: Page, tmp_path: Path) -> None:
    file, targets = tmp_path / "pages.jsonl", [Target(address(page))]
    for at in (1, 2):
        with Scraper(file, targets) as scraper:
            scraper.scrape(at)
        with file.open("a") as cut_short:
            cut_short.write('{"at": 1.5, "job": "scr')
    source = Scraped(file)
    assert source.series("ab_up", 0, 9)[0].times.tolist() == [1, 2]
    with Scraper(file, targets) as scraper:
        scraper.scrape(3)
    assert Scraped(file).series("ab_up", 0, 9)[0].times.tolist() == [1, 2, 3]


def test_two_do_not_write_one_file(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "pages.jsonl"
    with (
        Scraper(file, [Target(address(page))]),
        pytest.raises(SourceError, match="another abctl scrape writes to it"),
    ):
        Scraper(file, [Target(address(page))])
    with pytest.raises(UsageError, match="a folder, not a file"):
        Scraper(tmp_path, [])


def test_a_file_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "iris.yaml"
    file.write_text("kind: Experiment, without an end of the line")
    with pytest.raises(SourceError, match="is not a file of scrapes"):
        Scraper(file, [])
    assert file.read_text() == "kind: Experiment, without an end of the line"


def test_what_is_no_page_is_silence_and_no_sample(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "pages.jsonl"
    with Scraper(file, [Target(address(page))]) as scraper:
        page.status = 503
        assert scraper.scrape(1) == [f"{address(page)} (HTTP 503)"]
        assert scraper.strangers == {}
        page.status, page.body = 200, b"<!doctype html><title>Sign in</title>"
        assert scraper.scrape(1.5) == [f"{address(page)} (a web page (Sign in))"]
        page.status, page.body = 200, b"ab_x 1\nab_up \xff 1\n"
        assert scraper.scrape(2) == []
        (remark,) = scraper.remarks
        assert "1 lines left out that cannot be read" in remark
    assert Scraped(file).series("ab_up", 0, 9) == []
    assert len(Scraped(file).series("ab_x", 0, 9)) == 1


@pytest.mark.parametrize("body", [b"", b"# TYPE a counter\n", b"go_threads 12\n"])
def test_a_page_without_what_is_kept_is_a_page(page: Page, tmp_path: Path, body: bytes) -> None:
    page.body = body
    with Scraper(tmp_path / "pages.jsonl", [Target(address(page))]) as scraper:
        assert scraper.scrape(1) == []
        (remark,) = scraper.remarks
        assert "begins with ab_" in remark


@pytest.mark.parametrize(
    "text",
    ["", "host", "host:x", "host:99999", "a=b", "ftp://h:1", "u@h:1", "http://u:p@h", "http://h:x"],
)
def test_what_is_no_target_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="is not a target"):
        parse_target(text)


def test_targets() -> None:
    assert parse_target("[::1]:80") == Target("[::1]:80")
    assert parse_target("a=h:80") == Target("h:80", {"variant": "a"})
    for text, variant, url in (
        ("h:80", "", "http://h:80/metrics"),
        ("http://h:80", "", "http://h:80/metrics"),
        ("https://h/stats/prometheus", "", "https://h/stats/prometheus"),
        ("b=https://[::1]:8/m?a=b", "b", "https://[::1]:8/m?a=b"),
        ("https://h/m?a=b", "", "https://h/m?a=b"),
    ):
        found = parse_target(text)
        assert (found.labels.get("variant", ""), found.url) == (variant, url)
