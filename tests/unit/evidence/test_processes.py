"""Which process counted what: turns behind one address, clocks that are set, two addresses."""

import numpy as np
import pytest
from alike import read_both_ways
from crowds import BEFORE, relabelled, replicas, stepped, turns, two_ports
from evaluator import Server, Stored
from generated import INTERVAL, SELECTORS, START, calm
from hypothesis import given
from hypothesis import strategies as st
from laws import law

from abctl.core.polls import Window, cut
from abctl.evidence.counters.processes import scraped_twice
from abctl.evidence.increments import Samples
from abctl.sources import Series

FIRST, REQUESTS = START / 1000, SELECTORS[0]
seeds = st.integers(0, 10**6)


def both_ways(stored: list[Stored], scrapes: int) -> Samples:
    """Read as little as that takes; the same as all of it."""
    now = FIRST + (scrapes - BEFORE) * INTERVAL / 1000
    thin, full = read_both_ways(lambda: Server(stored), [Window(0, FIRST, now)], now)
    for selector in SELECTORS:
        assert thin.trouble(selector) == full.trouble(selector)
    return thin


def trouble(stored: list[Stored], scrapes: int) -> str:
    found = both_ways(stored, scrapes).trouble(REQUESTS)
    return found.code if found else ""


def counted(samples: Samples) -> float:
    window = samples.windows[0]
    polls = cut([window], window.seconds)
    return float(samples.rows(REQUESTS, polls).total().sum())


@law(15)
@given(
    seeds,
    st.integers(60, 250),
    st.integers(2, 5),
    st.sampled_from([0.03, 0.5, 4.0, 300.0]),
    st.sampled_from(["turn", "chance", "replaced"]),
)
def test_workers_behind_one_address_are_told(
    seed: int, scrapes: int, workers: int, apart: float, order: str
) -> None:
    rng = np.random.default_rng(seed)
    assert trouble(turns(rng, scrapes, workers, apart, order=order), scrapes) == "severalProcesses"


@law(15)
@given(seeds, st.integers(60, 400), st.integers(1, 6))
def test_a_clock_that_is_set_counts_nothing_again(seed: int, scrapes: int, steps: int) -> None:
    stored, truth = stepped(np.random.default_rng(seed), scrapes, steps)
    samples = both_ways(stored, scrapes)
    assert samples.trouble(REQUESTS) is None
    # Up to the first scrape of the window its increment began before it.
    assert counted(samples) == truth[-1] - truth[BEFORE]
    watched = samples.coverage(REQUESTS)
    assert watched is not None
    assert (watched.restarts, watched.falls) == (0, 0)


@law(12)
@given(
    seeds,
    st.integers(60, 250),
    st.sampled_from(
        [
            {"instance": "10.0.0.7:8080"},
            {"instance": "model-0.models:80"},
            {"job": "pods", "container": "model"},
            {"prometheus_replica": "b"},
            {"instance": "10.0.0.7:8080", "job": "pods", "endpoint": "metrics"},
        ]
    ),
)
def test_a_process_with_two_addresses_is_told(
    seed: int, scrapes: int, second: dict[str, str]
) -> None:
    stored = two_ports(np.random.default_rng(seed), scrapes, second)
    assert trouble(stored, scrapes) == "scrapedTwice"


HERE = {"instance": "10.0.0.7:80"}


@law(25)
@given(
    seeds,
    st.integers(60, 300),
    st.sampled_from(
        [
            (HERE, HERE | {"pod_template_hash": "5d8f"}),
            (HERE | {"pod_template_hash": "5d8f"}, HERE | {"pod_template_hash": "77c9"}),
            (HERE | {"team": "x"}, HERE),
            (HERE, {"instance": "model-0"}),
            (HERE, HERE | {"job": "pods"}),
            ({}, HERE),
        ]
    ),
)
def test_labels_that_change_on_the_way_are_no_birth(
    seed: int, scrapes: int, labels: tuple[dict[str, str], dict[str, str]]
) -> None:
    rng = np.random.default_rng(seed)
    at = int(rng.integers(BEFORE + 15, scrapes - 3))
    stored, truth = relabelled(rng, scrapes, at, *labels)
    found = both_ways(stored, scrapes)
    assert found.trouble(REQUESTS) is None
    assert found.renamed(REQUESTS) == tuple(
        sorted({k for one, two in (labels, labels[::-1]) for k in one if one[k] != two.get(k)})
    )
    if "instance" in labels[0]:
        begin = int(np.argmax(truth > 0))
        known = truth[BEFORE] if begin <= BEFORE else 0.0
        assert counted(found) == truth[-1] - known


