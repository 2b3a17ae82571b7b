"""Laws of `planned_end`: what one look at the end that it finds errs, and what it detects."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from abctl.analysis.planned_end import planned_end
from abctl.core.experiment import Design, Experiment, Metric
from abctl.core.polls import Window
from abctl.evidence.increments import Samples
from abctl.session.analyze import telemetry
from abctl.sources import Series
from abctl.stats.delta import Delta

ALPHA, POWER, RUNS = 0.05, 0.8, 300
CRITICAL, Z_POWER = stats.norm.isf(ALPHA), stats.norm.ppf(POWER)
START, SCRAPE, SCRAPES = 1_700_000_000.0, 15.0, 480
SHORTEST = 40  # scrapes
TIMES = START + SCRAPE * np.arange(SCRAPES + 1)
CASES = [(0.05, 12, 0.02), (0.01, 25, 0.01), (0.5, 5, 0.1)]


@dataclass(frozen=True)
class Counted:
    """Requests and successes of both variants up to each scrape, with as many requests in both."""

    n: NDArray[np.float64]
    successes: dict[str, NDArray[np.float64]]

    def samples(self, experiment: Experiment, scrapes: int = SCRAPES) -> Samples:
        """What is read of them when so many scrapes are over."""
        asked, now = telemetry(experiment), START + SCRAPE * scrapes
        found: dict[str, list[Series]] = {}
        for name, successes in self.successes.items():
            parts = asked.parts(experiment.metrics[0], name)
            counters = {asked.requests(name): self.n, parts["n"]: self.n}
            for selector, counter in (counters | {parts["successes"]: successes}).items():
                labels = {"instance": name, "selector": selector}
                found[selector] = [Series(labels, TIMES[: scrapes + 1], counter[: scrapes + 1])]
        return Samples("here", (Window(0, START, now),), now, SCRAPE, found, {}, {})

    def end(self, experiment: Experiment, scrapes: int = SCRAPES) -> int | None:
        """The planned end, as a number of scrapes."""
        samples = self.samples(experiment, scrapes)
        found = planned_end(experiment, samples, telemetry(experiment), START)
        return None if found is None or found.end is None else round((found.end - START) / SCRAPE)

    def z(self, at: int) -> float:
        """The z statistic of the pooled two-proportion test."""
        a, b = (successes[at] for successes in self.successes.values())
        n, level = self.n[at], (a + b) / (2.0 * self.n[at])
        return float((b - a) / n / np.sqrt(2.0 * level * (1.0 - level) / n))

    def needed(self, mde: float) -> float:
        """The size by the variance at the shortest duration."""
        shares = [successes[SHORTEST] / self.n[SHORTEST] for successes in self.successes.values()]
        variance = sum(share * (1.0 - share) for share in shares)
        return float(((CRITICAL + Z_POWER) / mde) ** 2 * variance)


def counted(requests: int, rates: tuple[float, float], seed: int) -> Iterator[Counted]:
    rng = np.random.default_rng(seed)
    while True:
        drawn = rng.binomial(requests, rates, (SCRAPES, 2))
        sums = np.concatenate((np.zeros((1, 2)), np.cumsum(drawn, axis=0)))
        n = requests * np.arange(SCRAPES + 1.0)
        yield Counted(n, dict(zip(("control", "treatment"), sums.T, strict=True)))


@pytest.fixture
def ask(make_experiment: Callable[..., Experiment]) -> Callable[[float], Experiment]:
    def make(mde: float) -> Experiment:
        metric = Metric(
            "accuracy",
            "primary",
            "proportion",
            "accuracy",
            "increase",
            mde=Delta(mde, relative=False),
            selectors={
                "n": 'n_total{variant="$variant"}',
                "successes": 'successes_total{variant="$variant"}',
            },
        )
        design = Design(
            test="fixed",
            alpha=ALPHA,
            power=POWER,
            min_duration_seconds=SCRAPE * SHORTEST,
            max_duration_seconds=SCRAPE * SCRAPES,
            settle_seconds=0.0,
        )
        plain = make_experiment(unit="request", key="", shares_bp=(5000, 5000))
        return replace(plain, metrics=(metric,), design=design)

    return make


@pytest.mark.parametrize(("rate", "requests", "mde"), CASES)
def test_it_is_the_first_poll_that_has_the_size(
    ask: Callable[[float], Experiment], rate: float, requests: int, mde: float
) -> None:
    """Within the 2% in which the intervals of Wald and of the score test differ."""
    found = next(counted(requests, (rate, rate), seed=1))
    end = found.end(ask(mde))
    assert end is not None
    assert end > SHORTEST
    longest_poll = 4  # scrapes
    assert found.n[end - longest_poll] < 1.02 * found.needed(mde)
    assert found.n[end] > 0.98 * found.needed(mde)


def test_every_later_look_finds_the_same(ask: Callable[[float], Experiment]) -> None:
    rate, requests, mde = CASES[0]
    found, experiment = next(counted(requests, (rate, rate + mde), seed=2)), ask(mde)
    ends = [found.end(experiment, scrapes) for scrapes in range(SHORTEST - 5, SCRAPES, 5)]
    assert ends[0] is None
    last = next(i for i, end in enumerate(ends) if end is not None)
    assert len(ends) > last + 5
    assert set(ends[:last]) == {None}
    assert len(set(ends[last:])) == 1


@pytest.mark.parametrize(("rate", "requests", "mde"), CASES)
def test_one_look_at_it_keeps_alpha_and_has_the_planned_power(
    ask: Callable[[float], Experiment], rate: float, requests: int, mde: float
) -> None:
    experiment = ask(mde)
    for effect, expected in ((0.0, ALPHA), (mde, POWER)):
        runs = counted(requests, (rate, rate + effect), seed=3)
        rejected = 0
        for _, found in zip(range(RUNS), runs, strict=False):
            end = found.end(experiment)
            assert end is not None
            rejected += found.z(end) > CRITICAL
        error = (expected * (1.0 - expected) / RUNS) ** 0.5
        # The poll that reaches the size goes a little beyond it.
        beyond = 0.03 if effect else 0.0
        assert expected - 3.0 * error < rejected / RUNS < expected + 3.0 * error + beyond
