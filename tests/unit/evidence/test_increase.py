"""Increments against histories whose truth is known event by event."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from laws import law

from abctl.core.polls import LEFT_OUT, Polls, Window, cut
from abctl.errors import SourceError
from abctl.evidence.counters.increase import Increase, Scrapes, counters_of, increase, scrapes_of
from abctl.sources import Series

HORIZON = 40


def series(times: list[float], values: list[float]) -> Series:
    return Series({"__name__": "a_total"}, np.array(times, float), np.array(values, float))


def increments(counter: Series, *others: Series, starts: Series | None, polls: Polls) -> Increase:
    """Of the first counter, in the light of everything that is known of its target."""
    found = [counters_of([each]) for each in (counter, *others)]
    return increase(found[0], scrapes_of(found, starts), polls)


def one_window(end: float, polls: int) -> Polls:
    return cut([Window(0, 0.0, end)], end / polls)


@dataclass
class History:
    """Processes start at quarters, events happen at halves, scrapes at whole seconds."""

    births: list[float]
    events: list[float]
    scrapes: list[float]
    lazy: bool

    def process_at(self, time: float) -> int:
        return sum(birth < time for birth in self.births) - 1

    def value_at(self, time: float) -> int:
        born = self.births[self.process_at(time)]
        return sum(born < event < time for event in self.events)

    def counter(self) -> Series:
        seen = [t for t in self.scrapes if self.value_at(t) > 0 or not self.lazy]
        return series(seen, [self.value_at(t) for t in seen])

    def starts(self) -> Series:
        return series(self.scrapes, [self.births[self.process_at(t)] for t in self.scrapes])

    def scraped_within(self, event: float) -> tuple[float, float] | None:
        """The scrapes around an event; None where its process died before anyone looked."""
        later = [t for t in self.scrapes if t > event]
        if not later or self.process_at(later[0]) != self.process_at(event):
            return None
        first_start = self.births[self.process_at(self.scrapes[0])]
        return max([first_start, *(t for t in self.scrapes if t < event)]), later[0]


histories = st.builds(
    History,
    # Three seconds apart: starts nearer than two are taken for one that was computed twice.
    births=st.lists(st.integers(0, HORIZON // 3 - 1), max_size=4, unique=True).map(
        lambda later: [-30.0, *(3 * t + 1.25 for t in sorted(later))]
    ),
    events=st.lists(st.integers(-5, HORIZON - 1).map(lambda t: t + 0.5), max_size=60),
    scrapes=st.lists(st.integers(-3, HORIZON).map(float), min_size=1, unique=True).map(sorted),
    lazy=st.booleans(),
)
grids = st.tuples(
    st.lists(st.integers(0, HORIZON), min_size=4, max_size=4, unique=True), st.integers(1, 9)
).map(
    lambda drawn: cut(
        [Window(0, *sorted(drawn[0])[:2]), Window(1, *sorted(drawn[0])[2:])], float(drawn[1])
    )
)


@law(400)
@given(histories, grids)
def test_every_visible_event_is_counted_once_where_it_was_seen(h: History, polls: Polls) -> None:
    counter = h.counter()
    if not len(counter.times):
        return
    got = increments(counter, starts=h.starts(), polls=polls).by_poll[0]

    expected = np.zeros(len(polls.epoch))
    for around in filter(None, map(h.scraped_within, h.events)):
        begin, end = around
        for i, epoch in enumerate(polls.epoch):
            window = polls.edges[np.flatnonzero(polls.epoch == epoch)[[0, -1]] + [0, 1]]
            here = polls.edges[i] < end <= polls.edges[i + 1]
            expected[i] += here and epoch != LEFT_OUT and window[0] <= begin and end <= window[1]
    np.testing.assert_array_equal(got, expected)


@given(histories, grids, st.integers(2, 5))
def test_merging_polls_adds_their_increments(h: History, polls: Polls, every: int) -> None:
    counter = h.counter()
    if not len(counter.times):
        return
    blind = np.arange(len(polls.epoch)) % every != 0
    merged = polls.without_edges_after(blind)
    whole, parts = (
        increments(counter, starts=h.starts(), polls=p).by_poll[0] for p in (merged, polls)
    )
    for epoch in (0, 1):
        assert whole[merged.epoch == epoch].sum() == parts[polls.epoch == epoch].sum()


@given(st.lists(st.integers(0, 2**40), min_size=2, max_size=50))
def test_without_restarts_it_is_last_minus_first_exactly(steps: list[int]) -> None:
    values = np.cumsum(steps).astype(float)
    counter = series(list(range(len(steps))), list(values))
    found = increments(counter, starts=None, polls=one_window(len(steps), 7))
    assert found.by_poll.sum() == values[-1] - values[0]
    assert np.all(found.by_poll == np.round(found.by_poll))


def test_a_reset_counts_the_new_value() -> None:
    counter = series([0, 1, 2, 3], [0, 10, 9, 14])
    found = increments(counter, starts=None, polls=one_window(3, 3))
    assert (found.by_poll.tolist(), found.doubtful) == ([[10, 9, 5]], 9)


def test_a_restart_is_seen_in_a_counter_that_overtook_its_old_value() -> None:
    rare, many = series([0, 1, 2], [0, 5, 6]), series([0, 1, 2], [0, 1000, 20])
    alone = increments(rare, starts=None, polls=one_window(2, 1))
    together = increments(rare, many, starts=None, polls=one_window(2, 1))
    assert (alone.by_poll.sum(), together.by_poll.sum(), together.doubtful) == (6, 11, 6)


def test_a_fall_without_a_restart_is_left_out_for_all_series_of_the_target() -> None:
    # A worker died at 2, and its share of both sums went with it.
    n, hits = series([0, 1, 2, 3], [0, 100, 51, 61]), series([0, 1, 2, 3], [0, 9, 9, 12])
    goes_on, polls = series([0, 1, 2, 3], [-5.0] * 4), one_window(3, 3)
    found = [increments(*each, starts=goes_on, polls=polls) for each in ((n, hits), (hits, n))]
    assert [each.by_poll.tolist() for each in found] == [[[100, 0, 10]], [[9, 0, 3]]]
    assert all(each.doubtful == 0 for each in found)
    unknown = increments(n, hits, starts=None, polls=polls)
    assert (unknown.by_poll.sum(), unknown.doubtful) == (161, 51)


def test_a_series_that_was_missing_shows_a_restart_later_but_it_is_one() -> None:
    seen, late = series([0, 1, 2, 3, 4], [0, 50, 3, 4, 6]), series([0, 1, 4], [0, 9, 2])
    for starts in (None, series([0, 1, 2, 3, 4], [-9, -9, 1.5, 1.5, 1.5])):
        one, other = (
            increments(*each, starts=starts, polls=one_window(4, 1)).by_poll.sum()
            for each in ((seen, late), (late, seen))
        )
        assert (one, other) == (56, 11)


def test_a_birth_counts_from_zero_only_where_that_is_known() -> None:
    late, polls = series([5, 6], [7, 9]), one_window(10, 1)
    unknown = increments(late, starts=None, polls=polls)
    assert (unknown.by_poll.sum(), unknown.unseen) == (2, 7)
    started = increments(late, starts=series([5, 6], [3.5, 3.5]), polls=polls)
    assert (started.by_poll.sum(), started.unseen) == (9, 0)
    nothing = np.array([])
    scrapes = Scrapes(np.arange(7.0), nothing, nothing, nothing, None)
    absent = increase(counters_of([late]), scrapes, polls)
    assert absent.by_poll.sum() == 9


def test_a_process_older_than_the_window_does_not_bring_its_past() -> None:
    late = series([5, 6], [7, 9])
    found = increments(late, starts=series([5, 6], [-3, -3]), polls=one_window(10, 1))
    assert (found.by_poll.sum(), found.left_out) == (2, 7)


def test_what_happened_across_a_change_of_split_is_left_out() -> None:
    counter = series([0, 4, 8, 12, 16], [0, 4, 8, 12, 16])
    polls = cut([Window(0, 0, 9), Window(1, 9, 16)], 3)
    found = increments(counter, starts=None, polls=polls)
    assert (found.by_poll.sum(), found.left_out) == (12, 4)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_a_value_that_no_counter_has_is_refused(value: float) -> None:
    counter = series([0, 1], [0, value])
    with pytest.raises(SourceError, match="a counter is finite and not negative"):
        counters_of([counter])


def test_samples_out_of_order_are_refused() -> None:
    with pytest.raises(SourceError, match="order of time"):
        counters_of([series([1, 0], [0, 1])])


@pytest.mark.parametrize(
    ("started", "begin", "missed"),
    [
        (None, 100.0, False),  # of unknown age: what it holds at first is told as unseen
        (99.5, 99.5, False),  # a start is known to a second or two
        (100.5, 100.0, False),
        (50.0, 100.0, True),
    ],
)
def test_whether_a_process_ran_before_it_was_first_scraped(
    started: float | None, begin: float, missed: bool
) -> None:
    nothing = np.array([])
    scrapes = Scrapes(np.array([103.0, 104.0]), nothing, nothing, nothing, started)
    assert scrapes.begin(100.0) == begin
    assert scrapes.missed(begin) == missed