@law(8)
@given(seeds, st.booleans())
def test_two_processes_that_are_alike_are_two(seed: int, same_host: bool) -> None:
    assert trouble(replicas(np.random.default_rng(seed), 120, same_host), 120) == ""


def test_one_selector_that_finds_no_counter_takes_no_other_with_it() -> None:
    stored = calm(300)
    for labels, _, values in stored:
        if labels["__name__"] == "hits_total":
            values[50:] = np.nan
    samples = both_ways(stored, 300)
    assert [why.code if (why := samples.trouble(each)) else "" for each in SELECTORS] == [
        "",
        "notACounter",
        "",
    ]


@pytest.mark.parametrize("later", [30.0, 3600.0, 86_400.0])
def test_a_start_in_the_future_is_a_clock_and_no_restart(later: float) -> None:
    stored = calm(200)
    for labels, _, values in stored:
        if labels["__name__"] == "process_start_time_seconds":
            values[90:] = START / 1000 + 70 * 15.0 + 20 + later
    watched = both_ways(stored, 200).coverage(REQUESTS)
    assert watched is not None
    assert watched.restarts == 0


@pytest.mark.parametrize("behind", [-3.0, 0.0, 3.0, 40.0])
def test_restarts_of_a_process_whose_clock_is_off_are_no_turns(behind: float) -> None:
    stored = calm(200)
    for labels, times, values in stored:
        for at in (60, 100, 140):
            if labels["__name__"] == "process_start_time_seconds":
                values[at:] = times[at] / 1000 - 4.0 - behind
            else:
                values[at:] -= values[at] - 1.1
    samples = both_ways(stored, 200)
    watched = samples.coverage(REQUESTS)
    assert watched is not None
    assert samples.trouble(REQUESTS) is None
    # What nobody can place is left out, and told.
    assert (watched.restarts, watched.falls) == ((3, 0) if behind < 5 else (0, 3))


def test_without_an_instance_one_restart_is_one() -> None:
    stored = []
    for labels, times, values in calm(200):
        bare = {k: v for k, v in labels.items() if k not in ("instance", "job")}
        if labels["__name__"] != "process_start_time_seconds":
            stored.append(
                (bare, times, np.where(np.arange(200) >= 90, values - values[90], values))
            )
    watched = both_ways(stored, 200).coverage(REQUESTS)
    assert watched is not None
    assert watched.restarts == 1


def scrapes_of_two_jobs(
    rng: np.random.Generator, each: float, apart: float, *, replicas: bool, scrapes: int = 200
) -> list[Series]:
    """Each sample has the time at which its scrape began, and what was counted a little later."""
    ends = scrapes * 15.0 + 10.0
    counted = [np.sort(rng.random(rng.poisson(each / 15.0 * ends)) * ends) for _ in range(2)]
    found = []
    for job in range(2):
        times = np.round(
            np.arange(scrapes) * 15.0 + 5.0 + job * apart + rng.random(scrapes) / 1e3, 3
        )
        read = times + rng.random(scrapes) * 0.04
        values = np.searchsorted(counted[job if replicas else 0], read).astype(float)
        labels = {"instance": f"10.0.0.7:{8080 + job}", "job": f"job-{job}"}
        found.append(Series(labels, times, values))
    return found


@pytest.mark.parametrize("apart", [0.002, 0.02, 0.05])
@pytest.mark.parametrize("each", [30.0, 300.0, 5000.0])
def test_two_jobs_that_scrape_at_one_moment_read_one_process(each: float, apart: float) -> None:
    """The later scrape may be read first: 5 of 5 of busy processes were counted twice, unseen."""
    rng = np.random.default_rng(3)
    for _ in range(5):
        found = scraped_twice(scrapes_of_two_jobs(rng, each, apart, replicas=False), {})
        assert found is not None
        assert found.code == "scrapedTwice"


@pytest.mark.parametrize("apart", [0.002, 0.02, 0.05])
@pytest.mark.parametrize("each", [30.0, 300.0, 5000.0])
def test_two_replicas_that_are_scraped_at_one_moment_are_two(each: float, apart: float) -> None:
    rng = np.random.default_rng(4)
    for _ in range(10):
        assert scraped_twice(scrapes_of_two_jobs(rng, each, apart, replicas=True), {}) is None
