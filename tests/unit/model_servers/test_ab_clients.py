"""The reader of the access log: which class a line is of, and what it says when it cannot start."""

import os
import socket
import subprocess
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ab_runtime.clients.__main__ import Settings
from ab_runtime.clients.counting import CODES, Counting
from ab_runtime.errors import StartError
from ab_runtime.variant import Variant

RULES = Variant("control", "salt-1", buckets=4)
ENVIRONMENT = {
    "AB_VARIANTS": "control,treatment",
    "AB_SALT": "salt-1",
    "AB_BUCKETS": "4",
    "AB_LOG_ADDRESS": "unix-abstract:log",
    "AB_PAGE": "127.0.0.1:8090",
}


def counted(line: str, unit: bytes = b"ann") -> dict[tuple[str, str, str], float]:
    """What one line adds."""
    counting = Counting(("control", "treatment"), RULES)
    counting.count(line.encode(), unit)
    return {
        (s.labels["variant"], s.labels["bucket"], s.labels["code"]): s.value
        for family in text_string_to_metric_families(counting.page())
        for s in family.samples
        if s.name == "ab_client_requests_total" and s.value
    }


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("control 200 via_upstream - - 900 1 true", "2xx"),
        ("control 302 via_upstream - - 900 1 true", "2xx"),
        ("control 404 via_upstream - - 900 1 true", "4xx"),
        ("control 503 via_upstream - - 900 1 true", "5xx"),
        ("control 503 no_healthy_upstream UH - 900 1 true", "unanswered"),
        ("control 504 response_timeout UT - 900 1 true", "unanswered"),
        ("control 200 upstream_reset_after_response_started{reset} UC - 900 1 true", "5xx"),
        ("control 0 downstream_remote_disconnect DC - - 1 true", "none"),
        ("control 200 downstream_remote_disconnect DC - - 1 true", "none"),
        ("control.grpc 200 via_upstream - 0 900 1 true", "2xx"),
        ("control.grpc 200 via_upstream - 1 900 1 true", "none"),
        ("control.grpc 200 via_upstream - 3 900 1 true", "4xx"),
        ("control.grpc 200 via_upstream - 13 900 1 true", "5xx"),
        ("control.grpc 200 no_healthy_upstream UH 14 900 1 true", "unanswered"),
        ("control.grpc 200 http2.remote_reset DR - - 1 true", "none"),
    ],
)
def test_each_line_is_of_one_class(line: str, code: str) -> None:
    assert code in CODES
    assert counted(line) == {("control", RULES.bucket("ann"), code): 1.0}


@pytest.mark.parametrize(
    ("timeout", "code"),
    [
        ("", "5xx"),
        ("2S", "5xx"),
        ("1500m", "none"),
        ("1515m", "none"),  # as gRPC rounds it up
        ("1500000u", "none"),
        ("1M", "5xx"),
        ("DC", "5xx"),
        ("1500m and more", "5xx"),
    ],
)
def test_a_timeout_of_the_clients_own_is_no_failure_of_the_server(timeout: str, code: str) -> None:
    """Status 4 says either: it is the client's where the answer took as long as it waits."""
    counting = Counting(("control",), RULES)
    line = b"control.grpc 200 via_upstream  4 1499800 1500 true"
    counting.count(line, b"ann", timeout.encode())
    assert f'code="{code}"}} 1' in counting.page()
    if timeout not in ("DC", "1500m and more"):  # as nginx has it
        flagged = line.replace(b"  4", f" ,{timeout} 4".encode())
        assert counted(flagged.decode()) == {("control", RULES.bucket("ann"), code): 1.0}


@pytest.mark.parametrize(
    "line",
    [
        "",
        "control 200",
        "_collector 200 via_upstream - - 900 1 true",
        "control.feedback 200 via_upstream - - 900 1 true",
        "control 200 via_upstream - - 900 1 true and more",
        "\xff" * 50,
    ],
)
def test_what_is_no_answer_of_a_variant_is_left_out(line: str) -> None:
    assert counted(line) == {}


@pytest.mark.parametrize(
    ("drawn", "unit"), [("false", b"ann"), ("true", b"\xe9"), ("", b""), ("false", b"")]
)
def test_what_is_outside_is_in_no_bucket(drawn: str, unit: bytes) -> None:
    line = f"control 200 via_upstream - - 900 1 {drawn}"
    assert counted(line, unit) == {("control", "none", "2xx"): 1.0}


def test_a_request_that_is_its_own_unit_is_in_some_bucket() -> None:
    [(variant, bucket, _)] = counted("treatment 200 via_upstream - - 900 1 true", b"")
    assert (variant, bucket in {"0", "1", "2", "3"}) == ("treatment", True)


@pytest.mark.parametrize("missing", ["AB_VARIANTS", "AB_SALT", "AB_LOG_ADDRESS", "AB_PAGE"])
def test_what_is_missing_is_named(missing: str) -> None:
    assert Settings.from_environment(ENVIRONMENT).variants == ("control", "treatment")
    with pytest.raises(StartError, match=missing):
        Settings.from_environment({k: v for k, v in ENVIRONMENT.items() if k != missing})


@pytest.mark.parametrize("variants", ["control,,treatment", "control,control", ","])
def test_variants_are_names_and_none_is_there_twice(variants: str) -> None:
    with pytest.raises(StartError, match="AB_VARIANTS"):
        Settings.from_environment({**ENVIRONMENT, "AB_VARIANTS": variants})


@pytest.mark.process
@pytest.mark.parametrize("taken", ["AB_LOG_ADDRESS", "AB_PAGE"])
def test_an_address_that_another_process_has_ends_it(taken: str) -> None:
    with socket.socket() as other:
        # As a gRPC server has it, which lets others share its port.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, taken == "AB_LOG_ADDRESS")
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        own = {"AB_LOG_ADDRESS": f"unix-abstract:{address}", "AB_PAGE": "127.0.0.1:8090"}
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "ab_runtime.clients"],
            env={**os.environ, **ENVIRONMENT, **own, taken: address},
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended.returncode
    assert "in use" in ended.stderr
    assert "Traceback" not in ended.stderr
