"""The probe against an entrance that routes rightly, and wrongly in one way at a time."""

import dataclasses
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from abctl.core.assignment import explain
from abctl.core.experiment import Experiment
from abctl.core.reasons import Reason
from abctl.core.split import Split
from abctl.doctor import routing
from abctl.doctor.check import Check
from abctl.doctor.routing import probe

pytestmark = pytest.mark.slow

# Which variant answers: (headers, how many requests came before) -> its name.
Answer = Callable[[dict[str, str], int], str]
USERS = 200


class RefusedError(Exception):
    """The server behind the entrance does not answer."""


@contextmanager
def entrance(answer: Answer, status: int = 200) -> Iterator[str]:
    seen = iter(range(10**9))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers, name = {k.lower(): v for k, v in self.headers.items()}, ""
            try:
                name = answer({**headers, ":path": self.path}, next(seen))
            except RefusedError:
                self.send_response(503)
            except TimeoutError:
                self.close_connection = True
                return
            else:
                self.send_response(status)
            if name:
                self.send_header("x-ab-variant", name)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def experiment(make_experiment: Callable[..., Experiment]) -> Experiment:
    return make_experiment(shares_bp=(7000, 3000), override="x-variant")


def right(experiment: Experiment) -> Answer:
    def answer(headers: dict[str, str], _: int) -> str:
        found = explain(experiment.assignment, experiment.split, headers)
        return found.variant or "control"

    return answer


def checks(
    experiment: Experiment, answer: Answer, split: Split | None = None, status: int = 200
) -> dict[str, Check]:
    with entrance(answer, status) as url:
        split = split or experiment.split
        return {c.name: c for c in probe(experiment, split, url, first=0, users=USERS)}


def levels(found: dict[str, Check]) -> dict[str, str]:
    return {name.removeprefix("routing: "): check.level for name, check in found.items()}


def test_an_entrance_that_routes_as_it_should(experiment: Experiment) -> None:
    paths = set()

    def answer(headers: dict[str, str], before: int) -> str:
        paths.add(headers[":path"])
        return right(experiment)(headers, before)

    assert levels(checks(experiment, answer)) == {
        "shares": "ok",
        "stickiness": "ok",
        "assignment": "ok",
        "override": "ok",
        "no key": "ok",
    }
    assert paths == {"/v2/models/iris/ready"}  # which no server counts


def test_another_split_than_the_one_in_effect_shows(experiment: Experiment) -> None:
    other = dataclasses.replace(experiment, split=Split(experiment.split.names, (9000, 1000)))
    found = levels(checks(experiment, right(other)))
    assert found["shares"] == "error"
    assert found["stickiness"] == "ok"
    assert found["assignment"] == "error"


def test_another_salt_shows_though_the_shares_are_right(experiment: Experiment) -> None:
    rules = dataclasses.replace(experiment.assignment, salt="another")
    found = levels(checks(experiment, right(dataclasses.replace(experiment, assignment=rules))))
    assert found["shares"] == "ok"
    assert found["assignment"] == "error"


