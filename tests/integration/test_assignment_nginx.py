"""abctl's arithmetic against a real nginx with the configuration that abctl ships.

Behind each variant's upstream is a second server of the same nginx that answers with the variant's
name and with what the request was told.
"""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

import pytest
from api_server import DEADLINE_SECONDS, path_from
from data_plane import own_address
from own_ports import free_ports

from abctl.cluster.kube import ClusterClient
from abctl.core.assignment import explain
from abctl.core.change import Object, Ref
from abctl.core.experiment import Cohort, Experiment
from abctl.core.split import Split
from abctl.platforms import nginx
from abctl.platforms._nginx_config import configuration
from abctl.session.open import Where, open_session
from abctl.session.shift import shift

HOST = "127.0.0.1"
PIPELINED = 200
NAMES = ("control", "treatment")
THREE = ("control", "t-1", "t-2")
USERS = [f"user-{i}" for i in range(19_990)] + [
    *("a", "ab", "abc", "Zoë", "用户", "a" * 300, 'quote"s', "back\\slash", "do$lar", "sp ace")
]
Headers = Mapping[str, str]


class Answer(NamedTuple):
    """Who answered, who nginx says has answered, and what the model server was told."""

    variant: str
    stamped: str
    randomized: str


class RealNginx:
    """A running nginx with the configuration of an experiment."""

    def __init__(
        self,
        program: str,
        experiment: Experiment,
        folder: Path,
        *,
        in_pod: bool = False,
        address: str = HOST,
    ) -> None:
        self.experiment, self._address = experiment, address
        self._file = folder / nginx._FILE
        self.port, self.admin, *behind = free_ports(2 + len(experiment.variants))
        self._servers = dict(zip(experiment.split.names, behind, strict=True))
        upstreams = {name: (HOST, port) for name, port in self._servers.items()}
        text = configuration(
            experiment, upstreams, listen=f"{HOST}:{self.port}", admin=f"{address}:{self.admin}"
        )
        text = text.replace("/tmp/", f"{folder}/").replace(
            "error_log stderr", f"error_log {folder}/log"
        )
        text = text.replace("worker_processes auto", "worker_processes 1")
        self.object = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": "iris-nginx",
                "namespace": experiment.namespace,
                "labels": {"abctl.dev/experiment": "iris"},
            },
            "data": {nginx._FILE: text},
        }
        self._write()
        command = [program, "-p", str(folder), "-c", str(self._file), "-g", "daemon off;"]
        path = os.environ["PATH"]
        if in_pod:
            command = ["/bin/sh", "-c", nginx._RUN.replace(nginx._MOUNT, str(folder))]
            path = f"{Path(program).parent}:{path}"
        with (folder / "said").open("wb") as said:
            self._process = subprocess.Popen(command, stderr=said, env={"PATH": path})

    def wait(self) -> None:
        _until(lambda: self.ask([{"x-user-id": "a"}]) != [], self._process)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(DEADLINE_SECONDS)

    def shift(self, split: Split) -> None:
        """Change the split as abctl does, have it loaded, and wait until it is."""
        self.load(nginx.with_split(self.object, split))
        assert nginx.split_of(self.object) == split

    def load(self, obj: Object) -> None:
        self.object = obj
        before = self._workers()
        self._write()
        self._process.send_signal(signal.SIGHUP)
        # The old worker may take connections as long as it lives.
        _until(lambda: bool(self._workers()) and not before & self._workers(), self._process)

    def _workers(self) -> set[str]:
        pid = self._process.pid
        return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())

    def _write(self) -> None:
        """Write the configuration, and the servers behind it."""
        told = '"$http_x_ab_randomized"'
        behind = "".join(
            f"server {{ listen {HOST}:{port}; location / {{ default_type text/plain; "
            f"add_header x-told {told}; return 200 {name}; }} }}\n"
            for name, port in self._servers.items()
        )
        text = self.object["data"][nginx._FILE].rstrip().removesuffix("}")
        self._file.write_text(f"{text}{behind}}}\n")

    def ask(self, requests: Sequence[Headers], path: str = "/v2") -> list[Answer]:
        """The answer to each request, over one connection at a time."""
        found: list[Answer] = []
        for i in range(0, len(requests), PIPELINED):
            batch = requests[i : i + PIPELINED]
            with socket.create_connection((HOST, self.port), DEADLINE_SECONDS) as connection:
                connection.sendall(b"".join(_written(each, path) for each in batch))
                received = b""
                while len(answers := _read(received)) < len(batch):
                    more = connection.recv(1 << 16)
                    if not more:  # as when it is loaded anew just then
                        raise ConnectionResetError(received.decode())
                    received += more
            found += answers
        return found

    def loaded(self) -> Split:
        """The split that nginx says it has loaded."""
        inquiry = nginx.CAPABILITIES.inquiry
        with urlopen(f"http://{self._address}:{self.admin}/{inquiry.path}") as answer:
            status = inquiry.status(self.object, json.load(answer))
        return nginx.programmed({**self.object, "status": status})

    def variants(self, users: Sequence[str]) -> list[str]:
        answers = self.ask([{"x-user-id": user} for user in users])
        assert all(answer.variant == answer.stamped for answer in answers)
        return [answer.variant for answer in answers]


