"""A real collector: killed, started again, asked twice, attacked: all of it counts once."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from real_collector import RealCollector

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCollector]:
    started = RealCollector(tmp_path_factory.mktemp("collector"), maturity_seconds=6)
    yield started
    started.kill()


def click(token: str, value: float = 1) -> dict[str, Any]:
    return {"token": token, "outcome": "click", "value": value}


def test_reports_survive_a_kill_and_count_once(collector: RealCollector) -> None:
    reports = [click(collector.token("control", f"u{i}"), i % 2) for i in range(40)]
    first = collector.post({"items": reports}).json()["items"]
    assert first == [{"counted": True}] * 40
    assert collector.sum("ab_outcome_count_total") == 0  # not due yet
    collector.kill()
    collector.start()
    # The application does not know whether the first try went through, and sends all again.
    again = collector.post({"items": reports}).json()["items"]
    assert [each["counted"] for each in again] == [False] * 40
    collector.until_counted(40, "ab_outcome_count_total", outcome="click", variant="control")
    assert collector.sum("ab_outcome_hits_total", outcome="click") == 20
    assert collector.sum("ab_user_outcome_count_total", outcome="click") == 40
    told = [collector.sum("ab_feedback_total", what=what) for what in ("duplicate", "late")]
    assert sum(told) == 40
    assert collector.post(reports[0]).status_code == 422  # older than the maturity by now


def test_a_user_counts_once_and_without_any_report_too(collector: RealCollector) -> None:
    now_ms = time.time_ns() // 1_000_000
    units = [[collector.keys.unit_hash(f"v{i}"), str(i % 4), now_ms] for i in range(30)]
    body = json.dumps({"variant": "treatment", "units": units}).encode()
    signature = {"x-ab-signature": collector.keys.sign(body)}
    for _ in range(2):  # two replicas, or a server that repeats itself
        assert collector.post(body, "/exposures", **signature).json()["late"] == 0
    items = [click(collector.token("treatment", "v1", now_ms + i)) for i in range(3)]
    collector.post({"items": items})
    name, of = "ab_user_outcome", {"outcome": "click", "variant": "treatment"}
    collector.until_counted(30, f"{name}_count_total", **of)
    assert collector.sum(f"{name}_hits_total", **of) == 1
    assert collector.sum(f"{name}_sum_total", **of, sign="positive") == 3
    assert collector.post(body, "/exposures").status_code == 403


def test_a_user_who_is_answered_again_has_returned(collector: RealCollector) -> None:
    def tell(user: str, at_ms: int) -> Any:
        unit = [collector.keys.unit_hash(user), "1", at_ms]
        body = json.dumps({"variant": "control", "units": [unit]}).encode()
        signature = {"x-ab-signature": collector.keys.sign(body)}
        return collector.post(body, "/exposures", **signature).json()

    before = collector.sum("ab_user_outcome_hits_total", outcome="back", variant="control")
    now_ms = time.time_ns() // 1_000_000
    for user, after_ms in (("soon", 1000), ("again", 2000), ("twice", 2000), ("twice", 3000)):
        assert tell(user, now_ms)["late"] == 0
        # A server is told how often to tell of the same user.
        assert tell(user, now_ms + after_ms) == {"late": 0, "againSeconds": 0.05}
    name, of = "ab_user_outcome_hits_total", {"outcome": "back", "variant": "control"}
    collector.until_counted(before + 2, name, **of)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"token": "TOKEN", "outcome": "click", "value": 5}, 422),
        ({"token": "TOKEN", "outcome": "click", "value": 0.5}, 422),
        ({"token": "TOKEN", "outcome": "spent", "value": 3}, 422),  # many times, so it needs an id
        ({"token": "TOKEN", "outcome": "spent", "value": "3", "id": "a"}, 422),
        ({"token": "TOKEN", "outcome": "other", "value": 1}, 422),
        ({"token": "TOKEN", "outcome": "back", "value": 1}, 422),  # servers tell who returns
        ({"token": "TOKEN"[:-1] + "x", "outcome": "click", "value": 1, "more": 1}, 422),
        ({"token": "1.a.Zm9yZ2Vk", "outcome": "click", "value": 1}, 422),
        ({"items": []}, 422),
        ([1], 422),
        (b"{", 400),
        (b"\xff", 400),
        (b"[" * 100_000, 400),
        (b" " * (2 << 20), 413),
        (b'{"token": "TOKEN", "outcome": "click", "value": 1e999}', 422),
    ],
)
def test_what_cannot_be_is_refused_and_counted_nowhere(
    collector: RealCollector, body: Any, status: int
) -> None:
    before = collector.sum("ab_feedback_total")
    token = collector.token("control", "alice")
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = collector.post(raw.replace(b"TOKEN", token.encode()))
    assert answer.status_code == status, answer.text
    assert len(answer.content) < 2000
    assert collector.sum("ab_feedback_total") == before


def test_one_bad_report_takes_no_other_with_it(collector: RealCollector) -> None:
    good, bad = click(collector.token("control", "u1")), click(collector.token("control", "u2"), 5)
    results = collector.post({"items": [bad, good]}).json()["items"]
    assert [each["counted"] for each in results] == [False, True]
    assert "0 or 1" in results[0]["refused"]
    assert collector.sum("ab_feedback_refused_total", what="value") >= 1
