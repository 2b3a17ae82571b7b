"""Every kind of metric of an outcome, from what a collector counts to the verdict."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from held import held
from numpy.typing import NDArray

from abctl.analysis.judge import judge
from abctl.core.analysis import Analysis, MetricResult
from abctl.core.experiment import Design, Experiment, Metric
from abctl.core.ledger import Entry, Ledger
from abctl.core.outcome import Outcome
from abctl.core.split import Split
from abctl.forms.plan import locked_plan
from abctl.session.analyze import gather, telemetry
from abctl.sources import Outline, Series
from abctl.sources.series import outline_of
from abctl.stats.estimate import Delta, Estimate, NotEstimable

START, SECONDS, SCRAPE_SECONDS = 1_700_000_000.0, 10_800.0, 15.0
MATURITY_SECONDS, EARLY_SECONDS = 1800.0, 600.0
BUCKETS, NAMES = 32, ("control", "treatment")
EVEN = Split(NAMES, (5000, 5000))
DESIGN = Design(min_duration_seconds=600, max_duration_seconds=100_000, settle_seconds=30)
Array = NDArray[np.float64]


@dataclass
class Collected:
    """What servers and a collector have counted, scrape by scrape."""

    place: str = "a made-up world"
    all: list[Series] = field(default_factory=list)
    times: Array = field(default_factory=lambda: np.arange(-60.0, SECONDS + 1, SCRAPE_SECONDS))

    def __post_init__(self) -> None:
        for instance in ("collector:80", *(f"{name}:8082" for name in NAMES)):
            head = {"__name__": "process_start_time_seconds", "instance": instance, "job": "a"}
            self.all.append(Series(head, START + self.times, np.full(len(self.times), START - 99)))

    def add(self, name: str, at: Array, each: Array, **labels: str) -> None:
        """Count `each` at the moments `at`."""
        order = np.argsort(at)
        upto = np.concatenate([[0.0], np.cumsum(each[order])])
        values = upto[np.searchsorted(at[order], self.times, side="right")]
        head = {"__name__": name, "job": "a", "instance": "collector:80", **labels}
        self.all.append(Series(head, START + self.times, values))

    def outcome(self, family: str, at: Array, values: Array, bucket: Array, **of: str) -> None:
        """Count values as the collector's page has them, by bucket."""
        for b in range(BUCKETS):
            mine, labels = bucket == b, {**of, "bucket": str(b)}
            when, value = at[mine], values[mine]
            self.add(f"{family}_count_total", when, np.ones(len(when)), **labels)
            self.add(f"{family}_hits_total", when, 1.0 * (value > 0), **labels)
            self.add(f"{family}_sumsq_total", when, value * value, **labels)
            self.add(f"{family}_sum_total", when, np.maximum(value, 0), sign="positive", **labels)
            self.add(f"{family}_sum_total", when, np.maximum(-value, 0), sign="negative", **labels)

    def answers(self, variant: str, at: Array, bucket: Array) -> None:
        """Count answers at the servers, and what the collector refused: nothing."""
        for b in range(BUCKETS):
            labels = {"variant": variant, "bucket": str(b), "instance": f"{variant}:8082"}
            mine = at[bucket == b]
            self.add("ab_requests_total", mine, np.ones(len(mine)), code="2xx", **labels)
        self.add("ab_feedback_total", at[:0], at[:0], variant=variant, what="lost")

    def begins_anew(self, instance: str, successor: str, at: float, memory: float) -> None:
        """From `at` on somebody is scraped there whose counters began at `memory`."""
        later = self.times > at
        for series in [each for each in self.all if each.labels["instance"] == instance]:
            started = series.labels["__name__"] == "process_start_time_seconds"
            anew = series.values[~later][-1] if memory > 0 else 0.0
            values = START + memory if started else series.values - anew
            if successor == instance:
                series.values[later] = values[later] if not started else values
                continue
            self.all.remove(series)
            for where, when, each in (
                (instance, ~later, series.values),
                (successor, later, np.broadcast_to(values, later.shape)),
            ):
                labels = {**series.labels, "instance": where}
                self.all.append(Series(labels, series.times[when], each[when]))

    def now(self) -> float:
        return START + SECONDS

    def retention_seconds(self) -> None:
        return None

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        return held(self.all, selector, start, end)

    def outline(self, selector: str, edges: Array, since: float) -> Outline:
        return outline_of(self, selector, edges, since)


Judged = Callable[..., Analysis]
MADE = (
    Outcome("order", "binary", maturity_seconds=MATURITY_SECONDS),
    Outcome("spent", "number", "many", maturity_seconds=MATURITY_SECONDS, cap=500.0),
    Outcome("back", "return", "once", MATURITY_SECONDS, after_seconds=900.0),
)


@pytest.fixture
def judged(make_experiment: Callable[..., Experiment]) -> Judged:
    def judge_of(world: Collected, *metrics: Metric) -> Analysis:
        made = make_experiment(shares_bp=(5000, 5000), unit="user", buckets=BUCKETS)
        experiment = dataclasses.replace(made, metrics=metrics, design=DESIGN, outcomes=MADE)
        ledger = Ledger(locked_plan(experiment)).with_entry(
            Entry(START, "me", None, EVEN, "test", "applied")
        )
        return judge(gather(experiment, ledger, world, telemetry(experiment)))

    return judge_of