def _written(headers: Headers, path: str) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET {path} HTTP/1.1\r\nhost: h\r\n{lines}\r\n".encode()


def _read(received: bytes) -> list[Answer]:
    """The answers that are complete."""
    found = []
    while b"\r\n\r\n" in received:
        head, _, rest = received.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        length = int(headers["content-length"])
        if len(rest) < length:
            break
        told = headers.get("x-told", "not told" if " 200" in status else status.split()[1])
        found.append(Answer(rest[:length].decode(), headers.get("x-ab-variant", ""), told))
        received = rest[length:]
    return found


def _until(test: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, "nginx has ended"
        try:
            if test():
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise AssertionError("not in time")


@pytest.fixture(scope="module")
def program() -> str:
    found: str = path_from("debian", "nginx")
    return found


@pytest.fixture
def start(program: str, tmp_path: Path) -> Iterator[Callable[..., RealNginx]]:
    running: list[RealNginx] = []

    def begin(experiment: Experiment, **options: Any) -> RealNginx:
        folder = tmp_path / str(len(running))
        folder.mkdir()
        running.append(RealNginx(program, experiment, folder, **options))
        running[-1].wait()
        return running[-1]

    yield begin
    for each in running:
        each.stop()


def expected(experiment: Experiment, split: Split, headers: Headers):
    return explain(experiment.assignment, split, headers, nginx.CAPABILITIES.draw)


def test_every_user_goes_where_the_arithmetic_says(start, make_experiment) -> None:
    experiment = make_experiment(shares_bp=(6667, 3333))
    said = [expected(experiment, experiment.split, {"x-user-id": u}).variant for u in USERS]
    assert start(experiment).variants(USERS) == said
    assert abs(said.count("treatment") / len(said) - 0.3333) < 0.02


@pytest.mark.parametrize(
    "splits_bp",
    [
        ((9000, 1000), (5000, 5000), (0, 10_000), (10_000, 0)),
        ((7000, 1000, 2000), (4500, 3500, 2000), (0, 0, 10_000)),
    ],
)
def test_a_treatment_that_grows_takes_users_only_from_the_control(
    start, make_experiment, splits_bp
) -> None:
    names = THREE[: len(splits_bp[0])] if len(splits_bp[0]) > 2 else NAMES
    experiment, users = make_experiment(*names, shares_bp=splits_bp[0]), USERS[:6000]
    running = start(experiment)
    before = running.variants(users)
    for shares_bp in splits_bp[1:]:
        split = Split(names, shares_bp)
        running.shift(split)
        after = running.variants(users)
        assert running.loaded() == split
        said = [expected(experiment, split, {"x-user-id": u}).variant for u in users]
        assert after == said
        moved = {(a, b) for a, b in zip(before, after, strict=True) if a != b}
        if 10_000 not in shares_bp:
            assert moved == {("control", names[1])}
        before = after


def test_override_cohorts_and_requests_without_a_key(start, make_experiment) -> None:
    cohorts = (
        Cohort("x-cohort", 'be"ta $1 \\z', variant="treatment"),
        Cohort("x-country", "DE", split=Split(NAMES, (5000, 5000))),
    )
    experiment = make_experiment(shares_bp=(7000, 3000), override="x-force", cohorts=cohorts)
    requests: list[Headers] = [
        {"x-force": "treatment"},
        {"x-force": "control", "x-cohort": cohorts[0].value, "x-user-id": "u1"},
        {"x-force": "Treatment", "x-user-id": "u1"},
        {"x-force": "nobody", "x-cohort": cohorts[0].value},
        {"x-cohort": cohorts[0].value.upper(), "x-user-id": "u1"},
        {"x-country": "DE"},
        {"x-user-id": ""},
        {},
        *({"x-country": "DE", "x-user-id": f"u{i}"} for i in range(200)),
        *({"x-user-id": f"u{i}", "x-ab-randomized": "nonsense"} for i in range(200)),
    ]
    for request, answer in zip(requests, start(experiment).ask(requests), strict=True):
        said = expected(experiment, experiment.split, request)
        assert answer == (said.variant, said.variant, str(said.randomized).lower()), request


def test_feedback_goes_where_the_answer_came_from(start, make_experiment) -> None:
    running = start(make_experiment(shares_bp=(10_000, 0)))
    answers = running.ask([{"x-ab-variant": "treatment"}, {"x-ab-variant": "x"}, {}], "/feedback")
    assert answers[0] == ("treatment", "treatment", "not told")
    assert [answer.randomized for answer in answers[1:]] == ["400", "400"]


def test_requests_are_drawn_by_chance_where_they_are_the_unit(start, make_experiment) -> None:
    experiment = make_experiment(shares_bp=(5000, 5000), unit="request", key="", salt="")
    answers = start(experiment).ask([{}] * 2000)
    assert 850 < sum(answer.variant == "treatment" for answer in answers) < 1150
    assert {answer.randomized for answer in answers} == {"true"}


def test_in_a_pod_a_changed_configuration_is_loaded_and_a_wrong_one_is_not(
    program, tmp_path, make_experiment
) -> None:
    running = RealNginx(program, make_experiment(shares_bp=(10_000, 0)), tmp_path, in_pod=True)
    users = USERS[:50]
    try:
        running.wait()
        assert set(running.variants(users)) == {"control"}
        text = running._file.read_text()
        assert running.loaded() == running.experiment.split
        running._file.write_text("nonsense")
        # It is looked at every two seconds; whatever is wrong is said and left alone.
        log = tmp_path / "said"
        _until(lambda: "test failed" in log.read_text(), running._process)
        assert set(running.variants(users)) == {"control"}
        assert running.loaded() == running.experiment.split
        running._file.write_text(text.replace("* control;", "* treatment;"))
        _until(lambda: set(running.variants(users)) == {"treatment"}, running._process)
    finally:
        running.stop()
    with pytest.raises(OSError, match="refused"):
        running.variants(users)


def test_a_shift_in_a_cluster_waits_until_nginx_says_that_it_has_it(
    start, make_experiment, cluster, namespace, monkeypatch
) -> None:
    if not hasattr(cluster, "write_kubeconfig"):
        pytest.skip("NOT TESTED: needs an API server of our own, not a given cluster")
    # An API server asks no pod at a loopback address.
    address = own_address()
    experiment = replace(make_experiment(shares_bp=(9000, 1000)), namespace=namespace)
    running = start(experiment, address=address)
    client = ClusterClient(kubeconfig=cluster.kubeconfig)
    client.apply(running.object)
    client.apply(_pod(namespace))
    status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
    words = ("patch", "pod", "nginx-0", "-n", namespace, "--subresource=status", "--type=merge")
    cluster.kubectl(*words, "--patch", json.dumps({"status": status}))
    inquiry = replace(nginx.CAPABILITIES.inquiry, port=running.admin)
    monkeypatch.setattr(nginx, "CAPABILITIES", replace(nginx.CAPABILITIES, inquiry=inquiry))
    where = Where(kubeconfig=cluster.kubeconfig, namespace=namespace)
    waits = []

    def kubelet(seconds: float) -> None:
        """What is in the cluster comes to the pod late."""
        waits.append(seconds)
        if len(waits) == 5:
            running.load(client.get(Ref.of(running.object)))

    patience = {"sleep": kubelet, "timeout_seconds": DEADLINE_SECONDS}
    session = replace(open_session("cm/iris-nginx", where), actor="ann", **patience)
    done = shift(session, session.experiment.split.parse_change(("50/50",)), why="")
    assert done.confirmed
    assert len(waits) >= 5
    assert running.loaded() == done.after


def _pod(namespace: str) -> Object:
    labels = {"abctl.dev/experiment": "iris", "app.kubernetes.io/component": "proxy"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "nginx-0", "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": "nginx", "image": "nginx"}]},
    }


def test_what_is_rendered_for_a_cluster_is_what_was_tested(make_experiment) -> None:
    experiment = make_experiment(shares_bp=(7000, 3000))
    target = nginx.target(experiment)
    found = next(obj for obj in nginx.objects(experiment) if Ref.of(obj) == target)
    upstreams = {n: (f"iris-{n}.models.svc.cluster.local", 8080) for n in NAMES}
    text = configuration(experiment, upstreams, listen="8080", admin="9901")
    assert found["data"] == {nginx._FILE: text}
