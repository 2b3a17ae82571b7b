"""What clients got, as a proxy's access log says: equal to what they saw, by variant and bucket.

The proxy and the reader of its log are real; the servers answer as a request tells them to.
"""

import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import grpc
import pytest
import requests
from api_server import DEADLINE_SECONDS, HOST
from log_driver import CALL, STREAM, Driver, Proxy
from logged_proxies import Counts, LoggedEnvoy, LoggedNginx
from told_servers import BROKEN, FLOWS, HELD, TORN, WHOLE

from abctl.core.experiment import Experiment, Metric, Source
from abctl.core.selector import Selector, alone
from abctl.metrics.presets import preset
from abctl.session.analyze import telemetry
from abctl.spec import parse

TEXT = """
apiVersion: abctl.dev/v1alpha1
kind: Experiment
metadata: {name: logged}
spec:
  platform: envoy
  assignment:
    unit: user
    key: x-user-id
    salt: logged-1
    buckets: 16
    override: x-variant
  variants:
    - {name: control,   split: 50%, model: {name: iris, version: v1}}
    - {name: treatment, split: 50%, model: {name: iris, version: v2}}
  metrics:
    - {name: errors, role: primary, kind: proportion, of: errors, direction: decrease}
"""
ERRORS = Metric("errors", "guardrail", "proportion", "errors", "decrease")
# Of a client: enough for a request to come to a server, on a slow machine too.
PATIENCE_SECONDS = 3.0


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return parse(TEXT, "logged.yaml")


