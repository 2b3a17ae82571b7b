"""Laws of `planned_end`: where it is, and what one look there errs and detects."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import optimize, stats

from abctl.analysis.planned_end import planned_end
from abctl.core.experiment import Design, Experiment, Metric
from abctl.core.polls import Window
from abctl.evidence.increments import Samples
from abctl.session.analyze import telemetry
from abctl.sources import Series
from abctl.stats.delta import Delta

ALPHA, POWER, RUNS = 0.05, 0.8, 2_000
CRITICAL, Z_POWER = stats.norm.isf(ALPHA), stats.norm.ppf(POWER)
START, SCRAPE_SECONDS, SCRAPES = 1_700_000_000.0, 15.0, 480
SHORTEST = 40  # scrapes
EVEN_SCRAPES = 256  # 128 polls of two scrapes each; the next ones have four
TIMES = START + SCRAPE_SECONDS * np.arange(SCRAPES + 1)

Ask = Callable[[float], Experiment]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Counted:
    """Requests of each variant, and successes of both, up to each scrape."""

    n: Numbers
    successes: tuple[Numbers, Numbers]

    def end(self, experiment: Experiment, scrapes: int = SCRAPES) -> int | None:
        """The planned end as it is found when so many scrapes are over; as a scrape."""
        asked, now = telemetry(experiment), START + SCRAPE_SECONDS * scrapes
        found: dict[str, list[Series]] = {}
        for variant, successes in zip(experiment.variants, self.successes, strict=True):
            parts = asked.parts(experiment.metrics[0], variant.name)
            for selector, counter in (
                (asked.requests(variant.name), self.n),
                (parts["n"], self.n),
                (parts["successes"], successes),
            ):
                labels = {"instance": variant.name, "selector": selector}
                seen = counter[: scrapes + 1].astype(np.float64)
                found[selector] = [Series(labels, TIMES[: scrapes + 1], seen)]
        samples = Samples("here", (Window(0, START, now),), now, SCRAPE_SECONDS, found, {}, {})
        planned = planned_end(experiment, samples, asked, START)
        if planned is None or planned.end is None:
            return None
        return round((planned.end - START) / SCRAPE_SECONDS)


def counted(requests: int, rates: tuple[float, float], seed: int) -> Counted:
    """As many requests in each scrape, in both variants."""
    drawn = np.random.default_rng(seed).binomial(requests, rates, (SCRAPES, 2))
    a, b = np.concatenate((np.zeros((1, 2), np.int64), np.cumsum(drawn, axis=0))).T
    return Counted(requests * np.arange(SCRAPES + 1), (a, b))


def score(difference: float, n: int, a: int, b: int) -> float:
    """The score statistic of a difference, its null variance by maximizing the likelihood."""

    def surprise(x: float) -> float:
        levels = np.array([x, 1.0 - x, x + difference, 1.0 - x - difference])
        return -float(np.dot([a, n - a, b, n - b], np.log(levels)))

    bounds = max(0.0, -difference) + 1e-12, min(1.0, 1.0 - difference) - 1e-12
    found = optimize.minimize_scalar(surprise, bounds=bounds, options={"xatol": 1e-12})
    x, y = found.x, found.x + difference
    return float(((b - a) / n - difference) / np.sqrt((x * (1.0 - x) + y * (1.0 - y)) / n))


def needed(n: int, a: int, b: int, mde: float) -> float:
    """The size by the standard error that a pilot's score interval has."""
    z, seen = stats.norm.isf(ALPHA / 2.0), (b - a) / n
    low = optimize.brentq(lambda d: score(d, n, a, b) - z, seen - 0.2, seen)
    high = optimize.brentq(lambda d: score(d, n, a, b) + z, seen, seen + 0.2)
    error = (high - low) / (2.0 * z)
    return float(((CRITICAL + Z_POWER) * error / mde) ** 2 * n)


@pytest.fixture
def ask(make_experiment: Callable[..., Experiment]) -> Ask:
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
            min_duration_seconds=SCRAPE_SECONDS * SHORTEST,
            max_duration_seconds=SCRAPE_SECONDS * SCRAPES,
            settle_seconds=0.0,
        )
        plain = make_experiment(unit="request", key="", shares_bp=(5000, 5000))
        return replace(plain, metrics=(metric,), design=design)

    return make


@pytest.mark.parametrize(
    ("rate", "requests", "mde"), [(0.05, 12, 0.02), (0.01, 25, 0.01), (0.5, 5, 0.1), (0.1, 20, 0.1)]
)
@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_first_poll_with_the_size_by_the_variance_at_the_shortest_duration(
    ask: Ask, rate: float, requests: int, mde: float, seed: int
) -> None:
    found = counted(requests, (rate, rate + mde / 2.0), seed)
    end = found.end(ask(mde))
    a, b = (int(successes[SHORTEST]) for successes in found.successes)
    size = needed(int(found.n[SHORTEST]), a, b, mde)
    assert end is not None
    before = end - (2 if end <= EVEN_SCRAPES else 4)
    assert end == SHORTEST or found.n[before] < size * (1.0 + 1e-6)
    assert found.n[end] > size * (1.0 - 1e-6)


def test_every_later_look_finds_the_same(ask: Ask) -> None:
    found, experiment = counted(12, (0.05, 0.07), seed=2), ask(0.02)
    ends = [found.end(experiment, scrapes) for scrapes in range(SHORTEST - 5, SCRAPES, 20)]
    assert ends[0] is None
    first = next(i for i, end in enumerate(ends) if end is not None)
    assert len(ends) > first + 5
    assert set(ends[:first]) == {None}
    assert len(set(ends[first:])) == 1


def test_one_look_at_it_keeps_alpha_and_has_the_planned_power(ask: Ask) -> None:
    """What comes after the shortest duration is drawn once the end is known by what came before."""
    rate, requests, mde = 0.05, 4, 0.03
    experiment, pilot = ask(mde), requests * SHORTEST
    rng, ends = np.random.default_rng(1), dict[tuple[int, int], int]()

    def end_of(a: int, b: int) -> int:
        """The interval of a difference is as wide as that of its negative."""
        low, high = sorted((a, b))
        if (low, high) not in ends:
            n = requests * np.arange(SCRAPES + 1)
            even = tuple(np.round(total / pilot * n).astype(np.int64) for total in (low, high))
            found = Counted(n, (even[0], even[1])).end(experiment)
            assert found is not None
            ends[low, high] = found
        return ends[low, high]

    for effect, expected in ((0.0, ALPHA), (mde, POWER)):
        a, b = rng.binomial(pilot, rate, RUNS), rng.binomial(pilot, rate + effect, RUNS)
        n = requests * np.array(
            [end_of(*pair) for pair in zip(a.tolist(), b.tolist(), strict=True)]
        )
        a, b = a + rng.binomial(n - pilot, rate), b + rng.binomial(n - pilot, rate + effect)
        level = (a + b) / (2.0 * n)
        z = (b - a) / n / np.sqrt(2.0 * level * (1.0 - level) / n)
        error = 3.0 * np.sqrt(expected * (1.0 - expected) / RUNS)
        # The score interval of a small pilot is wide, and a poll goes beyond the size.
        beyond = 0.05 if effect else 0.0
        assert expected - error < np.mean(z > CRITICAL) < expected + beyond + error
