"""Numbers that PromQL gets wrong, and by which canaries are judged; abctl gets them right.

Each test has a truth that it made itself, what the usual query makes of it, and what abctl makes
of it. All read the same samples from the same Prometheus.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from histories import SECONDS, Histories, promql, total

pytestmark = pytest.mark.slow

PODS = [f"pod-{i}:8082" for i in range(8)]
RATE = 4.0
Analyze = Callable[..., dict[str, Any]]


def errors_of_new_pods(h: Histories, rng: np.random.Generator) -> dict[str, int]:
    """One failure in 2,000 requests, in both variants; the treatment's pods are new.

    Its counters of failures come into the world with the first failure, as most clients do it.
    """
    truth = dict.fromkeys(("control", "treatment"), 0)
    for variant in truth:
        for pod in PODS:
            asked = np.repeat(h.busy, rng.poisson(RATE, len(h.busy)))
            failed = rng.random(len(asked)) < 0.0005
            truth[variant] += int(failed.sum())
            who = {"variant": variant, "instance": f"{variant}-{pod}"}
            new = variant == "treatment"
            began = h.start + 60 if new else None
            old = {"held": 0 if new else 1000, "started": began}
            h.count("births", "ab_requests_total", asked[~failed], code="2xx", **who, **old)
            born = "event" if new else "before"
            h.count(
                "births", "ab_requests_total", asked[failed], code="5xx", born=born, **who, **old
            )
    return truth


def restarts(h: Histories, rng: np.random.Generator) -> dict[str, int]:
    """Two pods a variant; those of the treatment restart in turn, with nothing lost."""
    truth = dict.fromkeys(("control", "treatment"), 0)
    for variant in truth:
        for i in range(2):
            asked = np.repeat(h.busy, rng.poisson(RATE, len(h.busy)))
            truth[variant] += len(asked)
            values = 50_000 + np.searchsorted(np.sort(asked), h.scrapes, side="right")
            if variant == "treatment":
                # It restarts between two scrapes in which nothing happens.
                at = int(np.searchsorted(h.scrapes, h.start + 600 + 300 * i))
                quiet = (asked <= h.scrapes[at - 1]) | (asked > h.scrapes[at])
                truth[variant] -= int((~quiet).sum())
                asked = asked[quiet]
                values = 50_000 + np.searchsorted(np.sort(asked), h.scrapes, side="right")
                values = np.where(np.arange(len(values)) >= at, values - values[at - 1], values)
            who = {"variant": variant, "instance": f"{variant}-{PODS[i]}"}
            h.samples("restarts", "ab_requests_total", h.scrapes, values, code="2xx", **who)
    return truth


def nobody(h: Histories, rng: np.random.Generator) -> None:
    """The split says 20%, the treatment is ready and counted, and nobody is sent there."""
    asked = np.repeat(h.busy, rng.poisson(RATE, len(h.busy)))
    for variant, events in (("control", asked), ("treatment", asked[:0])):
        for code in ("2xx", "5xx"):
            these = events if code == "2xx" else events[:20]
            who = {"variant": variant, "instance": variant, "code": code}
            h.count("nobody", "ab_requests_total", these, **who)


def ramp(h: Histories, rng: np.random.Generator) -> float:
    """From 10% to 50% after half of the time, while fewer and fewer convert; no difference."""
    change = h.start + SECONDS / 2
    for variant in ("control", "treatment"):
        early, late = h.busy[h.busy < change - 60], h.busy[h.busy > change + 60]
        share = (0.9, 0.5) if variant == "control" else (0.1, 0.5)
        asked = np.concatenate(
            [
                np.repeat(part, rng.poisson(40 * share[i], len(part)))
                for i, part in enumerate((early, late))
            ]
        )
        converted = rng.random(len(asked)) < np.where(asked < change, 0.10, 0.05)
        who = {"variant": variant, "instance": variant}
        h.count("ramp", "ab_requests_total", asked, code="2xx", **who)
        h.count("ramp", "ab_outcome_count_total", asked, outcome="conversion", **who)
        h.count(
            "ramp",
            "ab_outcome_sum_total",
            asked[converted],
            outcome="conversion",
            sign="positive",
            **who,
        )
    return change


def weighted_hash(h: Histories, rng: np.random.Generator) -> None:
    """A router that takes the largest of hash times weight; 90 and 10 are configured."""
    users = np.repeat(h.busy, 2)
    scores = rng.random((len(users), 2)) * (90, 10)
    treated = scores[:, 1] > scores[:, 0]
    for variant, events in (("control", users[~treated]), ("treatment", users[treated])):
        who = {"variant": variant, "instance": variant, "code": "2xx"}
        h.count("weights", "ab_requests_total", events, **who)


class World:
    """All of it, in one Prometheus."""

    def __init__(self, serve: Callable[[Histories], str]) -> None:
        self.histories, rng = Histories(), np.random.default_rng(11)
        self.births = errors_of_new_pods(self.histories, rng)
        self.restarts = restarts(self.histories, rng)
        nobody(self.histories, rng)
        self.change = ramp(self.histories, rng)
        weighted_hash(self.histories, rng)
        self.url = serve(self.histories)

    def query(self, query: str) -> dict[str, float]:
        """What Prometheus answers when all is over."""
        return promql(self.url, query, self.histories.end)

    @property
    def start(self) -> float:
        """When the experiments started."""
        return self.histories.start


@pytest.fixture(scope="module")
def world(serve: Callable[[Histories], str]) -> World:
    return World(serve)


def test_errors_of_new_pods_are_not_lost(world: World, analyze: Analyze) -> None:
    """`increase()` begins at the first sample: what a new series held then is gone."""
    failed = 'ab_requests_total{experiment="births",code="5xx"}'
    naive = world.query(f"sum by (variant) (increase({failed}[{SECONDS}s]))")
    assert naive["control"] == pytest.approx(world.births["control"], rel=0.1)
    assert naive["treatment"] < 0.85 * world.births["treatment"]  # a quarter or so is missing

    found = analyze("births", world.url, {world.start: 50})
    assert [total(found, "errors", i) for i in (0, 1)] == list(world.births.values())


def test_counts_are_whole_numbers(world: World, analyze: Analyze) -> None:
    """`increase()` extrapolates to the ends of its range, and no exact test takes 4.13 failures."""
    failed = 'ab_requests_total{experiment="births",code="5xx"}'
    naive = world.query(f"sum by (variant) (increase({failed}[1337s]))")
    assert all(abs(number - round(number)) > 0.001 for number in naive.values())

    found = analyze("births", world.url, {world.start: 50})
    for variant in found["variants"]:
        assert variant["requests"] == int(variant["requests"])


def test_a_restart_is_no_traffic(world: World, analyze: Analyze) -> None:
    """The increase of a sum takes the drop of one pod for a reset of them all."""
    naive = world.query(
        f'increase(sum by (variant) (ab_requests_total{{experiment="restarts"}})[{SECONDS}s:30s])'
    )
    assert naive["control"] == pytest.approx(world.restarts["control"], rel=0.1)
    assert naive["treatment"] > 5 * world.restarts["treatment"]

    found = analyze("restarts", world.url, {world.start: 50})
    assert [v["requests"] for v in found["variants"]] == list(world.restarts.values())
    assert found["variants"][1]["coverage"]["restarts"] == 2


def test_no_traffic_is_no_success(world: World, analyze: Analyze) -> None:
    """0/0 is NaN, NaN is not above any threshold, and a canary without a request is promoted."""
    errors = 'sum by (variant) (rate(ab_requests_total{experiment="nobody",code="5xx"}[30m]))'
    whole = 'sum by (variant) (rate(ab_requests_total{experiment="nobody"}[30m]))'
    assert math.isnan(world.query(f"{errors} / {whole}")["treatment"])
    assert "treatment" not in world.query(f"{errors} / {whole} > 0.01")  # no alarm

    found = analyze("nobody", world.url, {world.start: 20})
    assert found["verdict"]["kind"] == "invalid"
    reason = found["verdict"]["reasonCodes"][0]
    assert reason["code"] == "splitMismatch"
    assert (reason["facts"]["variant"], reason["facts"]["requestsCount"]) == ("treatment", 0)
    treatment = found["variants"][1]
    assert (treatment["requests"], treatment["errorRatio"]) == (0, None)
    assert "has no requests since" in found["metrics"][1]["comparisons"][0]["effect"]["reason"]


def test_a_ramp_makes_no_difference_of_a_drift(world: World, analyze: Analyze) -> None:
    """Pooled over a ramp, the variant that got more of the bad hours is the worse one."""
    top, below = (
        world.query(f'sum by (variant) (increase({name}{{experiment="ramp"}}[{SECONDS}s]))')
        for name in ("ab_outcome_sum_total", "ab_outcome_count_total")
    )
    naive = {variant: top[variant] / below[variant] for variant in top}
    assert naive["control"] == pytest.approx(0.0821, abs=0.005)
    assert naive["treatment"] == pytest.approx(0.0583, abs=0.005)
    spread = sum(naive[v] * (1 - naive[v]) / below[v] for v in naive)
    assert (naive["control"] - naive["treatment"]) / math.sqrt(spread) > 5  # surely worse

    found = analyze("ramp", world.url, {world.start: 10, world.change: 50})
    effect = found["metrics"][0]["comparisons"][0]["effect"]
    assert effect["epochs"] == [0, 1]
    assert effect["interval"][0] < 0 < effect["interval"][1]
    assert effect["p"] > 0.05
    assert abs(effect["effect"]) < 0.01
    assert found["verdict"]["kind"] == "continue"


def test_ten_percent_that_are_less_are_noticed(world: World, analyze: Analyze) -> None:
    """Hash times weight sends 10/(2*90) of the users where 10% are configured."""
    found = analyze("weights", world.url, {world.start: 10})
    got = found["srm"]["observed"]
    assert got[1] / sum(got) == pytest.approx(10 / 180, abs=0.01)
    assert found["verdict"]["kind"] == "invalid"
    reason = found["verdict"]["reasonCodes"][0]
    assert reason["code"] == "splitMismatch"
    assert reason["facts"]["variant"] == "control"
    expected = reason["facts"]["expectedCount"] / reason["facts"]["totalCount"]
    assert expected == pytest.approx(0.9)
