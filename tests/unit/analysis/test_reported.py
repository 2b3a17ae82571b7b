"""How fast reports come: alike they err no more than the level says, unlike they are found."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from abctl.analysis import reported
from abctl.core.experiment import Metric
from abctl.evidence.streams import MetricStreams, Pair
from abctl.stats.summaries.grouped import GroupedHistogram
from abctl.stats.summary import Buckets, Stream

ALPHA, EXPERIMENTS, POLLS, GROUPS = 0.05, 100, 20, 16
EDGES = (112.5, 900.0)
METRIC = Metric("asked", "primary", "proportion", "good", "increase")


class Reports:
    """Reports of returning users, a few of whom send most; each is fast or slow by nature."""

    def __init__(self, rng: np.random.Generator, slower: float, tail: float) -> None:
        users, n = 1500, rng.poisson(6000)
        activity = rng.pareto(tail, users) + 0.1
        who = np.searchsorted(np.cumsum(activity / activity.sum()), rng.random(n))
        who = np.minimum(who, users - 1)
        group, treated = rng.integers(GROUPS, size=users)[who], (rng.random(users) < 0.5)[who]
        pace = rng.lognormal(0.0, 0.8, users)[who] * np.where(treated, slower, 1.0)
        age, poll = rng.exponential(300.0 * pace), rng.integers(POLLS, size=n)
        cell = np.searchsorted(EDGES, age)
        sides = []
        for mine in (~treated, treated):
            counts = np.zeros((POLLS, GROUPS, len(EDGES) + 1))
            np.add.at(counts, (poll[mine], group[mine], cell[mine]), 1.0)
            sides.append(GroupedHistogram(counts, EDGES))
        self.found = Stream(sides[0], sides[1], np.zeros(POLLS, dtype=int))
        # Every answer is reported on.
        every = [Buckets(each.counts.sum(axis=2), each.counts.sum(axis=2)) for each in sides]
        self.pair = Stream(every[0], every[1], self.found.epoch)

    def of(self, metric: Metric) -> MetricStreams:
        return MetricStreams({}, POLLS, {"treatment": self.pair})

    def by_request(self, metric: Metric, treatment: str) -> Any:
        raise NotImplementedError

    def reported(self, metric: Metric, treatment: str) -> Pair:
        return self.pair

    def ages(
        self,
        metric: Metric,
        treatment: str,
    ) -> Iterator[tuple[bool, Stream[GroupedHistogram]]]:
        yield True, self.found

    def remarks(self, metric: Metric) -> Any:
        raise NotImplementedError


def refused(rng: np.random.Generator, slower: float, tail: float) -> bool:
    pair = reported.Reporting(Reports(rng, slower, tail)).trusted(METRIC).pairs["treatment"]
    assert isinstance(pair, Stream) or pair.code == "reportsPaceDiffers"
    return not isinstance(pair, Stream)


@pytest.mark.slow
def test_it_errs_no_more_often_than_its_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reported, "ALPHA", ALPHA)
    rng = np.random.default_rng(20_261_130)
    times = sum(refused(rng, 1.0, tail=1.5) for _ in range(EXPERIMENTS))
    assert binom.sf(times - 1, EXPERIMENTS, ALPHA) > 0.01


def test_it_finds_reports_that_come_later() -> None:
    rng = np.random.default_rng(1)
    assert sum(refused(rng, 4.0, tail=3.0) for _ in range(10)) >= 9
