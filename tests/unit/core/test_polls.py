"""The grid of polls: covers every window exactly, never crosses one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abctl.core.polls import (
    LEFT_OUT,
    Polls,
    Window,
    blind,
    cut,
    interval_seconds,
    uncovered_seconds,
)

times = st.lists(st.integers(0, 10**6), min_size=6, max_size=6, unique=True).map(sorted)


@given(times, st.floats(0.5, 1e5))
def test_polls_cover_the_windows_and_nothing_else(t: list[int], step: float) -> None:
    windows = [Window(3, t[0], t[1]), Window(4, t[2], t[3]), Window(7, t[4], t[5])]
    polls = cut(windows, step)
    widths = np.diff(polls.edges)
    assert np.all(widths > 0)
    assert len(polls.edges) == len(polls.epoch) + 1
    for window in windows:
        of_window = polls.epoch == window.epoch
        assert np.isclose(widths[of_window].sum(), window.seconds)
        assert polls.edges[:-1][of_window][0] == window.start
        assert polls.edges[1:][of_window][-1] == window.end
    assert np.count_nonzero(polls.epoch == LEFT_OUT) == 2


@given(times, st.floats(0.5, 1e5))
def test_a_later_look_finds_the_polls_of_an_earlier_one(t: list[int], step: float) -> None:
    before = Window(0, t[0], t[1])
    early, late = (cut([before, Window(1, t[2], end)], step) for end in (t[3], t[4]))
    # The last poll of the early look was not over.
    np.testing.assert_array_equal(early.edges[:-1], late.edges[: len(early.edges) - 1])


@given(st.integers(0, 6), st.lists(st.booleans(), min_size=6, max_size=6))
def test_polls_can_be_merged_however_few_are_over(over: int, missed: list[bool]) -> None:
    whole = cut([Window(0, 0, 3), Window(1, 3, 6)], 1)
    polls = Polls(whole.edges[: over + 1], whole.epoch[:over])
    merged = polls.without_edges_after(np.array(missed[:over], dtype=bool))
    assert (merged.edges[0], merged.edges[-1]) == (polls.edges[0], polls.edges[-1])
    assert len(merged.edges) == len(merged.epoch) + 1
    assert set(merged.epoch.tolist()) == set(polls.epoch.tolist())


@pytest.mark.parametrize("step", [0.5, 2.0, 30.0, 120.0])
@pytest.mark.parametrize("days", [0.01, 1.0, 30.0, 3650.0])
def test_polls_stay_few_and_none_is_long_for_its_age(step: float, days: float) -> None:
    end = days * 86400.0
    polls = cut([Window(0, 0, end / 3), Window(1, end / 3 + 60, end)], step)
    widths, ages = np.diff(polls.edges)[polls.counted], polls.edges[1:][polls.counted]
    assert len(widths) < 2000
    assert np.all(widths <= np.maximum(step, ages / 64) + 1e-3)


def test_edges_are_times_that_a_scrape_can_bear() -> None:
    start = 1_700_000_000.1 + 0.2
    polls = cut([Window(0, start, start + 7.77777)], 0.1)
    assert polls.edges.tolist() == [float(f"{edge:.3f}") for edge in polls.edges]


def test_windows_that_touch_have_no_gap_between_them() -> None:
    polls = cut([Window(0, 0, 10), Window(1, 10, 30)], 10)
    assert polls.edges.tolist() == [0, 10, 20, 30]
    assert polls.epoch.tolist() == [0, 1, 1]


def test_a_missed_scrape_merges_polls_but_never_two_epochs() -> None:
    polls = cut([Window(0, 0, 4), Window(1, 4, 8)], 1)
    found = blind(polls, [np.array([0.5, 1.5, 4.5, 5.5, 6.5])])
    assert found.tolist() == [False, False, True, True, False, False, False, False]
    merged = polls.without_edges_after(found)
    assert merged.edges.tolist() == [0, 1, 2, 4, 5, 6, 7, 8]
    assert merged.epoch.tolist() == [0, 0, 0, 1, 1, 1, 1]


def test_a_target_that_is_not_yet_or_no_longer_there_blinds_nobody() -> None:
    polls = cut([Window(0, 0, 6)], 1)
    assert not blind(polls, [np.array([2.5, 3.5])]).any()


def test_long_gaps_are_uncovered() -> None:
    window = Window(0, 0, 100)
    assert uncovered_seconds(window, np.arange(0.0, 101.0), 5) == 0
    assert uncovered_seconds(window, np.array([1.0, 3.0, 60.0, 98.0]), 5) == 57 + 38
    assert uncovered_seconds(window, np.array([]), 5) == 100


def test_the_usual_interval_is_the_median() -> None:
    assert interval_seconds(np.array([0.0, 2, 4, 30, 32])) == 2
    assert interval_seconds(np.array([1.0])) == 0
