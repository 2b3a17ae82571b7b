"""Harm that begins after days of health is found as fast as harm on the first day."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from held import held
from numpy.typing import NDArray

from abctl.analysis.judge import judge
from abctl.analysis.meaning import meaning
from abctl.core.analysis import Analysis, Claim
from abctl.core.experiment import Experiment, Metric
from abctl.core.ledger import Entry, Ledger
from abctl.evidence import saved
from abctl.forms.plan import locked_plan
from abctl.session.analyze import gather, telemetry
from abctl.sources import Outline, Series
from abctl.sources.series import outline_of
from abctl.stats.delta import Delta
from abctl.stats.estimate import Estimate, NotEstimable
from abctl.stats.sequential.restarts import WHOLE_SHARE, share_of

START, SCRAPE = 1_700_000_000.0, 15.0
MARGIN = Delta(0.005, relative=False)
ERRORS = Metric("errors", "guardrail", "proportion", "errors", "decrease", margin=MARGIN)
SPEED = Metric(
    "speed", "guardrail", "mean", "latency", "decrease", margin=Delta(0.1, relative=True)
)


@dataclasses.dataclass
class Scraped:
    """Two servers, 3,000 requests a minute together; the treatment breaks shortly before now."""

    days: float
    broken_minutes: float
    errors: float = 0.02
    slower: float = 1.0
    place: str = "a made-up world"

    def __post_init__(self) -> None:
        rng = np.random.default_rng(1)
        times = np.arange(START - 60, self.now() + 1, SCRAPE)
        late = times > self.now() - 60.0 * self.broken_minutes
        self.all = []
        for variant in ("control", "treatment"):
            here = {"job": "models", "instance": f"{variant}:8082", "variant": variant}
            n = rng.poisson(1500.0 / 60.0 * SCRAPE, times.size)
            broken = late & (variant == "treatment")
            bad = rng.binomial(n, np.where(broken, self.errors, 0.02))
            seconds = np.where(broken, self.slower, 1.0) * 0.05
            self._add(here | {"bucket": "0", "code": "2xx"}, "ab_requests_total", times, n - bad)
            self._add(here | {"bucket": "0", "code": "5xx"}, "ab_requests_total", times, bad)
            sums = rng.gamma(2.0 * n) / 2.0 * seconds
            self._add(here, "ab_request_duration_seconds_count", times, n)
            self._add(here, "ab_request_duration_seconds_sum", times, sums)
            self._add(here, "ab_request_duration_seconds_sumsq_total", times, 1.5 * n * seconds**2)
            began = np.full(times.size, START - 100)
            self.all.append(
                Series({"__name__": "process_start_time_seconds", **here}, times, began)
            )

    def _add(self, labels: dict[str, str], name: str, times: Any, each: NDArray[Any]) -> None:
        values = np.cumsum(each).astype(float)
        self.all.append(Series({"__name__": name, **labels}, times, values))

    def now(self) -> float:
        return START + self.days * 86_400.0

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        return held(self.all, selector, start, end)

    def outline(self, selector: str, edges: NDArray[np.float64], since: float) -> Outline:
        return outline_of(self, selector, edges, since)


@pytest.fixture
def look(make_experiment: Callable[..., Experiment]) -> Callable[..., Analysis]:
    def at(world: Scraped, metric: Metric = ERRORS, *, locked: bool = True) -> Analysis:
        made = make_experiment(shares_bp=(5000, 5000), unit="request")
        design = dataclasses.replace(made.design, max_duration_seconds=30 * 86_400.0)
        asked = dataclasses.replace(made, metrics=(metric,), design=design)
        meant = meaning(asked)
        if not locked:
            kept = {k: v for k, v in meant[metric.name].items() if k != "late"}
            meant = {metric.name: kept}
        plan = locked_plan(asked, meant)
        ledger = Ledger(plan).with_entry(Entry(START, "me", None, asked.split, "test", "applied"))
        found = gather(asked, ledger, world, telemetry(asked))
        at.evidence = found  # type: ignore[attr-defined]
        return judge(found)

    return at


def claims(found: Analysis) -> tuple[Claim, Claim]:
    safe, harm = found.metrics[0].comparisons[0].claims
    return safe, harm


CASES = {"all fail": (2.0, 1.0), "+10 points": (10.0, 0.12), "+2 points": (60.0, 0.04)}


@pytest.mark.slow
@pytest.mark.parametrize(("minutes", "errors"), CASES.values(), ids=CASES)
def test_after_seven_days_of_health(look, minutes, errors) -> None:
    safe, harm = claims(look(Scraped(7.0, minutes, errors)))
    assert harm.proven
    assert isinstance(harm.result, Estimate)
    assert harm.result.notes[-1].code == "harmSince"
    assert harm.result.interval[0] > 0.005
    assert not safe.proven
    assert isinstance(safe.result, NotEstimable)
    assert safe.result.why.code == "harmedLately"


def test_without_harm_nothing_of_it_is_told(look) -> None:
    safe, harm = claims(look(Scraped(1.0, 0.0)))
    assert safe.proven
    assert not harm.proven
    assert isinstance(harm.result, Estimate)
    assert not harm.result.notes


def test_latency_once_an_hour_began_after_it(look) -> None:
    """A change within the hour cannot be told from a burst of slow requests."""
    _, harm = claims(look(Scraped(1.0, 75.0, slower=3.0), SPEED))
    assert harm.proven


def test_a_plan_that_was_locked_without_it_is_judged_without_it(look) -> None:
    _, harm = claims(look(Scraped(1.0, 20.0, 1.0), locked=False))
    assert not harm.proven


def test_saved_evidence_has_it(look, tmp_path) -> None:
    live = look(Scraped(1.0, 20.0, 1.0))
    saved.save(tmp_path / "found.json.gz", look.evidence)
    again = judge(saved.load(tmp_path / "found.json.gz"))
    assert claims(again)[1].result == claims(live)[1].result


def test_all_shares_of_alpha_together_are_one() -> None:
    total = sum(share_of(number) for number in range(200_000))
    assert WHOLE_SHARE < total < 1.0
