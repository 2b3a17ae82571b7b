"""What had no target was not missed; what was a target and did not answer was."""

import numpy as np
import pytest
from alike import read_both_ways
from crowds import BEFORE, Nights, scaled_to_zero
from evaluator import Server, source
from generated import INTERVAL, SELECTORS, START
from hypothesis import given
from hypothesis import strategies as st
from laws import law

from abctl.core.polls import Window
from abctl.evidence.increments import Samples
from abctl.evidence.read import read

FIRST, SECONDS = START / 1000, INTERVAL / 1000
nights = st.lists(st.tuples(st.integers(25, 150), st.integers(8, 60)), min_size=1, max_size=3)


def apart(drawn: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found, at = [], 0
    for day, night in drawn:
        found.append((at + day, at + day + night))
        at += day + night
    return found


def look(plan: Nights, seed: int, after: int = 40) -> Samples:
    scrapes = plan.nights[-1][1] + after
    stored = scaled_to_zero(np.random.default_rng(seed), scrapes, plan)
    now = FIRST + (scrapes - BEFORE) * SECONDS
    thin, full = read_both_ways(lambda: Server(stored), [Window(0, FIRST, now)], now)
    for selector in SELECTORS:
        assert thin.absent_seconds(selector) == full.absent_seconds(selector)
    return thin


@pytest.mark.slow
@law(12)
@given(st.integers(0, 10**6), nights, st.booleans(), st.booleans())
def test_no_target_is_no_gap(
    seed: int, drawn: list[tuple[int, int]], same_address: bool, others: bool
) -> None:
    plan = Nights(apart(drawn), "gone", same_address, others)
    found = look(plan, seed)
    for selector in SELECTORS[:2]:
        watched = found.coverage(selector)
        assert watched is not None
        assert watched.covered_ratio == 1.0
        asleep = sum(night - 1 for _, night in drawn) * SECONDS
        slack = 3 * SECONDS * len(drawn)
        assert found.absent_seconds(selector) == pytest.approx(asleep, abs=slack)


@law(12)
@given(st.integers(0, 10**6), nights, st.sampled_from(["down", "lost", "stuck"]))
def test_what_does_not_answer_is_a_gap(seed: int, drawn: list[tuple[int, int]], fate: str) -> None:
    found = look(Nights(apart(drawn), fate), seed)
    watched = found.coverage(SELECTORS[0])
    assert watched is not None
    assert watched.covered_ratio < 1.0
    assert found.absent_seconds(SELECTORS[0]) == 0.0


@pytest.mark.parametrize(("fate", "stale"), [("gone", False), ("down", True)])
def test_at_the_end(fate: str, stale: bool) -> None:
    found = look(Nights([(100, 160)], fate, others=True), 1, after=0)
    watched = found.coverage(SELECTORS[0])
    assert watched is not None
    assert (watched.stale_seconds > 120) == stale
    assert (watched.covered_ratio < 1) == stale


def test_a_server_that_scraped_nothing_is_a_gap() -> None:
    stored = scaled_to_zero(np.random.default_rng(2), 200, Nights([(60, 110)], "gone"))
    dark = (START + (60 - BEFORE) * INTERVAL, START + (110 - BEFORE) * INTERVAL)
    stored = [
        (s[0], s[1][k], s[2][k]) for s in stored for k in [(s[1] < dark[0]) | (s[1] >= dark[1])]
    ]
    now = FIRST + (200 - BEFORE) * SECONDS
    found = read(source(Server(stored)), [Window(0, FIRST, now)], SELECTORS, now)
    watched = found.coverage(SELECTORS[0])
    assert watched is not None
    assert watched.covered_ratio < 0.8
    assert found.absent_seconds(SELECTORS[0]) == 0.0
