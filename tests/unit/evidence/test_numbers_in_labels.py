"""A number in a label is that number, however a server writes it, and also where that changes."""

import numpy as np
import pytest
from alike import few_even_polls
from evaluator import Server, Stored, source
from generated import INTERVAL, START
from hypothesis import given
from hypothesis import strategies as st

from abctl.core.polls import Window, cut
from abctl.core.selector import Selector, canonical, of_numbers, spellings
from abctl.evidence.increments import Samples
from abctl.evidence.read import read
from abctl.evidence.summaries import summarize
from abctl.stats.summary import Histogram

EDGES = ("1", "2.5", "1000000", "+Inf")
OTHERS = {"1": ("1.0", "1e0"), "2.5": ("2.50", "2.5e0"), "1000000": ("1e+06", "1000000.0")}
SELECTOR, FIRST, SCRAPES, BEFORE = 'time_bucket{variant="a"}', START / 1000, 300, 20


@given(st.floats(allow_nan=False, min_value=1e-9, max_value=1e12))
def test_every_spelling_is_the_same_number(number: float) -> None:
    every = spellings(repr(number))
    assert {canonical(each) for each in every} == {canonical(repr(number))}
    found = Selector.parse(of_numbers(f'a_bucket{{le="{number!r}"}}'))
    assert all(found.matches({"__name__": "a_bucket", "le": each}) for each in every)


@pytest.mark.parametrize(
    ("selector", "le", "fits"),
    [
        ('a{le="1"}', "1.0", True),
        ('a{le="1.0"}', "1", True),
        ('a{le!="1"}', "1.0", False),
        ('a{le=~"1|2"}', "1.0", True),
        ('a{le="+Inf"}', "inf", True),
        ('a{le="1"}', "10", False),
        ('a{quantile="0.50"}', "0.5", False),  # another label
        ('a{le="x"}', "x", True),
    ],
)
def test_selectors_compare_numbers(selector: str, le: str, fits: bool) -> None:
    assert Selector.parse(selector).matches({"__name__": "a", "le": le}) == fits


def histogram(changes: dict[str, int], write: int) -> list[Stored]:
    """A histogram, some of whose edges are written otherwise from some scrape on."""
    rng = np.random.default_rng(3)
    at = START + (np.arange(SCRAPES) - BEFORE) * INTERVAL
    cells = rng.poisson([6.0, 3.0, 1.0, 0.2], (SCRAPES, 4)).cumsum(axis=0)
    found: list[Stored] = []
    here = {"variant": "a", "job": "models", "instance": "a0:80"}
    for edge, values in zip(EDGES, cells.cumsum(axis=1).T.astype(float), strict=True):
        split = changes.get(edge, SCRAPES)
        names = (edge, OTHERS[edge][write] if edge in OTHERS else edge)
        for name, part in zip(names, (slice(0, split), slice(split, None)), strict=True):
            if len(at[part]):
                labels = {"__name__": "time_bucket", "le": name} | here
                found.append((labels, at[part], values[part]))
    start = np.full(SCRAPES, FIRST - 900.0)
    return [*found, ({"__name__": "process_start_time_seconds"} | here, at, start)]


def counted(stored: list[Stored], *, read_all: bool) -> tuple[Histogram, Samples]:
    now = FIRST + (SCRAPES - BEFORE) * INTERVAL / 1000
    with few_even_polls(read_all):
        samples = read(source(Server(stored)), [Window(0, FIRST, now)], [SELECTOR], now)
        found = summarize("quantile", samples, {"histogram": SELECTOR}, cut(samples.over, now))
    assert isinstance(found, Histogram)
    return found, samples


@pytest.mark.parametrize("read_all", [False, True])
@pytest.mark.parametrize("write", [0, 1])
@pytest.mark.parametrize("at", [25, 100, 173, 298])
def test_a_rename_on_the_way_is_one_series_and_nothing_is_born(
    at: int, write: int, read_all: bool
) -> None:
    plain, _ = counted(histogram({}, 0), read_all=read_all)
    renamed, samples = counted(histogram(dict.fromkeys(OTHERS, at), write), read_all=read_all)
    assert renamed.edges == plain.edges == (1.0, 2.5, 1e6)
    np.testing.assert_array_equal(renamed.counts, plain.counts)
    assert len(samples.found[SELECTOR]) == len(EDGES)
