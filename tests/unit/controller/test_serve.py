"""The controller's own pages."""

import json
from http import HTTPStatus
from urllib import request as urlrequest
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from abctl.controller.asked import GATES, Asked
from abctl.controller.serve import Pages, Request, Response
from abctl.core.time import parse_moment
from abctl.errors import EXIT_CODES, NotFoundError, UsageError


def test_it_answers_what_it_knows_and_nothing_else():
    answers = {"/healthz": lambda: (HTTPStatus.OK, "text/plain", b"ok\n")}
    pages = Pages("127.0.0.1:0", answers)
    try:
        where = f"http://127.0.0.1:{pages.port}"
        with urlopen(f"{where}/healthz?full=1", timeout=60) as answer:
            assert (answer.read(), answer.headers["Server"].strip()) == (b"ok\n", "abctl")
        with pytest.raises(HTTPError) as refused:
            urlopen(f"{where}/../etc/passwd", timeout=60)
        assert refused.value.code == 404
        refused.value.close()
        with pytest.raises(UsageError, match="--listen"):
            Pages(f"127.0.0.1:{pages.port}", answers)
    finally:
        pages.close()


@pytest.mark.parametrize("where", ["", "9464", "here:", "127.0.0.1:99999", "no.such.host.test:1"])
def test_what_is_no_address_is_told(where):
    with pytest.raises(UsageError, match="--listen"):
        Pages(where, {})


STATUS = {
    "observedGeneration": 3,
    "phase": "Progressing",
    "verdict": "ship",
    "split": "50/50",
    "shares": {"control": "50%", "treatment": "50%"},
    "codes": ["rampShips"],
    "reason": "it may ship",
    "lastLookAt": "2026-12-01T10:00:00Z",
    "conditions": [{"type": "Ready", "status": "True", "reason": "Driven"}],
}
NOT_STARTED = {"type": "Ready", "reason": "NotStarted", "message": "no ledger"}
LOOKED_AT = parse_moment(STATUS["lastLookAt"])


class Cluster:
    """A cluster with one experiment, and two who may ask: ann may get it, bob may not."""

    words = "a test"

    def __init__(self, status=None, age_seconds=30.0):
        self.status, self.age_seconds, self.asked = {**STATUS, **(status or {})}, age_seconds, []
        self._client = self

    def now(self):
        return LOOKED_AT + self.age_seconds

    def get(self, ref):
        if ref.name != "iris":
            raise NotFoundError(f"{ref} is not there", "look")
        meta = {"name": "iris", "namespace": ref.namespace, "generation": 3}
        head = {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": meta}
        return {**head, "status": self.status}

    def ask(self, method, path, *, body, done):
        self.asked.append(path.rpartition("/")[2])
        spec = body["spec"]
        if body["kind"] == "TokenReview":
            known = spec["token"] in ("ann", "bob")
            return 201, {"status": {"authenticated": known, "user": {"username": spec["token"]}}}
        wanted = {"verb": "get", "group": "abctl.dev", "resource": "experiments"}
        assert wanted.items() <= spec["resourceAttributes"].items()
        return 201, {"status": {"allowed": spec["user"] == "ann"}}


def ask(cluster, path, method="GET", token="ann", **settings):
    asked = Asked(cluster, ("models",), 60.0, **settings)
    answer = asked(Request(method, path, token))
    return answer.code.value, json.loads(answer.body)


def test_the_verdict_is_what_the_last_look_found():
    code, told = ask(Cluster(), "/verdict/models/iris")
    assert (code, told["verdict"], told["exitCode"], told["outdated"]) == (200, "ship", 0, "")
    assert told["shares"] == STATUS["shares"]
    assert (told["experiment"], told["namespace"], told["kind"]) == ("iris", "models", "Verdict")


@pytest.mark.parametrize(
    ("path", "method", "token", "code"),
    [
        ("/verdict/models/iris", "GET", "", 401),
        ("/verdict/models/iris", "GET", "eve", 401),
        ("/verdict/models/iris", "GET", "bob", 403),
        ("/verdict/models/other", "GET", "bob", 403),
        ("/verdict/models/other", "GET", "ann", 404),
        ("/verdict/prod/iris", "GET", "ann", 404),
        ("/verdict/models/iris", "POST", "ann", 405),
        ("/gate/rollback/models/iris", "GET", "ann", 405),
        ("/gate/open/models/iris", "POST", "ann", 404),
        ("/verdict/models", "GET", "ann", 404),
        ("/verdict/models/%2e%2e", "GET", "ann", 400),
        ("/verdict/models/..", "GET", "ann", 400),
    ],
)
def test_who_may_not_ask_or_asks_for_something_else_is_refused(path, method, token, code):
    found, told = ask(Cluster(), path, method, token)
    assert (found, told["kind"], bool(told["message"])) == (code, "Refusal", True)


def test_where_anyone_may_ask_no_token_is_looked_at():
    cluster = Cluster()
    assert ask(cluster, "/verdict/models/iris", token="", tokens=False)[0] == 200
    assert cluster.asked == []


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("verdict", [*EXIT_CODES, None])
def test_a_gate_is_open_at_its_verdicts_and_at_no_other(gate, verdict):
    code, told = ask(Cluster({"verdict": verdict}), f"/gate/{gate}/models/iris", "POST")
    assert told["open"] == (code == 200) == (verdict in GATES[gate])
    assert told["open"] or str(verdict or "not known") in told["why"]


@pytest.mark.parametrize(
    ("status", "age_seconds", "why"),
    [
        ({"observedGeneration": 2}, 30.0, "newer than the last look"),
        ({"lastLookAt": None}, 30.0, "nobody has looked"),
        ({"lastLookAt": "today"}, 30.0, "nobody knows when"),
        ({}, 600.0, "does the controller run?"),
        ({"conditions": [NOT_STARTED]}, 30.0, "no ledger"),
    ],
)
def test_a_gate_is_shut_where_the_last_look_says_nothing_of_now(status, age_seconds, why):
    cluster = Cluster(status, age_seconds)
    code, told = ask(cluster, "/gate/confirm-promotion/models/iris", "POST")
    assert (code, told["open"]) == (409, False)
    assert why in told["why"]
    assert ask(cluster, "/verdict/models/iris")[1]["outdated"] == told["why"]


def test_what_is_over_is_looked_at_seldom():
    assert ask(Cluster({"phase": "Completed"}, 600.0), "/verdict/models/iris")[1]["outdated"] == ""


def test_it_reads_what_was_sent_and_answers_by_http():
    told = []

    def answer(request):
        told.append(request)
        return Response(HTTPStatus.OK, "application/json", b"{}\n")

    pages = Pages("127.0.0.1:0", {}, answer)
    try:
        where = f"http://127.0.0.1:{pages.port}/gate/rollback/models/iris"
        sent = urlrequest.Request(where, b"x" * 60_000, {"Authorization": "Bearer abc"})
        with urlopen(sent, timeout=60) as found:
            assert (found.status, found.read()) == (200, b"{}\n")
        assert told == [Request("POST", "/gate/rollback/models/iris", "abc")]
        with pytest.raises(HTTPError) as refused:
            urlopen(urlrequest.Request(where, b"x" * 70_000), timeout=60)
        assert refused.value.code == 413
        refused.value.close()
    finally:
        pages.close()
