"""Simulated traffic against a small server whose answers are known."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import xxhash
from sklearn.datasets import load_iris

from abctl.core.experiment import Experiment
from abctl.errors import SpecError, UnreachableError, UsageError
from abctl.simulate import Effect, Entrance, Examples, Traffic, _run, simulate
from abctl.spec import parse

pytestmark = pytest.mark.slow

TEXT = """
apiVersion: abctl.dev/v1alpha1
kind: Experiment
metadata: {name: t}
spec:
  platform: envoy
  assignment: {unit: user, key: x-user-id, salt: t-1}
  variants:
    - {name: control,   split: 50%, model: {name: iris, version: v1}}
    - {name: treatment, split: 50%, model: {name: iris, version: v2}}
  metrics:
    - {name: accuracy, role: primary, kind: proportion, of: accuracy, direction: increase, mde: 2pp}
    - {name: revenue, role: secondary, kind: mean, of: revenue, direction: increase}
    - {name: errors, role: secondary, kind: proportion, of: errors, direction: decrease}
"""


@dataclass
class Answer:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"outputs": [{"data": [1]}]}'


def by_user(user: str | None, _: int) -> Answer:
    """Class 1 always; the variant by a hash of the user; strangers are in no bucket."""
    variants = ("control", "treatment")
    variant = variants[xxhash.xxh64_intdigest(user.encode()) % 2] if user else "control"
    bucket = "7" if user else "none"
    return Answer(headers={"X-AB-Variant": variant, "x-ab-bucket": bucket})


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64  # the default of 5 makes some connections wait a second

    def __init__(self, answer: Callable[[str | None, int], Answer | None]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.lock = threading.Lock()
        self.asked: list[tuple[str | None, str, dict]] = []
        self.told: list[tuple[str, dict]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        assert self.headers["content-type"] == "application/json"
        user = self.headers["x-user-id"]
        with server.lock:
            if self.path.endswith("/feedback"):
                server.told.append((self.headers["x-ab-variant"], body))
                answer: Answer | None = Answer()
            else:
                server.asked.append((user, self.path, body))
                answer = server.answer(user, len(server.asked))
        if answer is None:
            self.close_connection = True
            return
        head = f"HTTP/1.1 {answer.status} X\r\ncontent-length: {len(answer.body)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
        self.wfile.write(f"{head}\r\n".encode() + answer.body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve(answer: Callable[[str | None, int], Answer | None] = by_user) -> Iterator[Server]:
    with Server(answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def experiment() -> Experiment:
    return parse(TEXT, "t.yaml")


def test_everything_that_was_sent_has_arrived_and_is_counted_once(experiment: Experiment) -> None:
    progress: list[tuple[int, int]] = []
    traffic = Traffic(requests=600, users=100, anonymous_ratio=0.1, concurrency=4)
    with serve() as server:
        summary = simulate(
            experiment, server.url, traffic, report=lambda *now: progress.append(now)
        )
    assert summary.requests == len(server.asked) == 600
    assert {path for _, path, _ in server.asked} == {"/v2/models/iris/infer"}
    assert summary.errors == 0
    assert not summary.interrupted
    assert summary.users == len({user for user, _, _ in server.asked if user})
    assert summary.moved_users == 0
    expected = Counter(by_user(user, 0).headers["X-AB-Variant"] for user, _, _ in server.asked)
    assert {v.variant: v.requests for v in summary.variants} == expected
    assert {v.variant: v.feedback_sent for v in summary.variants} == {
        variant: 2 * count for variant, count in expected.items()
    }
    assert progress[-1] == (600, 600)
    assert progress == sorted(progress)
    assert summary.synthetic_outcomes == ("revenue",)


def test_each_request_is_logged_with_what_came(
    experiment: Experiment, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "abctl")
    with serve() as server:
        simulate(experiment, server.url, Traffic(requests=5))
    asked, told = (
        f"POST {server.url.removeprefix('http://')}{path}: 200, "
        for path in ("/v2/models/iris/infer", "/feedback")
    )
    said = [record.message for record in caplog.records]
    assert sum(each.startswith(asked) for each in said) == len(server.asked) == 5
    assert sum(each.startswith(told) for each in said) == len(server.told) == 10


def test_a_request_is_a_v2_tensor_of_one_flower(experiment: Experiment) -> None:
    with serve() as server:
        simulate(experiment, server.url, Traffic(requests=5))
    for _, _, body in server.asked:
        (tensor,) = body["inputs"]
        assert (tensor["name"], tensor["datatype"], tensor["shape"]) == ("predict", "FP32", [1, 4])
        assert len(tensor["data"]) == 4


def test_rows_are_sent_as_they_are_and_labels_are_the_truth(experiment: Experiment) -> None:
    bodies = [b'{"inputs": [0]}', b'{"inputs": [1]}']
    rows = Examples(2, bodies.__getitem__, [0, 1], "two rows")
    with serve() as server:
        simulate(experiment, server.url, Traffic(requests=200), rows=rows)
    asked = Counter(body["inputs"][0] for _, _, body in server.asked)
    assert asked.total() == 200
    assert set(asked) == {0, 1}
    told = [body for _, body in server.told if body["outcome"] == "accuracy"]
    # The server always says 1.
    assert Counter(body["value"] for body in told) == {1.0: asked[1], 0.0: asked[0]}


def test_without_labels_there_is_no_feedback_about_the_truth(experiment: Experiment) -> None:
    rows = Examples(1, lambda _: b'{"inputs": []}', None, "a row")
    with serve() as server:
        simulate(experiment, server.url, Traffic(requests=20), rows=rows)
    assert {body["outcome"] for _, body in server.told} == {"revenue"}


def test_a_refusal_has_the_first_words_of_the_server(experiment: Experiment) -> None:
    words = json.dumps({"error": "must be [rows, 64]\x1b[31m" + "x" * 10_000}).encode()
    with serve(lambda *_: Answer(400, {"x-ab-variant": "control"}, words)) as server:
        summary = simulate(experiment, server.url, Traffic(requests=20))
    (said,) = summary.variants[0].said.values()
    assert said.startswith("must be [rows, 64]\\x1b[31mxxx")
    assert len(said) < 400
    assert summary.variants[0].errors == {"4xx": 20}


def test_feedback_goes_to_the_variant_that_answered_and_tells_the_truth(
    experiment: Experiment,
) -> None:
    traffic = Traffic(requests=600, anonymous_ratio=0.2, noise=0.0)
    with serve() as server:
        simulate(experiment, server.url, traffic)
    assert len(server.told) == 1200
    assert all(header == body["variant"] for header, body in server.told)
    accuracy = [body for _, body in server.told if body["outcome"] == "accuracy"]
    # The server says class 1 to everything: it is right for a third of the flowers.
    rights = sum(petals_of_versicolor(body) for _, _, body in server.asked)
    assert sum(body["value"] for body in accuracy) == rights
    strangers = sum(user is None for user, _, _ in server.asked)
    assert sum(body["user"] is None for body in accuracy) == strangers > 0
    users = Counter(user for user, _, _ in server.asked)
    assert Counter(body["user"] for body in accuracy) == users
    assert len({(body["outcome"], body["id"]) for _, body in server.told}) == 1200


def petals_of_versicolor(body: dict) -> bool:
    features, labels = load_iris(return_X_y=True)
    asked = body["inputs"][0]["data"]
    found = {int(label) for row, label in zip(features, labels, strict=True) if [*row] == asked}
    assert len(found) == 1
    return found == {1}


def test_an_effect_is_made_up_only_where_it_was_asked_for(experiment: Experiment) -> None:
    effects = (Effect("treatment", 0.9), Effect("control", -0.05, "revenue"))
    with serve() as server:
        summary = simulate(experiment, server.url, Traffic(requests=900, effects=effects))
    share = {}
    for variant in ("control", "treatment"):
        values = [
            body["value"]
            for _, body in server.told
            if (body["variant"], body["outcome"]) == (variant, "accuracy")
        ]
        share[variant] = sum(values) / len(values)
    assert share["control"] < 0.5
    assert share["treatment"] > 0.9  # nothing is more than right
    assert summary.effects == effects


def test_each_kind_of_error_is_counted_by_the_variant_that_made_it(experiment: Experiment) -> None:
    def answer(user: str | None, number: int) -> Answer | None:
        good = by_user(user, number)
        match number % 5:
            case 0:
                return Answer(503, good.headers)
            case 1:
                return Answer(422, good.headers)
            case 2:
                return Answer(200, good.headers, b"[]")
            case 3:
                return None
        return good

    with serve(answer) as server:
        summary = simulate(experiment, server.url, Traffic(requests=100, concurrency=3))
    assert summary.requests == 100
    assert sum((Counter(v.errors) for v in summary.variants), Counter()) == {
        "4xx": 20,
        "5xx": 20,
        "unreadable": 20,
        "connection": 20,
    }
    unknown = summary.variants[2]
    assert (unknown.variant, unknown.errors) == ("unknown", {"connection": 20})
    assert len(server.told) == 40


def test_an_answer_without_a_variant_is_unknown_and_its_feedback_is_lost(
    experiment: Experiment,
) -> None:
    with serve(lambda *_: Answer()) as server:
        summary = simulate(experiment, server.url, Traffic(requests=10))
    unknown = summary.variants[2]
    assert (unknown.variant, unknown.requests, unknown.errors) == ("unknown", 10, {})
    assert (unknown.feedback_sent, unknown.feedback_lost) == (0, 20)
    assert not server.told


def test_users_that_move_are_seen(experiment: Experiment) -> None:
    def answer(_: str | None, number: int) -> Answer:
        variant = "control" if number <= 100 else "treatment"
        return Answer(headers={"x-ab-variant": variant})

    with serve(answer) as server:
        summary = simulate(experiment, server.url, Traffic(requests=200, users=20, concurrency=1))
    before = {user for user, _, _ in server.asked[:100]}
    after = {user for user, _, _ in server.asked[100:]}
    assert summary.moved_users == len(before & after) > 0
    assert summary.moves == {("control", "treatment"): summary.moved_users}


def test_with_a_rate_a_slow_answer_also_counts_for_those_who_wait_behind_it(
    experiment: Experiment,
) -> None:
    waiting = threading.Event()

    def answer(user: str | None, number: int) -> Answer:
        if number == 1:
            waiting.wait(0.5)  # nobody sets it
        return by_user(user, number)

    traffic = Traffic(requests=50, rate_per_second=1000, concurrency=1)
    with serve(answer) as server:
        summary = simulate(experiment, server.url, traffic)
    # All 50 were due within about 50 ms, and none but the first was slow by itself.
    assert all(v.latency_ms.p50 > 300 for v in summary.variants if v.latency_ms)


def test_stopped_it_still_tells_what_was_done(experiment: Experiment) -> None:
    stop = threading.Event()
    traffic = Traffic(requests=10**6, feedback_delay_seconds=3600)
    with serve() as server:
        summary = simulate(experiment, server.url, traffic, report=lambda *_: stop.set(), stop=stop)
    assert summary.interrupted
    assert 0 < summary.requests < 10**6
    assert not server.told
    assert sum(v.feedback_lost for v in summary.variants) == 2 * summary.requests


@pytest.mark.parametrize("rate", [None, 200.0])
def test_time_is_a_bound_as_well(experiment: Experiment, rate: float | None) -> None:
    traffic = Traffic(requests=10**6, duration_seconds=1.0, rate_per_second=rate)
    with serve() as server:
        summary = simulate(experiment, server.url, traffic)
    assert not summary.interrupted
    assert 0 < len(server.asked) < 10**6
    unsent = sum(each.errors.get("unsent", 0) for each in summary.variants)
    assert summary.requests - unsent == len(server.asked)
    assert len(server.told) == 2 * len(server.asked)


def test_late_feedback_is_still_sent_after_the_last_request(experiment: Experiment) -> None:
    with serve() as server:
        simulate(experiment, server.url, Traffic(requests=20, feedback_delay_seconds=0.2))
    assert len(server.told) == 40


def test_an_answer_that_never_comes_is_a_timeout(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_run, "TIMEOUT_SECONDS", 0.2)
    over = threading.Event()

    def answer(user: str | None, number: int) -> Answer:
        if number == 1:
            over.wait()
        return by_user(user, number)

    with serve(answer) as server:
        summary = simulate(
            experiment, server.url, Traffic(requests=1, duration_seconds=60, concurrency=1)
        )
        over.set()
    assert summary.variants[2].errors == {"timeout": 1}


def test_what_no_connection_was_free_for_is_an_error(experiment: Experiment) -> None:
    def answer(user: str | None, number: int) -> Answer:
        if number == 1:
            threading.Event().wait(2)
        return by_user(user, number)

    traffic = Traffic(requests=30, rate_per_second=1000, concurrency=1, duration_seconds=1)
    with serve(answer) as server:
        summary = simulate(experiment, server.url, traffic)
    assert summary.requests == 30
    assert summary.variants[2].errors == {"unsent": 29}


def test_nobody_listens(experiment: Experiment) -> None:
    with Server(by_user) as server:
        url = server.url
    with pytest.raises(UnreachableError, match=url):
        simulate(experiment, url, Traffic(requests=1))


def test_a_path_in_front_and_a_closing_server_are_no_trouble(experiment: Experiment) -> None:
    def answer(user: str | None, number: int) -> Answer:
        good = by_user(user, number)
        return Answer(headers={**good.headers, "connection": "close"})

    with serve(answer) as server:
        summary = simulate(experiment, f"{server.url}/seldon/models/t/", Traffic(requests=30))
    assert (summary.requests, summary.errors) == (30, 0)
    assert {path for _, path, _ in server.asked} == {"/seldon/models/t/v2/models/iris/infer"}


@pytest.mark.parametrize(
    ("effect", "message"),
    [(Effect("x", 0.1), "'x': no such variant"), (Effect("control", 1, "y"), "'y': no metric")],
)
def test_an_effect_on_what_is_not_there_is_refused(
    experiment: Experiment, effect: Effect, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        simulate(experiment, "http://127.0.0.1:1", Traffic(effects=(effect,)))


def test_variants_must_serve_a_model_of_one_name() -> None:
    experiment = parse(TEXT.replace("iris, version: v2", "lily, version: v2"), "t.yaml")
    with pytest.raises(SpecError, match="iris, lily"):
        simulate(experiment, "http://127.0.0.1:1", Traffic())


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:80", "ftp://a", "http://", "http://a:b", "http://u:p@a", "http://a?b"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="url"):
        Entrance.parse(url)


@pytest.mark.parametrize(
    ("url", "entrance", "loopback"),
    [
        ("http://127.0.0.1:80", Entrance("127.0.0.1", 80, "", False), True),
        ("http://127.9.9.9/", Entrance("127.9.9.9", 80, "", False), True),
        ("http://[::1]:81/a/", Entrance("::1", 81, "/a", False), True),
        ("http://localhost", Entrance("localhost", 80, "", False), True),
        ("https://models.example/x", Entrance("models.example", 443, "/x", True), False),
        ("http://127.0.0.1.example", Entrance("127.0.0.1.example", 80, "", False), False),
        ("http://192.0.2.1", Entrance("192.0.2.1", 80, "", False), False),
    ],
)
def test_a_url_and_whether_it_is_this_machine(url: str, entrance: Entrance, loopback: bool) -> None:
    assert Entrance.parse(url) == entrance
    assert entrance.loopback is loopback
