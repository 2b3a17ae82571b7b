"""Summaries: data that contradict themselves are refused; what is added stays exact."""

import numpy as np
import pytest

from abctl.stats.summary import (
    Buckets,
    Counts,
    Events,
    Histogram,
    Moments,
    Stream,
    SummaryError,
    common_edges,
)

REFUSED = [
    lambda: Counts([10], [11]),
    lambda: Counts([10], [-1]),
    lambda: Counts([10.5], [1]),
    lambda: Counts([10], [np.nan]),
    lambda: Counts([10, 10], [1]),
    lambda: Moments([-1], [0], [0]),
    lambda: Moments([1], [0], [-1]),
    lambda: Moments([1], [np.inf], [1]),
    lambda: Buckets([1, 2], [3, 4]),
    lambda: Buckets([[1.0]], [[-1.0]]),
    lambda: Histogram([[1, 2, 3]], (1.0,)),
    lambda: Histogram([[1, 2, 3]], (2.0, 1.0)),
    lambda: Histogram([[1, 2.5]], (1.0,)),
    lambda: Events([3], [0.0]),
    lambda: Events([3], [-1.0]),
    lambda: Events([0.5], [1.0]),
]


@pytest.mark.parametrize("build", REFUSED)
def test_contradictions_are_refused(build) -> None:
    with pytest.raises(SummaryError):
        build()


def test_pods_add_up() -> None:
    total = Counts([1, 2], [0, 1]) + Counts([3, 4], [1, 0])
    assert total.n.tolist() == [4, 6]
    assert total.successes.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Moments(1, 2, 4, shift=0.0), Moments(1, 2, 4, shift=1.0)),
        (Histogram([[1, 2]], (1.0,)), Histogram([[1, 2]], (2.0,))),
    ],
)
def test_summaries_about_different_constants_do_not_add(one, other) -> None:
    with pytest.raises(SummaryError, match="different"):
        one + other


def test_polls_merge_within_their_epoch() -> None:
    side = Counts([1, 2, 3, 4], [0, 1, 0, 1])
    merged = Stream(side, side, [2, 2, 5, 5]).by_epoch()
    assert merged.epoch.tolist() == [2, 5]
    assert merged.control.n.tolist() == [3, 7]
    assert merged.epochs == (2, 5)


@pytest.mark.parametrize("epoch", [[0, 1, 0], [0, 0]])
def test_streams_run_forward_and_are_complete(epoch) -> None:
    side = Counts([1, 2, 3], [0, 0, 0])
    with pytest.raises(SummaryError):
        Stream(side, side, epoch)


def test_histograms_with_other_edges_meet_on_the_common_ones() -> None:
    one = Histogram([[1, 2, 3, 4]], (0.1, 0.2, 0.5))
    other = Histogram([[5, 6, 7, 8]], (0.1, 0.3, 0.5))
    one, other = common_edges(one, other)
    assert one.edges == other.edges == (0.1, 0.5)
    assert one.counts.tolist() == [[1, 5, 4]]
    assert other.counts.tolist() == [[5, 13, 8]]


def test_histograms_with_nothing_in_common_are_refused() -> None:
    with pytest.raises(SummaryError, match="in common"):
        common_edges(Histogram([[1, 2]], (1.0,)), Histogram([[1, 2]], (2.0,)))


def test_no_histogram_gets_edges_that_it_never_had() -> None:
    with pytest.raises(SummaryError, match=r"0\.4"):
        Histogram([[1, 2, 3]], (0.1, 0.5)).coarsened((0.1, 0.4))
