"""Pages as the libraries of Prometheus write them, and what else a server may answer."""

import gzip
import json
import math
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, Summary, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as of_openmetrics
from prometheus_client.parser import text_string_to_metric_families as of_text
from prometheus_client.registry import Collector

from abctl.core.selector import plain_labels
from abctl.sources import _metrics_page
from abctl.sources._page_lines import kept_of, labels_of, sample_of
from abctl.sources.scrape import Scraped, Scraper, parse_target
from abctl.sources.series import key_of

START = "process_start_time_seconds"
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)


@contextmanager
def serving(
    answer: Callable[[BaseHTTPRequestHandler], None], context: ssl.SSLContext | None = None
) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def says(body: bytes, status: int = 200, **headers: str) -> Callable[..., None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def scraped(address: str, file: Path) -> tuple[list[str], list[str]]:
    with Scraper(file, [parse_target(address)]) as scraper:
        return scraper.scrape(1.0), scraper.remarks


def registry(labels: list[str]) -> CollectorRegistry:
    found = CollectorRegistry()
    for name, unit in (("ab_requests", ""), ("ab_work_seconds", "seconds")):
        counter = Counter(name, 'Of "all" \\ kinds.\nMore.', ["path"], registry=found, unit=unit)
        for i, label in enumerate(labels):
            counter.labels(label).inc(i + 0.5, {"trace_id": "6c1011d3"})
    timed = Histogram("ab_time", "Time.", ["path"], registry=found, buckets=(0.5, 1, 2.5, 1e6))
    told = Summary("ab_said", "Said.", ["path"], registry=found)
    dotted = Counter("ab_späte.requests", "Named in UTF-8.", ["the path"], registry=found)
    for label in labels:
        dotted.labels(label).inc(2)
        timed.labels(label).observe(0.7, {"trace_id": "7d"})
        told.labels(label).observe(3)

    class Timed(Collector):
        """Samples with times of their own, as federation has them."""

        def collect(self) -> Iterator[Metric]:
            family = CounterMetricFamily("ab_federated", "From elsewhere.", labels=["path"])
            for i, label in enumerate(labels):
                family.add_metric([label], i + 7.0, timestamp=1_795_959_402.5 + i)
            yield family

    found.register(Timed())
    return found


@given(
    st.lists(texts, min_size=1, max_size=4, unique=True),
    st.booleans(),
    st.sampled_from(["underscores", "allow-utf-8"]),
)
def test_every_page_of_the_client_library_is_read_as_its_own_parser_reads_it(
    labels: list[str], plain: bool, escaping: str
) -> None:
    made = registry(labels)
    writer = generate_latest if plain else openmetrics.generate_latest
    text = writer(made, escaping=escaping).decode()
    # What ends a line in its parser of text, and is part of a label of a page.
    families = of_text(text) if plain else of_openmetrics(text)
    if plain and any(c in label for label in labels for c in "\r\x0b\x0c"):
        return
    theirs = {
        key_of(plain_labels({**sample.labels, "__name__": sample.name})): sample.value
        for family in families
        for sample in family.samples
    }
    kept = kept_of(text, ["ab_"])
    assert kept.wrong == []
    ours = {}
    for line in kept.samples:
        series, value = sample_of(line)
        ours[key_of(plain_labels(labels_of(series)))] = value
    assert ours == theirs


@pytest.mark.parametrize(
    ("line", "labels", "value"),
    [
        ("a_total 1", {}, 1.0),
        ("a_total{} 1 1700000000000", {}, 1.0),
        ('a_total{b="c"} 1540.0 # {trace_id="6c"} 1.0 1795959402.9', {"b": "c"}, 1540.0),
        ('a_total{b="c"} 64.0 1795959402.9', {"b": "c"}, 64.0),
        ('a_total{b="c",} 1e3 # {} 1', {"b": "c"}, 1000.0),
        ('a_total{b="x # {y} 7"} 2', {"b": "x # {y} 7"}, 2.0),
        ('a_total\t{ b = "c" , d="}" }\t2', {"b": "c", "d": "}"}, 2.0),
        ('{"a_total",b="c"} 2', {"b": "c"}, 2.0),
        ('{"a_total","b.c"="d"} 2 # {t="1"} 1', {"b.c": "d"}, 2.0),
        ('a_total{b="\u2028\x85"} 3', {"b": "\u2028\x85"}, 3.0),
        ('a_total{b="c"} +Inf', {"b": "c"}, math.inf),
        ("a_total 1 # {", {}, 1.0),
    ],
)
def test_lines(line: str, labels: dict[str, str], value: float) -> None:
    found = sample_of(line)
    assert labels_of(found.series) == {"__name__": "a_total", **labels}
    assert found.value == value


@pytest.mark.parametrize(
    "line",
    [
        "a_total",
        "a_total x",
        "a_total 1_000",
        'a_total{b="c} 1',
        "a_total{b=c} 1",
        'a_total{b="c",b="d"} 1',
        '{b="c"} 1',
        '{"a","b"} 1',
        "a_total {count:5,sum:1.5,schema:3} ",
        "# a_total 1",
        "1 2",
    ],
)
def test_what_is_no_sample(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        labels_of(sample_of(line).series)


PLAIN = b'ab_requests_total{code="2xx"} 7\nab_wrong{ 1\nother 1\nprocess_start_time_seconds 5\n'


@pytest.mark.parametrize(
    "answer",
    [
        says(PLAIN),
        says(gzip.compress(PLAIN), Content_Encoding="gzip"),
        says(gzip.compress(PLAIN)),
        says(PLAIN, Content_Type="application/octet-stream"),
        says(PLAIN + b"# EOF\n", Content_Type="application/openmetrics-text; version=1.0.0"),
    ],
)
def test_pages_as_they_are_sent(answer: Callable[..., None], tmp_path: Path) -> None:
    file = tmp_path / "pages.jsonl"
    with serving(answer) as address:
        silent, remarks = scraped(address, file)
    assert silent == []
    assert len(remarks) == 1
    assert "1 lines left out" in remarks[0]
    assert "ab_wrong" in remarks[0]
    (found,) = Scraped(file).series('ab_requests_total{code="2xx"}', 0, 2)
    assert found.values.tolist() == [7.0]


def test_where_a_page_leads(tmp_path: Path) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/metrics":
            says(b"", 307, Location="/metrics/")(handler)
        elif handler.path == "/loop":
            says(b"", 302, Location="/loop")(handler)
        else:
            says(PLAIN)(handler)

    with serving(answer) as address:
        assert scraped(address, tmp_path / "a")[0] == []
        assert scraped(f"http://{address}/stats/prometheus?a=b", tmp_path / "b")[0] == []
        (told,) = scraped(f"http://{address}/loop", tmp_path / "c")[0]
    assert "redirects" in told
    (found,) = Scraped(tmp_path / "a").series("ab_requests_total", 0, 2)
    assert found.labels["instance"] == address


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (says(b"<html><title>Sign in</title></html>", Content_Type="text/html"), "a web page"),
        (says(b'{"status": "ok"}', Content_Type="application/json"), "JSON"),
        (says(b"not found", 404), "HTTP 404"),
        (says(b"x", Content_Encoding="br"), "compressed with br"),
        (says(b"x", Content_Encoding="gzip"), "says gzip and is not"),
        (says(gzip.compress(PLAIN)[:-9], Content_Encoding="gzip"), "says gzip and is not"),
        (says(b"\x0a\x10", Content_Type="application/vnd.google.protobuf"), "protobuf"),
        (says(PLAIN, Content_Type="application/openmetrics-text; version=1.0.0"), "cut off"),
        (says(b"ab_x 1\n" * 600), "more than"),
        (says(gzip.compress(b"ab_x 1\n" * 600), Content_Encoding="gzip"), "more than"),
    ],
)
def test_what_is_no_page_is_told_when_it_is_scraped(
    answer: Callable[..., None], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_metrics_page, "LARGEST_BYTES", 4000)
    with serving(answer) as address:
        (silent,), remarks = scraped(address, tmp_path / "pages.jsonl")
    assert told in silent
    assert remarks == []


