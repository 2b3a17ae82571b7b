"""Outcomes that come late: judged by a collector's counts, they are as if they had come at once."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from _late_worlds import START as DRAWN_FROM
from _late_worlds import Counted
from held import held
from late_labels import UNLIKE, experiment_of
from numpy.typing import NDArray

from abctl.analysis.judge import judge
from abctl.core.analysis import Analysis, MetricResult
from abctl.core.experiment import Design, Experiment, Metric
from abctl.core.ledger import Entry, Ledger
from abctl.core.outcome import Outcome
from abctl.core.split import Split
from abctl.evidence import saved
from abctl.forms.plan import locked_plan
from abctl.session.analyze import gather, telemetry
from abctl.sources import Outline, Series
from abctl.sources.series import outline_of
from abctl.stats.estimate import Delta, Estimate, NotEstimable

pytestmark = pytest.mark.slow

START = 1_700_000_000.0
SCRAPE_SECONDS = 15.0
BUCKETS = 8
MATURITY_SECONDS = 1800.0
NAMES = ("control", "treatment")
RAMP = {START: 0.05, START + 3600: 0.2, START + 7200: 0.5}
DESIGN = Design(min_duration_seconds=600, max_duration_seconds=100_000, settle_seconds=30)
OUTCOME = Outcome("good", "binary", maturity_seconds=MATURITY_SECONDS)
METRIC = Metric("good", "primary", "proportion", "good", "increase", mde=Delta(0.02, False))


@dataclass
class World:
    """Predictions one by one, with the moments at which their labels come.

    Failures are known later than successes. `counted` says when a label is counted: at once, as
    servers do, or when its prediction is as old as the maturity, as the collector does.
    """

    seed: int
    counted: str
    truth: Mapping[str, float]
    seconds: float = 14_400.0
    delays: tuple[float, float] = (10.0, 1700.0)
    requests_per_second: float = 4.0
    place: str = "a made-up world"

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        n = int(self.requests_per_second * self.seconds)
        at = np.sort(rng.uniform(START, START + self.seconds, n))
        share = np.array(list(RAMP.values()))[np.searchsorted(list(RAMP), at, side="right") - 1]
        treated = rng.random(n) < share
        good = rng.random(n) < np.where(treated, self.truth["treatment"], self.truth["control"])
        bucket = rng.integers(0, BUCKETS, n)
        comes = at + np.where(good, *self.delays)
        late = at + MATURITY_SECONDS
        self.series_of = []
        for name, mine in zip(NAMES, (~treated, treated), strict=True):
            for b in range(BUCKETS):
                here = mine & (bucket == b)
                label = np.where(comes < late, late, np.inf) if self.counted == "mature" else comes
                values = {
                    ("ab_requests_total", "code", "2xx"): np.sort(at[here]),
                    ("ab_outcome_count_total", "", ""): np.sort(label[here]),
                    ("ab_outcome_sum_total", "sign", "positive"): np.sort(label[here & good]),
                    ("ab_outcome_sum_total", "sign", "negative"): np.zeros(0),
                    ("ab_outcome_sumsq_total", "", ""): np.sort(label[here & good]),
                }
                for (metric, label_name, value), moments in values.items():
                    self._add(metric, name, str(b), moments, {label_name: value})
        scrapes = np.arange(START - 60, START + self.seconds + 1, SCRAPE_SECONDS)
        for instance in ("collector:80", *(f"{name}:8082" for name in NAMES)):
            labels = {"__name__": "process_start_time_seconds", "instance": instance, "job": "a"}
            self.series_of.append(Series(labels, scrapes, np.full(len(scrapes), START - 100)))

    def _add(
        self,
        metric: str,
        variant: str,
        bucket: str,
        moments: NDArray[np.float64],
        more: Mapping[str, str],
    ) -> None:
        scrapes = np.arange(START - 60, START + self.seconds + 1, SCRAPE_SECONDS)
        of_collector = metric.startswith("ab_outcome") and self.counted == "mature"
        labels = {
            "__name__": metric,
            "job": "a",
            "instance": "collector:80" if of_collector else f"{variant}:8082",
            "variant": variant,
            "bucket": bucket,
            **({"outcome": "good"} if metric.startswith("ab_outcome") else {}),
            **{name: value for name, value in more.items() if name},
        }
        upto = np.searchsorted(moments, scrapes, side="right").astype(float)
        self.series_of.append(Series(labels, scrapes, upto))

    def now(self) -> float:
        return START + self.seconds

    def retention_seconds(self) -> None:
        return None

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        return held(self.series_of, selector, start, end)

    def outline(self, selector: str, edges: NDArray[np.float64], since: float) -> Outline:
        return outline_of(self, selector, edges, since)


@pytest.fixture
def ask(make_experiment: Callable[..., Experiment]) -> Callable[..., Experiment]:
    def make(mature: bool, **of_metric: Any) -> Experiment:
        made = make_experiment(shares_bp=(9500, 500), unit="user", buckets=BUCKETS)
        own = {"maturity_seconds": MATURITY_SECONDS} if mature else {}
        metric = dataclasses.replace(METRIC, **own, **of_metric)
        outcomes = (OUTCOME,) if mature else ()
        return dataclasses.replace(made, metrics=(metric,), design=DESIGN, outcomes=outcomes)

    return make


def judged(experiment: Experiment, world: World) -> Analysis:
    ledger = Ledger(locked_plan(experiment))
    for at, share in RAMP.items():
        split = Split(NAMES, (round(10_000 * (1 - share)), round(10_000 * share)))
        ledger = ledger.with_entry(Entry(at, "me", None, split, "test", "applied"))
    return judge(gather(experiment, ledger, world, telemetry(experiment)))


def estimate(metric: MetricResult) -> Estimate:
    effect = metric.comparisons[0].effect
    assert isinstance(effect, Estimate), effect
    return effect


def test_late_labels_in_a_ramp_err_at_once_and_not_when_mature(
    ask: Callable[..., Experiment],
) -> None:
    same = {"control": 0.9, "treatment": 0.9}
    at_once = judged(ask(mature=False), World(1, "at once", same)).metrics[0]
    mature = estimate(judged(ask(mature=True), World(1, "mature", same)).metrics[0])
    # After each step the new traffic has reported its successes alone, which is told.
    refused = at_once.comparisons[0].effect
    assert isinstance(refused, NotEstimable)
    assert refused.why.code == "reportsDiffer"
    assert abs(mature.effect) < 0.01
    assert (
        not judged(ask(mature=True), World(1, "mature", same))
        .metrics[0]
        .comparisons[0]
        .proven("better")
    )


@pytest.mark.parametrize("per", ["outcome", "request"])
def test_what_is_judged_is_the_truth_of_mature_predictions(
    ask: Callable[..., Experiment], per: str
) -> None:
    world = World(2, "mature", {"control": 0.8, "treatment": 0.9})
    found = judged(ask(mature=True, per=per), world).metrics[0]
    assert estimate(found).control == pytest.approx(0.8, abs=0.012)
    assert estimate(found).treatment == pytest.approx(0.9, abs=0.012)
    (matures,) = [each for each in found.remarks if each.code == "matures"]
    assert matures.facts["maturity_seconds"] == MATURITY_SECONDS
    assert estimate(found).epochs == (0, 1, 2)
    # As PromQL has it, to look at in Prometheus.
    assert found.selectors["treatment"]["successes"].endswith(" offset -1800s")
    assert found.selectors["treatment"]["n"].endswith("}") == (per == "request")


def test_nothing_is_judged_before_the_first_prediction_is_mature(
    ask: Callable[..., Experiment],
) -> None:
    found = judged(ask(mature=True), World(3, "mature", {"control": 0.8, "treatment": 0.9}, 900.0))
    assert not isinstance(found.metrics[0].comparisons[0].effect, Estimate)


def test_saved_evidence_is_judged_alike(ask: Callable[..., Experiment], tmp_path: Any) -> None:
    experiment = ask(mature=True, per="request")
    world = World(4, "mature", {"control": 0.8, "treatment": 0.85})
    ledger = Ledger(locked_plan(experiment)).with_entry(
        Entry(START, "me", None, Split(NAMES, (9500, 500)), "test", "applied")
    )
    evidence = gather(experiment, ledger, world, telemetry(experiment))
    saved.save(tmp_path / "evidence.json.gz", evidence)
    assert judge(saved.load(tmp_path / "evidence.json.gz")) == judge(evidence)


@dataclass
class Reporting(World):
    """A world in which not everything is reported."""

    reported: Mapping[tuple[str, bool], float] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        rng = np.random.default_rng(self.seed + 100)
        # Thinned scrape by scrape, hits and misses apart.
        by_key = {
            (s.labels["__name__"], s.labels.get("variant"), s.labels.get("bucket")): i
            for i, s in enumerate(self.series_of)
            if s.labels.get("sign") != "negative"
        }
        for name in NAMES:
            for b in map(str, range(BUCKETS)):
                kept = {}
                counts = self.series_of[by_key["ab_outcome_count_total", name, b]]
                hits = self.series_of[by_key["ab_outcome_sum_total", name, b]]
                good, every = np.diff(hits.values, prepend=0), np.diff(counts.values, prepend=0)
                for value, n in ((True, good), (False, every - good)):
                    share = self.reported.get((name, value), 1.0)
                    kept[value] = rng.binomial(n.astype(int), share)
                for metric in ("ab_outcome_sum_total", "ab_outcome_sumsq_total"):
                    i = by_key[metric, name, b]
                    self.series_of[i] = dataclasses.replace(
                        self.series_of[i], values=np.cumsum(kept[True]).astype(float)
                    )
                i = by_key["ab_outcome_count_total", name, b]
                both = np.cumsum(kept[True] + kept[False]).astype(float)
                self.series_of[i] = dataclasses.replace(self.series_of[i], values=both)


def test_answers_that_are_not_reported_on_alike_decide_nothing(
    ask: Callable[..., Experiment],
) -> None:
    same = {"control": 0.9, "treatment": 0.9}
    # Right answers are reported with probability 0.5 in one variant and 0.6 in the other.
    shares = {("control", True): 0.5, ("treatment", True): 0.6}
    world = Reporting(5, "mature", same, reported=shares, requests_per_second=8)
    (metric,) = judged(ask(mature=True), world).metrics
    effect = metric.comparisons[0].effect
    assert not isinstance(effect, Estimate)
    assert effect.why.code == "reportsDiffer"
    assert not metric.comparisons[0].proven("better")


def test_answers_that_may_not_be_reported_on_alike_ship_nothing() -> None:
    """Before it is proven that a variant's successes are reported more often, they look like one.

    In this draw the effect was proven when the difference between reports was not (p = 0.0014).
    """
    (world,) = [each for each in UNLIKE if each.name == "alike, more of its successes reported"]
    experiment, whole = experiment_of(world)
    seconds = world.looks_seconds[2]
    entries = tuple(each for each in whole.entries if each.at <= DRAWN_FROM + seconds)
    ledger = dataclasses.replace(whole, entries=entries)
    drawn = Counted(world, 1).until(seconds)
    found = judge(gather(experiment, ledger, drawn, telemetry(experiment)))
    assert found.metrics[0].comparisons[0].proven("better")
    (why,) = [each for each in found.verdict.reasons if each.code == "reportsMayDiffer"]
    assert (found.verdict.kind, 0.001 < why.facts["p"] < 0.01) == ("continue", True)


def test_an_application_that_reports_only_conversions_is_told(
    ask: Callable[..., Experiment],
) -> None:
    same = {"control": 0.1, "treatment": 0.1}
    only = {(name, False): 0.0 for name in NAMES}
    world = Reporting(6, "mature", same, reported=only)
    found = judged(ask(mature=True), world)
    (told,) = [note for note in found.notes if note.code == "fewReports"]
    assert told.facts["reports_count"] < 0.2 * told.facts["answers_count"]
    # Per request nothing is missing: what was not reported did not happen.
    (metric,) = judged(ask(mature=True, per="request"), world).metrics
    assert estimate(metric).control == pytest.approx(0.1, abs=0.01)