def asked(kind: Any, of: str, **more: Any) -> Metric:
    given: dict[str, Any] = {"maturity_seconds": MATURITY_SECONDS, "mde": Delta(0.05, True), **more}
    return Metric("asked", "primary", kind, of, "increase", **given)


def drawn(seed: int, n: int = 12_000) -> tuple[np.random.Generator, Array, Array]:
    """When each of n predictions was made, and the bucket of its user."""
    rng = np.random.default_rng(seed)
    return rng, rng.uniform(0, SECONDS, n), rng.integers(0, BUCKETS, n)


def estimate(metric: MetricResult) -> Estimate:
    effect = metric.comparisons[0].effect
    assert isinstance(effect, Estimate), effect
    return effect


@pytest.mark.slow
@pytest.mark.parametrize("per", ["outcome", "user"])
def test_a_ratio_is_of_two_sums(judged: Judged, per: str) -> None:
    family = "ab_outcome" if per == "outcome" else "ab_user_outcome"
    world, truth = Collected(), {"control": 20.0, "treatment": 23.0}
    for i, (name, each) in enumerate(truth.items()):
        rng, at, bucket = drawn(10 + i)
        world.answers(name, at, bucket)
        # The treatment has fewer orders, and more is spent in each.
        orders = 1.0 * (rng.random(len(at)) < (0.4 if name == "control" else 0.3))
        spent = orders * rng.gamma(4.0, each / 4.0, len(at))
        for of, values in (("order", orders), ("spent", spent)):
            due = at + MATURITY_SECONDS
            world.outcome(family, due, values, bucket, variant=name, outcome=of)
    found = judged(world, asked("ratio", "spent", over="order", per=per))
    effect = estimate(found.metrics[0])
    assert effect.control == pytest.approx(20.0, rel=0.02)
    assert effect.treatment == pytest.approx(23.0, rel=0.02)
    assert (found.verdict.kind, found.metrics[0].unit) == ("ship", "number")
    assert found.variants[0].values["asked"] == pytest.approx(20.0, rel=0.02)
    (capped,) = [each for each in found.metrics[0].remarks if each.code == "capped"]
    assert capped.facts == {"outcome": "spent", "cap": 500.0, "per": per}


@pytest.mark.slow
def test_retention_is_the_share_of_users_who_come_back(judged: Judged) -> None:
    world, truth = Collected(), {"control": 0.3, "treatment": 0.36}
    for i, (name, share) in enumerate(truth.items()):
        rng, at, bucket = drawn(20 + i)
        world.answers(name, at, bucket)
        back = 1.0 * (rng.random(len(at)) < share)
        due = at + MATURITY_SECONDS
        world.outcome("ab_user_outcome", due, back, bucket, variant=name, outcome="back")
    found = judged(world, asked("retention", "back", per="user", mde=Delta(0.02, False)))
    effect = estimate(found.metrics[0])
    assert (effect.control, effect.treatment) == pytest.approx((0.3, 0.36), abs=0.015)
    assert (found.verdict.kind, found.metrics[0].unit) == ("ship", "share")
    assert found.metrics[0].method.startswith("proportion_")


@pytest.mark.slow
def test_a_rate_is_of_events_per_answer(judged: Judged) -> None:
    world, truth = Collected(), {"control": 0.05, "treatment": 0.05}
    for i, (name, rate) in enumerate(truth.items()):
        rng, at, bucket = drawn(30 + i)
        world.answers(name, at, bucket)
        which = rng.random(len(at)) < rate
        due, users = at[which] + MATURITY_SECONDS, bucket[which]
        world.outcome("ab_outcome", due, np.ones(len(due)), users, variant=name, outcome="order")
    found = judged(world, asked("rate", "order", per="request"))
    effect = estimate(found.metrics[0])
    assert (effect.control, effect.treatment) == pytest.approx((0.05, 0.05), abs=0.006)
    assert found.verdict.kind == "continue"


