"""An experiment in a cluster with nodes while requests come in, and who counts what.

The driver of the load is the witness: it counts what was answered, by the variant that the answer
names.
"""

import json
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from http.client import HTTPConnection
from io import StringIO
from urllib.parse import quote, urlsplit
from urllib.request import urlopen

from api_server import DEADLINE_SECONDS, KUBECTL, wait_for

from abctl.cli.main import run

RATE = 20
LONGEST_SECONDS = 1200
CONNECTIONS = 8
USERS = 1500
QUESTION = json.dumps(
    {"inputs": [{"name": "predict", "shape": [1, 4], "datatype": "FP32", "data": [5, 3, 1, 0.2]}]}
)


@dataclass(frozen=True)
class Seen:
    """What an analysis says of each variant's requests, and up to when."""

    at: float
    requests: dict
    notes: list

    def since(self, before):
        return {name: count - before.requests[name] for name, count in self.requests.items()}


class Trial:
    """What a test does to an experiment that must not ship."""

    def __init__(self, nodes, file, names):
        self.nodes, self.file, self.names = nodes, file, names
        self.entrance = nodes.url("iris-envoy")
        self._seeds = iter(range(1000))

    def abctl(self, name, *words):
        """What a command answers, in this process: that is quicker."""
        out, err = StringIO(), StringIO()
        asked = [name, str(self.file), *words, "--kubeconfig", str(self.nodes.kubeconfig)]
        with redirect_stdout(out), redirect_stderr(err):
            code = run([*asked, "-o", "json"])
        assert code == 0, err.getvalue()
        return json.loads(out.getvalue())

    def look(self):
        """Requests that count by now."""
        found = self.abctl("analyze")
        verdicts = [found["verdict"], *found["verdict"].get("treatments", ())]
        assert "ship" not in [each["kind"] for each in verdicts], verdicts
        requests = {each["name"]: each["requests"] or 0 for each in found["variants"]}
        return Seen(datetime.fromisoformat(found["at"]).timestamp(), requests, found["noteCodes"])

    @contextmanager
    def load(self, seconds):
        """Requests come in, whatever happens meanwhile; the list holds the summary afterwards."""
        summary, prometheus = [], self.nodes.url("prometheus")
        with ThreadPoolExecutor() as pool:
            sent = pool.submit(self._simulate, "--duration", f"{seconds}s")
            wait_for(lambda: _flowing(prometheus), "the load")
            yield summary
            summary.append(sent.result())

    @contextmanager
    def load_until_done(self):
        """The same, as long as it takes; its last requests are cut off, and in no summary."""
        summary, command = [], self._command("--duration", f"{LONGEST_SECONDS}s")
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield summary
                process.send_signal(signal.SIGINT)
                summary.append(json.loads(process.communicate()[0]))
            finally:
                process.kill()

    def _simulate(self, *words):
        done = subprocess.run(
            self._command(*words),
            capture_output=True,
            text=True,
            timeout=LONGEST_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def _command(self, *words):
        traffic = ("--rate", RATE, "--requests", 1_000_000, "--concurrency", CONNECTIONS)
        who = ("--users", USERS, "--seed", next(self._seeds), "--yes", "-o", "json")
        command = [KUBECTL.with_name("abctl"), "simulate", self.file, "--url", self.entrance]
        return [*map(str, (*command, *traffic, *who, *words))]

    def answers(self, users):
        """The variant that answers each user."""
        where, found = urlsplit(self.entrance), []
        connection = HTTPConnection(where.hostname, where.port, timeout=DEADLINE_SECONDS)
        for user in users:
            headers = {"content-type": "application/json", "x-user-id": user}
            connection.request("POST", "/v2/models/iris/infer", QUESTION, headers)
            answer = connection.getresponse()
            said = answer.read()
            assert answer.status == HTTPStatus.OK, said
            found.append(answer.headers["x-ab-variant"])
        connection.close()
        return found

    def pods(self, namespace, labels):
        """Those that are ready and stay, by name."""
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        found = self.nodes.read("pods", "-n", namespace, "-l", selector)["items"]
        return {pod["metadata"]["name"]: pod for pod in found if _stays(pod)}

    def entries(self):
        """The lines of the ledger."""
        ledger = self.nodes.read("configmap", "abctl-iris", "-n", "models")["data"]["ledger.jsonl"]
        return [json.loads(line) for line in ledger.splitlines()]


def _flowing(prometheus):
    query = quote("sum(increase(ab_requests_total[5s])) > 0")
    with urlopen(f"{prometheus}/api/v1/query?query={query}", timeout=DEADLINE_SECONDS) as answer:
        return json.load(answer)["data"]["result"]


def _stays(pod):
    conditions = pod["status"].get("conditions", [])
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def outcome(summary):
    """Good answers of each variant, and how many requests were lost."""
    answered, lost = {}, 0
    for each in summary["variants"]:
        answered[each["variant"]] = each["requests"] - sum(each["errors"].values())
        # What is unsent never left: there was no time for it any more.
        lost += sum(count for what, count in each["errors"].items() if what != "unsent")
    return answered, lost