def running(made: Proxy) -> Iterator[Proxy]:
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module", params=[LoggedEnvoy, LoggedNginx])
def proxy(
    request: pytest.FixtureRequest, experiment: Experiment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    yield from running(request.param(experiment, tmp_path_factory.mktemp("logged")))


@pytest.fixture
def driver(experiment: Experiment, proxy: Proxy) -> Driver:
    return Driver(experiment, proxy)


def test_answers_are_counted_as_clients_got_them(proxy: Proxy, driver: Driver) -> None:
    before = proxy.reader.timed()
    for i in range(60):
        driver.ask(f"user-{i}", "200")
    for i in range(20):
        driver.ask(f"user-{i}", ("400", "404", "500", "503")[i % 4])
    # Outside: no user, an empty one, one whose variant is forced; a client cannot say otherwise.
    for user in (None, ""):
        driver.ask(user, "500", **{"x-ab-randomized": "true"})
    driver.ask("user-1", "200", **{"x-variant": "treatment"})
    # The ids of users are bytes, and blanks around them are not part of them.
    driver.ask("user-1 ", "200")
    driver.ask("-", "200")
    # What is asked for no prediction is nothing of a model's.
    requests.get(f"{proxy.url}/v2/models/iris", headers={"x-want": "500"}, timeout=DEADLINE_SECONDS)
    requests.get(f"{proxy.url}/metrics", timeout=DEADLINE_SECONDS)
    driver.lost("user-2", BROKEN, "5xx", DEADLINE_SECONDS)
    driver.lost("user-3", HELD, "none", 1.0)
    driver.until_counted()

    # Latency is of what was randomized and not refused, and of its bucket.
    timed = Counts()
    for (variant, bucket, code), count in driver.seen.items():
        if code != "4xx" and bucket != "none":
            timed[variant, bucket, ""] += count
    assert proxy.reader.timed() - before == timed


def test_calls_of_grpc_are_counted_by_their_status(proxy: Proxy, driver: Driver) -> None:
    status = grpc.StatusCode
    with grpc.insecure_channel(f"{HOST}:{proxy.calls_port}") as channel:
        for i in range(12):
            driver.call(channel, f"user-{i}", status.OK, "2xx")
            driver.call(channel, f"user-{i}", status.INVALID_ARGUMENT, "4xx")
            driver.call(channel, f"user-{i}", status.INTERNAL, "5xx")
    driver.until_counted()


def test_what_breaks_off_is_failed_and_what_is_left_has_no_answer(
    proxy: Proxy, driver: Driver
) -> None:
    # nginx logs a length; nothing in its log tells whether the last of several parts came.
    torn = "5xx" if isinstance(proxy, LoggedEnvoy) else "2xx"
    for i, (want, code) in enumerate(((WHOLE, "2xx"), (TORN, torn), (FLOWS, "none")) * 3):
        driver.parts(f"user-{i}", want, code)
    with grpc.insecure_channel(f"{HOST}:{proxy.calls_port}") as channel:
        for i, (want, code) in enumerate(
            (
                ("0", "2xx"),
                ("5", "4xx"),
                ("13", "5xx"),
                ("4", "5xx"),
                (FLOWS, "none"),
                (HELD, "none"),
            )
        ):
            driver.stream(channel, f"user-{i}", want, code)
    driver.until_counted()


def test_a_client_whose_own_time_is_over_has_no_answer(proxy: Proxy, driver: Driver) -> None:
    """Its server, which has the same timeout, may be first to tell the proxy."""
    with grpc.insecure_channel(f"{HOST}:{proxy.calls_port}") as channel:
        ways = channel.unary_unary(CALL).future, channel.stream_unary(STREAM).future
        calls = []
        for i, want in enumerate((HELD, FLOWS) * 4):
            metadata = (("x-user-id", f"user-{i}"), ("x-want", want))
            asked: Any = b"" if want == HELD else iter([b""])
            calls.append(ways[i % 2](asked, PATIENCE_SECONDS, metadata))
            driver.seen[*driver.place(f"user-{i}"), "none"] += 1
        assert {call.code() for call in calls} == {grpc.StatusCode.DEADLINE_EXCEEDED}
    driver.until_counted()


def test_what_no_server_answers_is_of_its_users_bucket(proxy: Proxy, driver: Driver) -> None:
    status = grpc.StatusCode
    proxy.servers["treatment"].kill()
    try:
        with grpc.insecure_channel(f"{HOST}:{proxy.calls_port}") as channel:
            for user in (f"user-{i}" for i in range(4)):
                dead = driver.place(user)[0] == "treatment"
                driver.ask(user, "200", code="unanswered" if dead else "")
                said = status.UNAVAILABLE if dead else status.OK
                driver.call(channel, user, said, "unanswered" if dead else "2xx")
        assert "unanswered" in {code for _, _, code in driver.seen}
        driver.until_counted()
    finally:
        proxy.servers["treatment"].start()


def counted_by_envoy(envoy: LoggedEnvoy, experiment: Experiment) -> Counter[tuple[str, str]]:
    """Answers that were not refused, and failures, by variant, as the preset `envoy` finds them."""
    asked = telemetry(replace(experiment, source=Source("prometheus", {}, "envoy")))
    page = envoy.get("/stats/prometheus").decode()
    lines = re.findall(r"^(\w+)\{(.*)\} (\d+)$", page, re.MULTILINE)
    pair = re.compile(r'(\w+)="([^"]*)"')
    every = [({"__name__": name, **dict(pair.findall(of))}, n) for name, of, n in lines]
    return Counter(
        {
            (name, part): sum(
                int(value)
                for selector in map(Selector.parse, alone(text))
                for labels, value in every
                if selector.matches(labels)
            )
            for name in experiment.split.names
            for part, text in asked.parts(ERRORS, name).items()
        }
    )


@pytest.mark.parametrize("proxy", [LoggedEnvoy], indirect=True)
def test_envoys_counters_tell_errors_of_grpc_by_their_status(
    experiment: Experiment, proxy: LoggedEnvoy, driver: Driver
) -> None:
    """Also of calls that no server answered; to HTTP each of them is a 200."""
    before, status = counted_by_envoy(proxy, experiment), grpc.StatusCode
    with grpc.insecure_channel(f"{HOST}:{proxy.port}") as channel:
        for user in (f"user-{i}" for i in range(8)):
            for rest in ("200", "404", "500"):
                driver.ask(user, rest)
            driver.call(channel, user, status.OK, "2xx")
            driver.call(channel, user, status.INVALID_ARGUMENT, "4xx")
            driver.call(channel, user, status.INTERNAL, "5xx")
        proxy.servers["treatment"].kill()
        try:
            dead = [u for u in (f"user-{i}" for i in range(8)) if driver.place(u)[0] == "treatment"]
            for user in dead:
                driver.call(channel, user, status.UNAVAILABLE, "unanswered")
        finally:
            proxy.servers["treatment"].start()
    assert dead
    expected: Counter[tuple[str, str]] = Counter()
    for (variant, _, code), count in driver.seen.items():
        expected[variant, "n"] += count * (code != "4xx")
        expected[variant, "successes"] += count * (code in ("5xx", "unanswered"))
    proxy.until(lambda: counted_by_envoy(proxy, experiment) - before == expected, "Envoy's counts")
    driver.until_counted()


@pytest.mark.parametrize("proxy", [LoggedEnvoy], indirect=True)
def test_no_request_waits_for_the_reader(proxy: LoggedEnvoy, driver: Driver) -> None:
    """What it does not take in time is lost, in bounded memory; Envoy says how much."""
    driver.ask("user-1", "200")
    driver.until_counted()
    os.kill(proxy.reader.process.pid, signal.SIGSTOP)
    long = "u" * 40_000
    try:
        asked = 0
        # More than fits into its buffers on both sides.
        while not proxy.count("^access_logs.grpc_access_log.logs_dropped$"):
            driver.ask(long, "200")
            asked += 1
            assert asked * len(long) < 100 * 2**20
    finally:
        os.kill(proxy.reader.process.pid, signal.SIGCONT)
    dropped = proxy.count("^access_logs.grpc_access_log.logs_dropped$")
    driver.until_counted(lost=dropped)
    name = (preset("access-log").dropped or "").partition("{")[0]
    assert re.findall(
        rf"^{name}\S* (\d+)$", proxy.get("/stats/prometheus").decode(), re.MULTILINE
    ) == [str(dropped)]


@pytest.mark.parametrize("proxy", [LoggedEnvoy], indirect=True)
def test_a_reader_that_starts_anew_says_so_and_goes_on(proxy: Proxy, driver: Driver) -> None:
    driver.ask("user-1", "200")
    driver.until_counted()
    [(_, first)] = proxy.reader.values("process_start_time_seconds")
    proxy.reader.kill()
    driver.ask("user-1", "200")  # which nobody counts
    proxy.reader.start()
    [(_, second)] = proxy.reader.values("process_start_time_seconds")
    assert second > first

    def counted_again() -> bool:
        driver.ask("user-2", "200")
        return proxy.reader.counts().total() > 0

    proxy.until(counted_again, "a count of the new reader")
    assert {bucket for _, bucket, _ in proxy.reader.counts()} == {driver.place("user-2")[1]}


@pytest.mark.parametrize("proxy", [LoggedNginx], indirect=True)
def test_what_waits_in_memory_for_its_reader_is_counted(proxy: LoggedNginx, driver: Driver) -> None:
    os.kill(proxy.reader.process.pid, signal.SIGSTOP)
    try:
        for i in range(30):
            driver.ask(f"user-{i}", "200")
    finally:
        os.kill(proxy.reader.process.pid, signal.SIGCONT)
    driver.until_counted()
    proxy.reader.kill()
    # A new one begins at zero, and with what its predecessor has not counted.
    driver.forget()
    for i in range(30):
        driver.ask(f"user-{i}", "200")
    proxy.reader.start()
    driver.until_counted()
    # The ids of the users are nowhere.
    proxy.until(lambda: not proxy.log.read_bytes().strip(b"\0"), "an empty log")
    assert sum(value for _, value in proxy.reader.values("ab_client_log_lost_total")) == 0