@pytest.mark.process
def test_a_page_behind_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ["-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "2"]
    made += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(["openssl", "req", *made], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with serving(says(PLAIN), context) as address:
        (told,) = scraped(f"https://{address}", tmp_path / "a")[0]
        assert "a certificate that is not trusted" in told
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert scraped(f"https://{address}", tmp_path / "b")[0] == []


def test_a_series_that_comes_twice_counts_once(tmp_path: Path) -> None:
    file = tmp_path / "pages.jsonl"
    with serving(says(b'ab_x{a="1",b="2"} 1\nab_x{a="1",b="2"} 2\n')) as address:
        _, (remark,) = scraped(address, file)
    assert "come twice" in remark
    (found,) = Scraped(file).series("ab_x", 0, 9)
    assert found.values.tolist() == [1.0]


def test_a_damaged_line_takes_no_other_with_it(tmp_path: Path) -> None:
    file = tmp_path / "pages.jsonl"
    page = {"job": "scrape", "instance": "a", "samples": ['ab_x{a="1",le="1"} 1', "ab_x{ 2"]}
    lines = [json.dumps({"at": at} | page) for at in (1.0, 2.0, 3.0, 4.0, 5.0)]
    lines[1] = lines[1][:40]
    lines[2] = "\x00\x01 not JSON"
    lines[3] = lines[3].replace('le=\\"1\\"', 'le=\\"1.0\\"').replace('a=\\"1\\",', "")
    lines[4] = json.dumps({"at": 2.5} | page | {"samples": ['ab_x{le="1.0",a="1"} 3']})
    file.write_text("\n".join(lines) + "\n")
    found = Scraped(file).series('ab_x{a="1"}', 0, 9)
    # In order of time, though the clock was set; labels in another order, a number otherwise.
    assert [(s.times.tolist(), s.values.tolist()) for s in found] == [([1.0, 2.5], [1.0, 3.0])]