def test_users_that_are_drawn_anew_show(experiment: Experiment) -> None:
    found = checks(experiment, lambda _, before: "treatment" if before % 10 < 3 else "control")
    assert levels(found)["shares"] == "ok"
    # The second round starts at another phase of the same pattern.
    late = checks(experiment, lambda _, n: "treatment" if (n + n // USERS) % 10 < 3 else "control")
    assert levels(late)["stickiness"] == "error"


def test_an_override_that_is_ignored_shows(experiment: Experiment) -> None:
    def answer(headers: dict[str, str], before: int) -> str:
        return right(experiment)({k: v for k, v in headers.items() if k != "x-variant"}, before)

    assert levels(checks(experiment, answer))["override"] == "error"


def test_a_request_without_the_key_belongs_to_the_control(experiment: Experiment) -> None:
    def answer(headers: dict[str, str], before: int) -> str:
        known = "x-user-id" in headers or "x-variant" in headers
        return right(experiment)(headers, before) if known else "treatment"

    assert levels(checks(experiment, answer))["no key"] == "warning"


def test_answers_that_do_not_say_who_they_are(experiment: Experiment) -> None:
    facts = {"answers_count": USERS, "requests_count": USERS, "header": "x-ab-variant"}
    (found,) = checks(experiment, lambda *_: "").values()
    assert found.level == "error"
    assert found.reason == Reason("variantNotNamed", facts)
    (found,) = checks(experiment, lambda *_: "stranger").values()
    assert found.level == "error"
    assert found.reason == Reason("variantUnknown", facts | {"variant": "stranger"})


def test_each_request_is_logged_with_what_came(
    experiment: Experiment, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "abctl")
    assert checks(experiment, right(experiment))
    asked = r"GET http://127\.0\.0\.1:\d+/\S+: 200, \d+ bytes, \d+ ms"
    said = [record.message for record in caplog.records]
    assert len(said) >= USERS
    assert all(re.fullmatch(asked, each) for each in said)
    with entrance(right(experiment)) as url:
        pass
    list(probe(experiment, experiment.split, url, first=0, users=USERS))
    assert f"GET {url}" in caplog.records[-1].message
    assert "no answer (" in caplog.records[-1].message


def test_an_entrance_that_fails_or_is_not_there(experiment: Experiment) -> None:
    (found,) = checks(experiment, right(experiment), status=503).values()
    assert found.level == "error"
    assert found.reason.code == "requestsFailed"
    assert found.reason.facts["failure"] == "HTTP 503"
    assert found.reason.facts["answered"] == {}
    with entrance(right(experiment)) as url:
        pass
    (gone,) = probe(experiment, experiment.split, url, first=0, users=USERS)
    assert gone.level == "error"
    assert gone.reason.facts["failure"].startswith("no answer (")


def test_requests_that_are_drawn_by_themselves_are_asked_once(
    make_experiment: Callable[..., Experiment],
) -> None:
    each = make_experiment(shares_bp=(5000, 5000), unit="request", key=None, salt=None)
    found = checks(each, lambda _, before: ("control", "treatment")[before % 2])
    assert levels(found) == {"shares": "ok"}


@pytest.mark.parametrize("dead", ["silent", "refusing"])
def test_a_dead_variant_ends_the_probe_soon_and_those_who_answer_are_told(
    experiment: Experiment, dead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind an Envoy: it tries again for some time before it says 503, or waits itself."""
    monkeypatch.setattr(routing, "_TIMEOUT_SECONDS", 0.5)
    over = threading.Event()

    def answer(headers: dict[str, str], before: int) -> str:
        name = right(experiment)(headers, before)
        if name == "treatment":
            over.wait(20.0 if dead == "silent" else 0.2)
            raise TimeoutError if dead == "silent" else RefusedError
        return name

    began, told = time.monotonic(), list[tuple[int, int]]()
    with entrance(answer) as url:
        (found,) = probe(
            experiment,
            experiment.split,
            url,
            first=0,
            users=1000,
            report=lambda done, total: told.append((done, total)),
        )
        over.set()
    assert time.monotonic() - began < 10.0
    assert found.level == "error"
    said = "no answer within 0.5 s" if dead == "silent" else "HTTP 503"
    assert found.reason.code == "requestsFailed"
    assert found.reason.facts["failure"] == said
    assert found.reason.facts["unsent_count"] > 0
    assert list(found.reason.facts["answered"]) == ["control"]
    assert "is a variant down?" in found.hint
    assert told[-1][0] < told[-1][1] == 2000


def test_a_slow_entrance_is_not_waited_for_endlessly(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest_seconds = 0.1
    monkeypatch.setattr(routing, "_LONGEST_SECONDS", longest_seconds)
    monkeypatch.setattr(routing, "_LONGEST_SECONDS_EACH", 0.0)

    def answer(headers: dict[str, str], before: int) -> str:
        time.sleep(2 * longest_seconds)
        return right(experiment)(headers, before)

    (found,) = checks(experiment, answer).values()
    assert found.reason.code == "answersTooSlow"
    assert found.reason.facts["answered_count"] < found.reason.facts["requests_count"] == 400
    assert "--users" in found.hint


def test_requests_without_a_key_can_be_forced_too(
    make_experiment: Callable[..., Experiment],
) -> None:
    rules = {"unit": "request", "key": "", "override": "x-variant"}
    alone = make_experiment(shares_bp=(10_000, 0), **rules)
    found = checks(alone, lambda headers, _: headers.get("x-variant", "control"))
    assert levels(found) == {"shares": "ok", "override": "ok"}


@pytest.mark.parametrize(("name", "level"), [("seldon", "warning"), ("envoy", "error")])
def test_an_entrance_that_drops_the_name_of_the_variant_is_no_fault(
    name: str, level: str, make_experiment: Callable[..., Experiment]
) -> None:
    plain = make_experiment(unit="request", key="", shares_bp=(10_000, 0))
    found = checks(dataclasses.replace(plain, platform=name), lambda *_: "")
    assert levels(found) == {"routing": level}
