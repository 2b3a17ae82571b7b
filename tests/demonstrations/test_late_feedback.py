"""Feedback comes minutes after the answer, and after a shift: it counts for who answered."""

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fastapi import HTTPException
from histories import Histories, total
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from ab_runtime.calls import Counting
from ab_runtime.feedback import Feedback, taker
from ab_runtime.variant import Variant
from abctl.core.assignment import by_salted_hash
from abctl.core.experiment import Assignment
from abctl.core.split import Split

NAMES = ("control", "treatment")
BEFORE, AFTER = Split(NAMES, (5_000, 5_000)), Split(NAMES, (9_000, 1_000))
RULES = Assignment("user", "x-user-id", "salt-1")
SHIFT_SECONDS, DELAY_SECONDS = 900, 660
USERS = 600
TRUTH = {"control": 0.5, "treatment": 0.8}


class Server:
    """What stands around the server of one variant, and what it counted."""

    def __init__(self, name: str) -> None:
        variant = Variant(name, "salt-1", buckets=4, outcomes={"conversion": "binary"})
        self._counting = Counting(variant)
        self._take = taker(variant, self._counting.counters)

    def answer(self, user: str) -> str:
        """The variant that the answer says it is from."""
        headers = [(b"x-user-id", user.encode()), (b"x-ab-randomized", b"true")]
        call = self._counting.begin("iris", headers, 0.0)
        assert call is not None
        call.end("2xx")
        return call.headers["x-ab-variant"]

    def feedback(self, variant: str, user: str, value: int) -> None:
        """What the client reports later."""
        report = Feedback(variant=variant, user=user, outcome="conversion", value=value)
        asyncio.run(self._take(report))

    def page(self) -> list[Sample]:
        """What a scrape sees."""
        families = text_string_to_metric_families(self._counting.counters.page())
        return [sample for family in families for sample in family.samples]


@pytest.fixture
def servers() -> dict[str, Server]:
    return {name: Server(name) for name in NAMES}


@pytest.mark.process
def test_it_counts_for_the_variant_that_answered(
    servers: dict[str, Server],
    serve: Callable[[Histories], str],
    analyze: Callable[..., dict[str, Any]],
) -> None:
    h, rng = Histories(), np.random.default_rng(4)
    asked_at = np.sort(rng.uniform(h.start + 310, h.start + SHIFT_SECONDS - 60, USERS))
    happened: list[tuple[float, Callable[[], None]]] = []
    truth: dict[str, list[int]] = {name: [] for name in NAMES}
    by_the_split: dict[str, list[int]] = {name: [] for name in NAMES}

    def ask(at: float, user: str) -> None:
        variant = servers[by_salted_hash(RULES, BEFORE, user).variant].answer(user)
        value = int(rng.random() < TRUTH[variant])
        truth[variant].append(value)
        by_the_split[by_salted_hash(RULES, AFTER, user).variant].append(value)
        # The route of feedback goes by the variant that it names, not by the user.
        report = (at + DELAY_SECONDS, lambda: servers[variant].feedback(variant, user, value))
        happened.append(report)

    for i, at in enumerate(asked_at):
        happened.append((at, lambda at=at, user=f"u{i}": ask(at, user)))  # type: ignore[misc]
    for scrape in h.scrapes:
        for event in sorted((e for e in happened if e[0] <= scrape), key=lambda e: e[0]):
            happened.remove(event)
            event[1]()
        for name, server in servers.items():
            for each in server.page():
                if each.name.startswith(("ab_requests", "ab_outcome")):
                    who = {"instance": name, **each.labels}
                    h.samples("late", each.name, [scrape], [each.value], **who)

    # By the split of the time when it came, most of what the treatment did is the control's.
    assert sum(map(len, truth.values())) == USERS
    assert len(by_the_split["treatment"]) < 0.3 * len(truth["treatment"])
    assert np.mean(by_the_split["control"]) > np.mean(truth["control"]) + 0.05

    found = analyze("late", serve(h), {h.start: 50, h.start + SHIFT_SECONDS: 10})
    assert [v["requests"] for v in found["variants"]] == [len(truth[name]) for name in NAMES]
    for i, name in enumerate(NAMES):
        assert found["variants"][i]["values"]["conversion"] == pytest.approx(
            float(np.mean(truth[name]))
        )
        assert total(found, "conversion", i) == sum(truth[name])
    effect = found["metrics"][0]["comparisons"][0]["effect"]
    assert effect["epochs"] == [1]  # all of it came after the shift
    assert effect["effect"] == pytest.approx(0.3, abs=0.08)


def test_what_reaches_the_other_variant_is_refused(servers: dict[str, Server]) -> None:
    with pytest.raises(HTTPException, match="this server is 'control'"):
        servers["control"].feedback("treatment", "u1", 1)
    page = servers["control"].page()
    counts = [each.value for each in page if each.name == "ab_outcome_count_total"]
    assert counts
    assert not any(counts)