@pytest.mark.slow
def test_an_early_look_is_read_from_its_own_age_and_ships_nothing(judged: Judged) -> None:
    world = Collected()
    for i, name in enumerate(NAMES):
        rng, at, bucket = drawn(40 + i)
        world.answers(name, at, bucket)
        hit = rng.random(len(at)) < (0.1 if name == "control" else 0.15)
        soon = hit & (rng.random(len(at)) < 0.5)  # half of them come within the early age
        for which, of, age in (
            (soon, "order@600s", EARLY_SECONDS),
            (hit, "order", MATURITY_SECONDS),
        ):
            due, users = at[which] + age, bucket[which]
            ones = np.ones(len(due))
            world.outcome("ab_outcome", due, ones, users, variant=name, outcome=of)
    last = asked("proportion", "order", per="request", mde=Delta(0.01, False))
    early = dataclasses.replace(
        last, name="asked@10m", maturity_seconds=EARLY_SECONDS, age_seconds=EARLY_SECONDS
    )
    look = dataclasses.replace(early, role="secondary", mde=None)
    found = judged(world, last, look)
    at_last, at_first = map(estimate, found.metrics)
    assert (at_last.control, at_first.control) == pytest.approx((0.1, 0.05), abs=0.01)
    assert at_first.n[0] > at_last.n[0]  # younger predictions are in it
    assert [r.code for r in found.metrics[1].remarks] == ["earlyLook", "matures"]
    assert found.metrics[1].comparisons[0].claims == ()
    # Where the file says that this age decides, it does.
    assert judged(world, early).verdict.kind == "ship"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seconds", "differ"),
    [((60.0, 60.0), False), ((60.0, 1200.0), True), ((1200.0, 60.0), True)],
)
def test_reports_that_come_faster_of_one_variant_decide_nothing(
    judged: Judged, seconds: tuple[float, float], differ: bool
) -> None:
    world = Collected()
    for i, (name, delay) in enumerate(zip(NAMES, seconds, strict=True)):
        rng, at, bucket = drawn(50 + i)
        world.answers(name, at, bucket)
        # Failures come late in both, of which the better variant has fewer: that is no difference.
        hit = rng.random(len(at)) < (0.8 if name == "control" else 0.88)
        age = np.where(hit, delay * rng.uniform(0.5, 1.0, len(at)), 1700.0)
        due, values = at + MATURITY_SECONDS, 1.0 * hit
        world.outcome("ab_outcome", due, values, bucket, variant=name, outcome="order")
        for group in range(16):
            for said, which in (("yes", hit), ("no", ~hit)):
                for edge in (112.5, 900.0, np.inf):
                    mine = which & (bucket % 16 == group) & (age <= edge)
                    labels = {"group": str(group), "hit": said, "le": f"{edge:g}"}
                    labels["le"] = labels["le"].replace("inf", "+Inf")
                    when = at[mine] + MATURITY_SECONDS
                    ones = np.ones(len(when))
                    where = {"variant": name, "outcome": "order"}
                    world.add("ab_outcome_age_seconds_bucket", when, ones, **where, **labels)
    # Everything is reported on: the shares alone would not tell.
    found = judged(world, asked("proportion", "order", mde=Delta(0.02, False))).metrics[0]
    effect = found.comparisons[0].effect
    if differ:
        assert not isinstance(effect, Estimate)
        assert effect.why.code == "reportsPaceDiffers"
        assert effect.why.facts["hit"] is True
    else:
        assert found.comparisons[0].proven("better")


@pytest.mark.slow
def test_a_collector_that_nobody_scrapes_or_that_lost_its_memory_is_told(judged: Judged) -> None:
    world = Collected()
    for i, name in enumerate(NAMES):
        _, at, bucket = drawn(60 + i, 2000)
        world.answers(name, at, bucket)
        world.outcome("ab_outcome", at, np.ones(2000), bucket, variant=name, outcome="order")
    metric = asked("proportion", "order", per="request", mde=Delta(0.01, False))
    codes = {note.code for note in judged(world, metric).notes}
    assert not codes & {"collectorLost", "collectorNotScraped"}
    world.add("ab_feedback_total", np.full(7, 5000.0), np.ones(7), variant="control", what="lost")
    (lost,) = [note for note in judged(world, metric).notes if note.code == "collectorLost"]
    assert lost.facts == {"refused_count": 7.0}
    world.all = [s for s in world.all if s.labels["instance"] != "collector:80"]
    (unread,) = [n for n in judged(world, metric).notes if n.code == "collectorNotScraped"]
    assert unread.facts["selector"].startswith("ab_feedback_total{")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("began", "lost"),
    [
        ({}, False),
        ({"collector:80": 6000.0}, True),
        ({"collector:81": -99.0}, False),  # another pod, with the same memory
        ({"collector:81": 6000.0}, True),
        ({"treatment:8082": 6000.0}, False),  # servers have no memory
    ],
)
def test_without_what_waited_in_a_lost_memory_nothing_is_estimated(
    judged: Judged, began: dict[str, float], lost: bool
) -> None:
    world, until = Collected(), 6000.0
    for i, name in enumerate(NAMES):
        _, at, bucket = drawn(70 + i, 4000)
        world.answers(name, at, bucket)
        due = at + MATURITY_SECONDS
        if lost:  # all that the old memory held, and what came later on predictions of before
            due = due[(due < until) | (at > until)]
        where = {"variant": name, "outcome": "order"}
        world.outcome("ab_outcome", due, np.ones(len(due)), bucket[: len(due)], **where)
    for successor, begin in began.items():
        instance = successor.replace("81", "80")
        world.begins_anew(instance, successor, until, begin)
    metric = asked("proportion", "order", per="request", mde=Delta(0.01, False))
    found = judged(world, metric)
    effect = found.metrics[0].comparisons[0].effect
    if lost:
        assert isinstance(effect, NotEstimable)
        assert effect.why.code == "memoryLost"
    else:
        assert isinstance(effect, Estimate)
        assert effect.control == pytest.approx(1.0, abs=0.02)
