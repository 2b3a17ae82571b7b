"""Whether two readings are the same, number for number, and how short histories look long."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest
from evaluator import Server, source
from generated import SELECTORS

from abctl.core import polls as polls_module
from abctl.core.polls import Window
from abctl.evidence import read as read_module
from abctl.evidence.increments import Samples


@contextmanager
def few_even_polls(read_all: bool, few: int = 8, chunk_seconds: float = 1200.0) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(polls_module, "EVEN_POLLS", few)
        patch.setattr(read_module, "FIRST_SECONDS", 1e9 if read_all else 300.0)
        patch.setattr(read_module, "_CHUNK_SECONDS", chunk_seconds)
        yield


def read_both_ways(
    server: Callable[[], Server], windows: Sequence[Window], now: float, few: int = 8
) -> tuple[Samples, Samples]:
    """What is read where as little is read as that takes, and where all is: it is the same."""
    found = []
    for read_all in (False, True):
        with few_even_polls(read_all, few):
            found.append(read_module.read(source(server()), windows, SELECTORS, now))
    thin, full = found
    with few_even_polls(read_all=False, few=few):
        assert_same(thin, full)
    return thin, full


def assert_same(thin: Samples, full: Samples, together: Sequence[str] = ()) -> None:
    """Selector by selector; with `together`, in polls of all of these, and something is counted."""
    assert thin.interval_seconds == full.interval_seconds
    for selector in together or SELECTORS:
        polls = [s.polls(together or [selector]) for s in (thin, full)]
        np.testing.assert_array_equal(polls[0].edges, polls[1].edges)
        np.testing.assert_array_equal(polls[0].epoch, polls[1].epoch)
        rows = [s.rows(selector, polls[0]) for s in (thin, full)]
        assert rows[0].labels == rows[1].labels
        assert not together or rows[0].total().sum() > 0
        np.testing.assert_array_equal(rows[0].by_poll, rows[1].by_poll)
        for each in ("left_out", "unseen", "doubtful"):
            assert getattr(rows[0], each) == pytest.approx(getattr(rows[1], each), rel=1e-12)
        thin_coverage, full_coverage = (s.coverage(selector) for s in (thin, full))
        assert thin_coverage == full_coverage
