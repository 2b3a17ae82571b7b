"""What Prometheus may answer besides samples, from a server that says just that."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from api_server import DEADLINE_SECONDS

from abctl.errors import SourceAwayError, SourceError
from abctl.local.identity import wait_for
from abctl.sources import open_source
from abctl.sources.prometheus import Prometheus

Answer = tuple[int, Any]


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[str, float], Answer]], str]]:
    """Starts servers that answer each query (text, time) with a status and a body."""
    running: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def start(answer: Callable[[str, float], Answer]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                status, body = answer(query["query"][0], float(query.get("time", ["0"])[0]))
                text = body if isinstance(body, str) else json.dumps(body)
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join()


def error(text: str) -> dict[str, str]:
    return {"status": "error", "errorType": "bad_data", "error": text}


def success(result: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"result": result}}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((400, error("parse error: unexpected end")), r"refused n\[.*\]: parse error: unexpected"),
        ((422, error("found duplicate series")), "found duplicate series"),
        ((401, "<html>log in</html>"), r"refused access \(HTTP 401, sent: no credentials\)$"),
        ((401, "no org id\n"), r"refused access \(HTTP 401, sent: no credentials\): no org id$"),
        ((422, error("x" * 400 + " too many samples")), r"refused n\[.*\]: too many samples: x+$"),
        ((404, "no 'page' \"here\""), "answered HTTP 404: no 'page' \"here\""),
        ((500, error("disk full")), "answered HTTP 500: disk full"),
        ((503, ""), "answered HTTP 503"),
        ((200, "hello"), "does not answer as Prometheus does \\(not JSON"),
        ((200, "<html>hello</html>"), "answered with a web page, not as Prometheus does"),
        (
            (404, "<!DOCTYPE html><title>404 Not Found</title><p>" + "x" * 9_000),
            r"answered with a web page \(404 Not Found\), not as Prometheus does \(HTTP 404",
        ),
        ((200, {"status": "success"}), "does not answer as Prometheus does"),
        ((200, success("text")), "does not answer as Prometheus does"),
        ((200, success([{"metric": {}, "histograms": []}])), "is a native histogram"),
        ((200, success([{"metric": {}}])), "does not answer as Prometheus does"),
        ((200, success([{"metric": {}, "values": [1]}])), "does not answer as Prometheus does"),
        ((200, success([{"metric": {}, "values": [[1, "a"]]}])), "does not answer as Prom"),
    ],
)
def test_every_other_answer_is_one_error(
    answer: Answer,
    message: str,
    serve: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("urllib3.util.retry.time.sleep", lambda _: None)
    source = Prometheus(serve(lambda *_: answer))
    with pytest.raises(SourceError, match=message) as caught:
        source.series("n", 0, 60)
    # Whoever watches waits for what may pass, and for nothing else.
    assert isinstance(caught.value, SourceAwayError) == (answer[0] >= 500)


def test_a_server_that_does_not_answer_is_given_up(
    serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()
    monkeypatch.setattr("urllib3.util.retry.time.sleep", lambda _: None)
    queries: list[str] = []

    def silent(query: str, _: float) -> Answer:
        queries.append(query)
        return 200, success([asked.wait(10), "1"])

    source = Prometheus(serve(silent), {"timeout_seconds": 0.05})
    with pytest.raises(SourceAwayError, match=r"did not answer within 0\.05 seconds"):
        source.now()
    asked.set()
    assert wait_for(lambda: bool(queries), DEADLINE_SECONDS)  # it has come by then, if not yet
    assert queries == ["time()"]  # patience once, not with every retry


@pytest.mark.parametrize("result", [[], [{}], ["soon"], {}])
def test_a_clock_that_is_none_is_one_error(result: Any, serve: Callable[..., str]) -> None:
    with pytest.raises(SourceError, match="does not answer as Prometheus does"):
        Prometheus(serve(lambda *_: (200, success(result)))).now()


def test_a_clock_may_come_as_a_vector(serve: Callable[..., str]) -> None:
    vector = [{"metric": {}, "value": [1_700_000_000.5, "1700000000.5"]}]
    assert Prometheus(serve(lambda *_: (200, success(vector)))).now() == 1_700_000_000.5


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"warnings": ["receive series from 10.0.0.7: connection refused"]}, "from 10.0.0.7: conn"),
        ({"warnings": ["a", "b"], "infos": []}, "a; b"),
        ({"isPartial": True}, "the answer is partial"),
    ],
)
def test_an_answer_that_lacks_something_is_an_error(
    more: dict[str, Any], words: str, serve: Callable[..., str]
) -> None:
    found = [{"metric": {"__name__": "n"}, "values": [[50, "1"]]}]
    body = json.dumps(success(found) | more, separators=(",", ":"))
    with pytest.raises(SourceError, match=f"gave a partial answer: .*{words}"):
        Prometheus(serve(lambda *_: (200, body))).series("n", 0, 60)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"warnings": []},
        {"infos": ["metric might not be a counter"]},
        {"isPartial": False},
        {"warnings": ["No StoreAPIs matched for this query"]},
        {"warnings": ["PromQL info: metric might not be a counter, name does not end in _total"]},
    ],
)
def test_an_answer_that_lacks_nothing_is_taken(
    more: dict[str, Any], serve: Callable[..., str]
) -> None:
    found = [{"metric": {"__name__": "n", "job": '"warnings"'}, "values": [[50, "1"]]}]
    (series,) = Prometheus(serve(lambda *_: (200, success(found) | more))).series("n", 0, 60)
    assert series.values.tolist() == [1.0]


def test_servers_are_told_to_answer_as_prometheus_does(serve: Callable[..., str]) -> None:
    asked: list[dict[str, list[str]]] = []
    source = Prometheus(serve(lambda *_: (200, success([]))))
    source._session.hooks["response"].append(
        lambda got, *_, **__: asked.append(parse_qs(urlsplit(got.request.url).query))
    )
    source.series("n", 0, 60)
    (sent,) = asked
    wanted = {"nocache": ["1"], "partial_response": ["false"], "max_source_resolution": ["0s"]}
    assert wanted.items() <= sent.items()


def samples_of(query: str, end: float) -> list[list[Any]]:
    """One sample a second, as a server of version 2: both ends of the range included."""
    length = int(re.search(r"\[(\d+)ms\]", query)[1]) / 1000  # type: ignore[index]
    return [[t, str(t)] for t in range(10_000) if end - length <= t <= end]


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        "query processing would load too many samples into memory in query execution",
        "cannot select more than -search.maxSamplesPerQuery=200 samples; possible solutions: ...",
        "expanding series: proxy Series(): rpc error: exceeded chunks limit: limit 200 violated",
        "the query exceeded the maximum number of chunks (limit: 200) (err-mimir-max-chunks-per-qu",
    ],
)
def test_too_many_samples_are_asked_for_in_smaller_chunks(
    words: str, serve: Callable[..., str]
) -> None:
    sizes: list[int] = []

    def answer(query: str, end: float) -> Answer:
        found = samples_of(query, end)
        if len(found) > 200:
            return 422, error(words)
        sizes.append(len(found))
        return 200, success([{"metric": {"__name__": "n"}, "values": found}] if found else [])

    (series,) = Prometheus(serve(answer)).series("n", 100, 5000)
    assert series.times.tolist() == list(range(101, 5001))
    assert series.values.tolist() == series.times.tolist()
    assert len(sizes) < 100


def test_one_sample_that_is_still_too_many_is_an_error(serve: Callable[..., str]) -> None:
    url = serve(lambda *_: (422, error("would load too many samples")))
    with pytest.raises(SourceError, match="too many samples"):
        Prometheus(url).series("n", 0, 5000)


@pytest.mark.parametrize("url", ["", "prometheus:9090", "ftp://host", "http://"])
def test_what_is_no_address_is_an_error(url: str) -> None:
    with pytest.raises(SourceError, match="is not the address of a Prometheus"):
        open_source("prometheus", {"url": url})
