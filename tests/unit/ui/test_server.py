"""The server gives pages to whoever has its token, and nothing else to anybody."""

import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pages import parsed, said, values

import abctl
from abctl.analysis.history import History
from abctl.cli.main import run
from abctl.core.analysis import Verdict
from abctl.core.reasons import Reason
from abctl.errors import SourceError
from abctl.report.page.whole import whole
from abctl.ui.server import Server
from abctl.ui.watched import Watched

SAVED = Path(__file__).parents[2] / "golden" / "saved_evidence.json.gz"
EVIL = "</script><script>alert(1)</script>\"><img src=x onerror=alert(1)>' \x1b[31m\u202e<!--"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: HTTPMessage
    text: str


class Browser:
    """Sends what it is told."""

    def __init__(self, server: Server) -> None:
        self.server, self.cookie = server, ""

    def get(self, path: str, method: str = "GET", host: str | None = None) -> Answer:
        connection = HTTPConnection(*self.server.server_address[:2], timeout=60)
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", host or self.server.hosts[0])
        if self.cookie:
            connection.putheader("Cookie", self.cookie)
        connection.endheaders()
        got = connection.getresponse()
        answer = Answer(got.status, got.headers, got.read().decode())
        connection.close()
        return answer

    def enter(self) -> Answer:
        parts = urlsplit(self.server.url)
        answer = self.get(f"{parts.path}?{parts.query}")
        self.cookie = str(answer.headers["Set-Cookie"]).partition(";")[0]
        return answer


def evil() -> abctl.Findings:
    """Findings with a text of an attacker wherever it comes to the overview, and elsewhere."""
    found = abctl.judge(SAVED)
    why = Reason("otherVariants", {"ledger": [EVIL], "experiment": [EVIL]})
    told = replace(
        found.analysis,
        experiment=EVIL,
        source=EVIL,
        notes=(why,),
        verdict=Verdict("stop", EVIL, (why,)),
    )
    return replace(found, analysis=told)


def away() -> abctl.Findings:
    raise SourceError(f"nobody answers at {EVIL}", f"ask {EVIL}")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    looks = {"iris.yaml": lambda: abctl.judge(SAVED), EVIL: evil, "away.yaml": away}
    watched = [Watched(name, look, 3600.0, lambda: 0.0) for name, look in looks.items()]
    for each in watched:
        each.seen(None)
    broken = abctl.Findings(replace(abctl.judge(SAVED).analysis, metrics=None), History())  # type: ignore[arg-type]
    watched.append(Watched("broken", lambda: broken, 3600.0, lambda: 0.0))
    with Server(0, watched, 60.0) as found:
        serving = threading.Thread(target=found.serve_forever)
        serving.start()
        yield found
        found.shutdown()
        serving.join()


@pytest.fixture
def browser(server: Server) -> Browser:
    return Browser(server)


@pytest.mark.slow
def test_the_token_becomes_a_cookie_and_leaves_the_address(browser: Browser) -> None:
    answer = browser.enter()
    assert answer.status == 303
    assert answer.headers["Location"] == "/"
    assert answer.headers["Set-Cookie"].endswith("; Path=/; HttpOnly; SameSite=Strict")
    assert browser.get("/").status == 200
    assert browser.server.token not in browser.get("/").text


@pytest.mark.parametrize("path", ["/", "/experiments/1", "/nothing", "/?token=", "/?token=\u00e4b"])
def test_who_has_no_token_sees_nothing(path: str, browser: Browser) -> None:
    for cookie in ("", "abctl=x", f"{browser.server.cookie}=", f'{browser.server.cookie}="x', "=;"):
        browser.cookie = cookie
        answer = browser.get(path.replace("\u00e4", "%C3%A4"))
        assert answer.status == 403
        assert "iris" not in answer.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", "[::1]", " "])
def test_another_host_is_refused_even_with_the_token(host: str, browser: Browser) -> None:
    parts = urlsplit(browser.server.url)
    assert browser.get(f"/?{parts.query}", host=host).status == 421
    browser.enter()
    assert browser.get("/", host=host).status == 421
    assert browser.get("/", host=browser.server.hosts[1]).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "PATCH"])
