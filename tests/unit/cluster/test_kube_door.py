"""What the client does with answers that a good API server rarely gives."""

import json
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from abctl.cluster.kube import ClusterClient
from abctl.core.change import Ref
from abctl.errors import ClusterError, ConflictError, UnreachableError

REF = Ref("v1", "ConfigMap", "default", "x")
FOUND = (200, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}})


def failure(code, message="later", reason=None, **headers):
    body = {"kind": "Status", "message": message, "code": code}
    return (code, body | ({"reason": reason} if reason else {}), headers)


@pytest.fixture
def world(tmp_path):
    """A server that gives the answers of `script`, one after the other, and a client to it."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            length = int(self.headers.get("Content-Length") or 0)
            asked.append((self.command, self.path, self.headers, self.rfile.read(length)))
            code, body, *headers = script.pop(0)
            text = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(code)
            for key, value in (headers[0] if headers else {}).items():
                self.send_header(key.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PUT = do_PATCH = do_POST = do_DELETE = answer  # noqa: N815 - as the library calls them

        def log_message(self, *_):
            pass

    script, asked, pauses = [], [], []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [
            {"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
        ],
        "users": [{"name": "u", "user": {"token": "s3cret"}}],
        "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u", "namespace": "m"}}],
    }
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(config))
    client = ClusterClient(kubeconfig=file, sleep=pauses.append)
    client.script, client.asked, client.pauses = script, asked, pauses
    yield client
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "passing",
    [failure(503), failure(429), failure(502, "<html>"), failure(500, reason="InternalError")],
    ids=lambda answer: str(answer[0]),
)
def test_what_may_pass_is_tried_again_with_growing_pauses(world, passing):
    world.script += [passing, passing, FOUND]
    assert world.get(REF)["metadata"]["name"] == "x"
    assert world.pauses == sorted(world.pauses)
    assert len(world.pauses) == 2


def test_what_does_not_pass_is_unreachable_with_the_servers_words(world):
    world.script += [failure(500, "etcdserver: no leader", "InternalError")] * 20
    with pytest.raises(UnreachableError, match="no leader"):
        world.get(REF)
    assert len(world.asked) == 1 + len(world.pauses) <= 8


def test_a_webhook_that_does_not_answer_is_a_refusal_of_what_was_not_done(world):
    message = 'failed calling webhook "iris": connection refused'
    world.script += [failure(500, message, "InternalError")] * 20
    with pytest.raises(ClusterError, match="failed calling webhook") as caught:
        world.get(REF)
    assert not isinstance(caught.value, UnreachableError)
    assert "the webhook iris must answer" in caught.value.hint
    assert len(world.asked) == 1 + len(world.pauses) <= 8


def test_a_webhook_that_hangs_is_not_waited_for_again_and_again(world, monkeypatch):
    monkeypatch.setattr("abctl.cluster._client._LONGEST_SECONDS", 0.0)
    message = 'failed calling webhook "iris": context deadline exceeded'
    world.script += [failure(500, message, "InternalError")] * 20
    with pytest.raises(ClusterError, match="deadline exceeded"):
        world.get(REF)
    assert len(world.asked) == 1


def test_the_server_says_how_long_to_wait(world):
    world.script += [failure(429, Retry_After="3"), FOUND]
    world.get(REF)
    assert world.pauses == [3.0]


def test_an_error_of_ours_is_not_repeated(world):
    world.script += [failure(500, "failed to create typed patch object: .dada not declared")]
    with pytest.raises(ClusterError, match=r"\.dada not declared"):
        world.apply(FOUND[1])
    assert (len(world.asked), world.pauses) == (1, [])


def test_a_webhooks_no_is_said_in_its_words_and_is_no_lack_of_rights(world):
    said = 'admission webhook "isvc" denied the request: canary is only supported in Standard'
    world.script += [failure(403, said, "Forbidden")]
    with pytest.raises(ClusterError, match="denied the request") as caught:
        world.apply(FOUND[1])
    assert caught.value.hint.startswith("no lack of rights")


def test_a_proxy_that_answers_in_its_own_way_is_quoted(world):
    world.script += [(418, "<html><h1>a teapot</h1><p>and more</html>")]
    with pytest.raises(ClusterError, match=r"\(418\): a web page \(a teapot\)$"):
        world.get(REF)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("<!doctype html><title>Sign in</title>", r"a web page \(Sign in\)"),
        ("", "nothing"),
        ("[1]", r"\[1\]"),
        ({"hello": 1}, "no object but hello"),
    ],
)
def test_what_is_no_api_server_is_told(world, body, words):
    world.script += [(200, body)]
    with pytest.raises(UnreachableError, match=f"does not answer like an API server: {words}$"):
        world.get(REF)


def test_every_write_is_strict_and_says_who_writes(world):
    world.script += [FOUND] * 4
    obj = {**FOUND[1], "status": {"mine": 1}}
    world.create(obj)
    world.replace({**obj, "metadata": {"name": "x", "resourceVersion": "1"}})
    world.patch(REF, [{"op": "test", "path": "/data", "value": {}}], dry_run=True)
    world.apply(obj, force=True)
    for _, path, headers, body in world.asked:
        assert "fieldManager=abctl" in path
        assert "fieldValidation=Strict" in path
        assert "mine" not in body.decode()
        assert headers["Authorization"] == "Bearer s3cret"
    assert ["dryRun=All" in path for _, path, *_ in world.asked] == [False, False, True, False]
    assert "force=true" in world.asked[-1][1]


@pytest.mark.parametrize(
    ("name", "sent"), [("../secrets/x", "..%2Fsecrets%2Fx"), ("..", "%2E%2E"), (".", "%2E")]
)
def test_names_cannot_lead_elsewhere(world, name, sent):
    world.script += [failure(404, "not found")]
    with pytest.raises(ClusterError):
        world.get(Ref("v1", "ConfigMap", "default", name))
    assert world.asked[0][1] == f"/api/v1/namespaces/default/configmaps/{sent}"


def test_a_replace_of_what_was_never_read_is_a_conflict(world):
    with pytest.raises(ConflictError):
        world.replace(FOUND[1])
    assert world.asked == []


def test_a_list_is_one_request_however_long(world):
    items = [{"metadata": {"name": f"pod-{number}", "managedFields": []}} for number in range(3000)]
    world.script += [(200, {"kind": "PodList", "items": items})]
    found = world.list("v1", "Pod", "models", {"app": "iris", "tier": "front"})
    [(verb, path, *_)] = world.asked
    assert (verb, path.partition("?")[0]) == ("GET", "/api/v1/namespaces/models/pods")
    assert "labelSelector=app%3Diris%2Ctier%3Dfront" in path
    assert len(found) == 3000
    assert found[0] == {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod-0"}}


@pytest.mark.parametrize("ahead", [-600, 0, 600])
def test_the_clock_is_the_servers_as_far_as_it_says(world, ahead, monkeypatch):
    def date(_):
        return formatdate(time.time() + ahead, usegmt=True)

    monkeypatch.setattr(BaseHTTPRequestHandler, "date_time_string", date)
    world.script[:] = [FOUND]
    before = time.time()
    world.get(REF)
    between = world.now() - ahead
    # It says whole seconds; a clock that may well be ours is taken for ours.
    slack = 1.0 if ahead else 0.0
    assert before - slack <= between <= time.time() + slack


def test_a_clock_of_this_machine_that_is_set_does_not_move_the_servers(world, monkeypatch):
    real, ahead = time.time, 3600.0
    monkeypatch.setattr(
        BaseHTTPRequestHandler, "date_time_string", lambda _: formatdate(real(), usegmt=True)
    )
    world.script[:] = [FOUND, FOUND]
    monkeypatch.setattr(time, "time", lambda: real() + ahead)
    world.get(REF)
    assert abs(world.now() - real()) < 1.5
    ahead = 0.0  # it is set right, in the middle of a command
    assert abs(world.now() - real()) < 1.5
    ahead = -7200.0
    world.get(REF)
    assert abs(world.now() - real()) < 1.5


def test_without_an_answer_so_far_the_clock_is_asked_for(world):
    world.script[:] = [failure(403)]
    before = time.time()
    assert before <= world.now() <= time.time()
    assert [path for _, path, *_ in world.asked] == ["/version"]


NEW = {**FOUND[1], "data": {"a": "1"}}
WITH = {**FOUND[1], "metadata": {"name": "x", "resourceVersion": "1"}, "data": {"a": "1"}}
GONE = failure(404, 'configmaps "x" not found')


def stored(version, **data):
    meta = {"name": "x", "resourceVersion": version, "managedFields": []}
    return (200, {**FOUND[1], "metadata": meta, "data": data})


WRITES = {
    "create": (lambda client: client.create(NEW), GONE, stored("7", a="1"), stored("7", a="9")),
    "replace": (
        lambda client: client.replace(WITH),
        stored("1", a="0"),
        stored("2", a="1"),
        stored("2", a="9"),
    ),
    "patch": (
        lambda client: client.patch(
            REF,
            [
                {"op": "test", "path": "/data/a", "value": "0"},
                {"op": "replace", "path": "/data/a", "value": "1"},
            ],
        ),
        stored("1", a="0"),
        stored("2", a="1"),
        stored("2", a="9"),
    ),
}
SECOND = {
    "create": failure(409, "exists", "AlreadyExists"),
    "replace": failure(409, "modified", "Conflict"),
    "patch": failure(422, "the server rejected our request", "Invalid"),
}


@pytest.mark.parametrize("verb", WRITES)
@pytest.mark.parametrize("code", [500, 502, 503, 504])
def test_a_write_in_doubt_is_read_back_before_anything_is_said(world, verb, code):
    write, before, done, others = WRITES[verb]
    doubt = failure(code, reason="InternalError")
    # It was done: that is said, and nothing is sent again.
    world.script += [doubt, done]
    assert write(world)["data"] == {"a": "1"}
    assert [asked[0] for asked in world.asked[1:]] == ["GET"]
    # It was not done: it is sent again.
    world.asked.clear()
    world.script += [doubt, before, done]
    assert write(world)["data"] == {"a": "1"}
    verbs = [asked[0] for asked in world.asked]
    assert verbs == [verbs[0], "GET", verbs[0]]
    # It was done while it was sent again, which is refused for that.
    world.script += [doubt, before, SECOND[verb], done]
    assert write(world)["data"] == {"a": "1"}
    # Somebody else was faster.
    world.script += [doubt, others, SECOND[verb], others, others]
    with pytest.raises(ConflictError):
        write(world)


def test_what_was_deleted_in_doubt_was_there(world):
    world.script += [failure(504), GONE]
    assert world.delete(REF)
    world.script += [failure(504), FOUND, GONE, GONE]
    assert world.delete(REF)
    world.script += [GONE]
    assert not world.delete(REF)


def test_a_server_that_did_not_act_is_not_asked_whether_it_did(world):
    world.script += [failure(429), stored("2", a="1")]
    world.replace(WITH)
    assert [asked[0] for asked in world.asked] == ["PUT", "PUT"]
