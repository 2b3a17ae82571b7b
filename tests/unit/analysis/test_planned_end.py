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

pytestmark = pytest.mark.slow

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
    """Requests and successes of control and treatment up to each scrape."""

    n: tuple[Numbers, Numbers]
    successes: tuple[Numbers, Numbers]

    def end(self, experiment: Experiment, scrapes: int = SCRAPES) -> int | None:
        """The planned end as it is found when so many scrapes are over; as a scrape."""
        asked, now = telemetry(experiment), START + SCRAPE_SECONDS * scrapes
        found: dict[str, list[Series]] = {}
        counters = zip(experiment.variants, self.n, self.successes, strict=True)
        for variant, n, successes in counters:
            parts = asked.parts(experiment.metrics[0], variant.name)
            for selector, counter in (
                (asked.requests(variant.name), n),
                (parts["n"], n),
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


def counted(
    requests: tuple[int, int], later: tuple[int, int], rates: tuple[float, float], seed: int
) -> Counted:
    """So many requests in each scrape up to the shortest duration, and later."""
    each = np.where(np.arange(SCRAPES)[:, None] < SHORTEST, requests, later)
    drawn = np.random.default_rng(seed).binomial(each, rates)
    (n_a, n_b), (a, b) = (
        np.concatenate((np.zeros((1, 2), np.int64), np.cumsum(counts, axis=0))).T
        for counts in (each, drawn)
    )
    return Counted((n_a, n_b), (a, b))


Pilot = tuple[tuple[int, int], tuple[int, int]]  # requests and successes of both


def score(difference: float, pilot: Pilot) -> float:
    """The score statistic of a difference, its null variance by maximizing the likelihood."""
    (n_a, a), (n_b, b) = pilot

    def surprise(x: float) -> float:
        levels = np.array([x, 1.0 - x, x + difference, 1.0 - x - difference])
        return -float(np.dot([a, n_a - a, b, n_b - b], np.log(levels)))

    bounds = max(0.0, -difference) + 1e-12, min(1.0, 1.0 - difference) - 1e-12
    found = optimize.minimize_scalar(surprise, bounds=bounds, options={"xatol": 1e-12})
    x, y = found.x, found.x + difference
    variance = x * (1.0 - x) / n_a + y * (1.0 - y) / n_b
    return float((b / n_b - a / n_a - difference) / np.sqrt(variance))


def needed(pilot: Pilot, mde: float) -> float:
    """The size of the smaller variant by the standard error that a pilot's score interval has."""
    (n_a, a), (n_b, b) = pilot
    z, seen = stats.norm.isf(ALPHA / 2.0), b / n_b - a / n_a
    low = optimize.brentq(lambda d: score(d, pilot) - z, seen - 0.3, seen)
    high = optimize.brentq(lambda d: score(d, pilot) + z, seen, seen + 0.3)
    error = (high - low) / (2.0 * z)
    return float(((CRITICAL + Z_POWER) * error / mde) ** 2 * min(n_a, n_b))


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
    ("rate", "requests", "mde"),
    [
        (0.05, ((12, 12), (12, 12)), 0.02),
        (0.01, ((25, 25), (25, 25)), 0.01),
        (0.5, ((5, 5), (5, 5)), 0.1),
        (0.05, ((20, 5), (20, 5)), 0.03),
        (0.1, ((6, 24), (6, 24)), 0.05),
        (0.1, ((6, 24), (24, 6)), 0.05),
        (0.1, ((24, 6), (12, 18)), 0.05),
    ],
)
@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_first_poll_with_the_size_by_the_variance_at_the_shortest_duration(
    ask: Ask,
    rate: float,
    requests: tuple[tuple[int, int], tuple[int, int]],
    mde: float,
    seed: int,
) -> None:
    found = counted(*requests, (rate, rate + mde / 2.0), seed)
    end = found.end(ask(mde))
    (n_a, n_b), (a, b) = found.n, found.successes
    size = needed(((n_a[SHORTEST], a[SHORTEST]), (n_b[SHORTEST], b[SHORTEST])), mde)
    assert end is not None
    assert end > SHORTEST
    smaller = np.minimum(n_a, n_b)
    assert smaller[end] > size * (1.0 - 1e-6)
    assert smaller[end - (2 if end <= EVEN_SCRAPES else 4)] < size * (1.0 + 1e-6)


def test_it_is_not_before_the_shortest_duration(ask: Ask) -> None:
    assert counted((20, 20), (20, 20), (0.1, 0.1), seed=1).end(ask(0.1)) == SHORTEST


def test_every_later_look_finds_the_same(ask: Ask) -> None:
    found, experiment = counted((12, 12), (12, 12), (0.05, 0.07), seed=2), ask(0.02)
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
            found = Counted((n, n), (even[0], even[1])).end(experiment)
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