def test_nothing_can_be_done(method: str, browser: Browser) -> None:
    browser.enter()
    assert browser.get("/", method).status == 405


def test_browsers_are_told_to_run_and_load_nothing(browser: Browser) -> None:
    browser.enter()
    answer = browser.get("/experiments/1")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Refresh"] == "60"
    assert browser.get("/experiments/1?still").headers["Refresh"] is None


def test_a_page_is_the_report_of_its_experiment(browser: Browser) -> None:
    browser.enter()
    page = parsed(browser.get("/experiments/1").text)
    assert values(page)["analysis"]["verdict"]["kind"] == "continue"
    overview = parsed(browser.get("/").text)
    rows = [said(row) for row in overview.iter("tr")]
    assert "CONTINUE" in rows[1]
    assert "ERROR" in rows[3]
    assert browser.get("/experiments/5").status == 404
    for path in ("/experiments/0", "/experiments/01", "/experiments/", "/../etc/passwd", "//x"):
        assert browser.get(path).status == 404


def test_what_fails_is_told_on_its_page_alone(browser: Browser) -> None:
    browser.enter()
    assert "nobody answers at" in said(parsed(browser.get("/experiments/3").text))
    assert "nobody answers at" not in browser.get("/experiments/1").text
    broken = browser.get("/experiments/4")
    assert broken.status == 500
    assert "bug in abctl: TypeError" in said(parsed(broken.text))
    assert browser.get("/").status == 200


@pytest.mark.parametrize("path", ["/", "/experiments/2", "/experiments/3"])
def test_foreign_text_is_never_markup(path: str, browser: Browser) -> None:
    browser.enter()
    text = browser.get(path).text
    page = parsed(text)
    elements = [each for each in page.iter() if isinstance(each.tag, str)]
    assert not {"img", "iframe", "object", "form"} & {each.tag for each in elements}
    assert {each.get("type") for each in page.iter("script")} <= {"application/json"}
    for each in elements:
        assert not [name for name in each.attrib if name.startswith("on") or name == "style"]
        assert re.match(r"#|\?still$|/$|/experiments/\d+$", str(each.get("href", "#")))
    assert not set(text) & set("\x00\x1b\u202e")
    assert "alert(1)" in said(page)


def test_what_is_no_http_does_not_end_it(browser: Browser) -> None:
    for sent in (
        b"\0\1\2\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 70_000,
    ):
        with socket.create_connection(browser.server.server_address[:2], timeout=60) as raw:
            raw.sendall(sent)
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(65536):
                pass
    browser.enter()
    assert browser.get("/").status == 200


def test_its_style_is_the_one_that_browsers_may_use() -> None:
    text = whole("t")
    assert text.count("<style>") == 1


@pytest.mark.process
def test_ctrl_c_ends_it_without_a_word_of_an_error(tmp_path: Path) -> None:
    command = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    command += "from abctl.cli.main import main; main()"
    words = [sys.executable, "-c", command, "ui", str(SAVED), str(tmp_path / "bad.yaml")]
    (tmp_path / "bad.yaml").write_text("kind: [")
    with subprocess.Popen(words, stdout=-1, stderr=-1, text=True, cwd=tmp_path) as running:
        assert running.stdout is not None
        url = running.stdout.readline()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{43}\n", url)
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert "bad.yaml" in err.splitlines()[0]
    assert err.endswith("ended\n")


@pytest.mark.slow
def test_it_does_not_start_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["ui"]) == 2
    assert "no experiment file in this folder" in capsys.readouterr().err
    Path("iris.yaml").write_text("kind: Experiment\n")
    assert run(["ui", "--for", "0s"]) == 2
    assert "iris.yaml" in capsys.readouterr().err
    assert run(["ui", str(SAVED), "--for", "0s"]) == 0
    assert capsys.readouterr().out.startswith("http://127.0.0.1:")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert run(["ui", str(SAVED), "--port", port]) == 2
    assert f"--port {port}" in capsys.readouterr().err
