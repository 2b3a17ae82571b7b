"""What is read of long histories: less than everything, and the same result, number for number.

The source is abctl's client of Prometheus; the server is a small evaluator of its own.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest
from alike import few_even_polls, read_both_ways
from evaluator import Server, Stored, source
from generated import SELECTORS, START, calm, history, windows_of
from hypothesis import example, given
from hypothesis import strategies as st
from laws import law

from abctl.core.polls import Window
from abctl.errors import SourceError
from abctl.evidence.read import read

FIRST = START / 1000


@pytest.mark.slow
@law(25)
@given(st.integers(0, 10**6), st.booleans())
@example(5065, True)  # a series is missing in the first scrape of a window
@example(6027, True)  # a series is missing at a restart
def test_what_is_left_out_does_not_matter(seed: int, closed: bool) -> None:
    stored, scrapes = history(seed)
    now = START / 1000 + (scrapes - 20) * 15.0
    windows = windows_of(seed, now)
    read_both_ways(lambda: Server(stored, closed), windows, now)


@pytest.mark.slow
@pytest.mark.parametrize("minutes", [9.9, 10.01, 10.3, 13.0, 25.0, 63.9])
def test_from_which_age_on_something_is_left_out_does_not_matter(minutes: float) -> None:
    now = FIRST + minutes * 60.0
    for seed in range(4):
        stored, _ = history(seed)
        read_both_ways(partial(Server, stored), [Window(0, FIRST, now)], now, few=128)


def test_of_a_long_quiet_history_little_is_read() -> None:
    stored, now = calm(1500), START / 1000 + 1400 * 15.0
    returned = []
    for read_all in (False, True):
        server = Server(stored)
        with few_even_polls(read_all):
            read(source(server), [Window(0, START / 1000, now)], SELECTORS, now)
        returned.append(server.returned)
    starts = 1500
    assert returned[0] - starts < 0.2 * (returned[1] - starts)


def test_progress_is_told_and_comes_to_an_end() -> None:
    now, told = START / 1000 + 600 * 15.0, []
    with few_even_polls(read_all=False):
        windows = [Window(0, START / 1000, now)]
        read(
            source(Server(calm(620))),
            windows,
            SELECTORS,
            now,
            progress=lambda done, total: told.append((done, total)),
        )
    assert told[-1][0] == told[-1][1] == len(told)


def test_of_two_servers_behind_one_address_nothing_is_counted() -> None:
    class Balanced(Server):
        """Every other question goes to a server that scrapes 7 seconds later."""

        turn = 0

        def _of(self, selector: str) -> Iterator[Stored]:
            self.turn += 1
            late = 7000 * (self.turn % 2)
            for labels, times, values in super()._of(selector):
                yield labels, times + late, values

    now = START / 1000 + 600 * 15.0
    for read_all in (False, True):
        with few_even_polls(read_all):
            windows = [Window(0, START / 1000, now)]
            found = read(source(Balanced(calm(620))), windows, SELECTORS, now)
        why = [found.trouble(each) for each in SELECTORS[:2]]
        assert {each.code for each in why if each} == {"otherScrapes"}


def test_starts_that_are_missing_in_scrapes_are_the_fault_of_their_target_alone() -> None:
    now, stored = START / 1000 + 600 * 15.0, calm(620)
    there = np.random.default_rng(1).random(620) < 0.6
    lacking = [
        (labels, times[there], values[there]) if "start" in labels["__name__"] else each
        for each in stored
        for labels, times, values in [each]
    ]
    other = [({**labels, "variant": "b"}, *rest) for labels, *rest in calm(620, instance="b0:80")]
    for read_all in (False, True):
        with few_even_polls(read_all):
            windows = [Window(0, START / 1000, now)]
            found = read(source(Server([*lacking, *other])), windows, SELECTORS, now)
        why = [found.trouble(each) for each in SELECTORS]
        assert [each.code if each else "" for each in why] == ["otherScrapes", "otherScrapes", ""]


def test_a_process_that_is_scraped_twice_is_refused_and_one_that_follows_another_is_not() -> None:
    now = START / 1000 + 600 * 15.0
    windows = [Window(0, START / 1000, now)]

    def of_pod(pod: str, first: int, last: int) -> list[Stored]:
        parts = slice(first, last)
        return [({**labels, "pod": pod}, t[parts], v[parts]) for labels, t, v in calm(620)]

    with few_even_polls(read_all=False):
        both = [*of_pod("x", 0, 620), *of_pod("y", 0, 620)]
        twice = read(source(Server(both)), windows, SELECTORS, now)
        assert (why := twice.trouble(SELECTORS[0])) is not None
        assert why.code == "scrapedTwice"
        after = [*of_pod("x", 0, 300), *of_pod("y", 310, 620)]
        found = read(source(Server(after)), windows, SELECTORS, now)
    assert len(found.found[SELECTORS[0]]) == 4
    assert found.trouble(SELECTORS[0]) is None


def test_the_usual_interval_is_that_of_the_begin_whenever_anyone_looks() -> None:
    seldom = calm(21)  # the last one when the experiment begins, and then three times as often
    often = [
        (labels, times[-1] + np.arange(1, 200) * 5000.0, np.full(199, values[-1]))
        for labels, times, values in seldom
    ]
    found = []
    for seconds in (40.0, 200.0, 900.0):
        now = FIRST + seconds
        stored = [
            (labels, np.concatenate((times, more[more <= now * 1000])), np.ones(999))
            for (labels, times, _), (_, more, _) in zip(seldom, often, strict=True)
        ]
        server = Server([(labels, t, values[: len(t)]) for labels, t, values in stored])
        found.append(read(source(server), [Window(0, FIRST, now)], SELECTORS, now))
    assert [each.interval_seconds for each in found] == [15.0] * 3


def test_where_nobody_counts_drops_every_sample_is_read() -> None:
    class Named(Server):
        """Series that differ in their names only have no vector of resets."""

        def custom_query(self, query: str, params: Mapping[str, str]) -> list[Any]:
            if "resets" in query:
                raise SourceError("vector cannot contain metrics with the same labelset", "-")
            return super().custom_query(query, params)

    now, stored = FIRST + 300 * 15.0, calm(320)
    for labels, _, values in stored:  # a fall that is overtaken within a poll
        if labels["__name__"] == "n_total" and labels["bucket"] == "0":
            values[253] = values[254] = values[251]
            values[252] += 0.5
    found, _ = read_both_ways(lambda: Named(stored), [Window(0, FIRST, now)], now)
    coverage = found.coverage(SELECTORS[0])
    assert coverage is not None
    assert coverage.falls == 1
