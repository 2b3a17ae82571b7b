"""The demo's schedule against its own arithmetic: is there enough of everything for a verdict?

The demo is played in virtual time, with its own traffic and experiment, the counters of model
servers and of the collector, and everything from there to the verdict. Only the clock and the
models are made up.
"""

import dataclasses
import heapq
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ab_runtime.collector.page import Page
from ab_runtime.collector.settings import Settings
from ab_runtime.collector.store import Item, Store
from ab_runtime.counters import Counters
from ab_runtime.token import Token
from ab_runtime.variant import Variant
from abctl import demo
from abctl.analysis.judge import judge
from abctl.core.analysis import Analysis
from abctl.core.assignment import by_salted_hash
from abctl.core.collector import Place, settings
from abctl.core.experiment import Experiment
from abctl.core.ledger import Entry, Ledger
from abctl.core.selector import Selector
from abctl.forms.plan import locked_plan
from abctl.session.analyze import gather, telemetry
from abctl.simulate._traffic import Request, Rows, plan
from abctl.sources import Outline, Series
from abctl.sources.series import outline_of
from abctl.spec import load
from abctl.stats.estimate import Estimate

pytestmark = pytest.mark.slow

START = 1_700_000_000.0
FIRST_REQUEST_SECONDS = 1.5  # after the stack is ready
ACCURACY = {"v1": 0.951, "v2": 0.905, "v3": 0.65}  # of the models in the demo's traffic
MEDIAN_SECONDS = {"v1": 0.00015, "v2": 0.00015, "v3": 0.002}


@dataclass(frozen=True)
class Machine:
    """How fast it is: what a shift takes, how many scrapes are missed, how requests bunch up.

    Feedback comes up to `label_seconds` later than it should. `spread` is the standard deviation of
    what the logarithm of all latencies of a variant has in common for about `burst_seconds`.
    """

    shift_seconds: float = 0.1
    missed_ratio: float = 0.0
    label_seconds: float = 0.1
    spread: float = 0.1
    burst_seconds: float = 0.2


MACHINES = {
    "fast and idle": Machine(),
    "one slow core": Machine(
        shift_seconds=2.5, missed_ratio=0.2, label_seconds=8.0, spread=0.5, burst_seconds=0.5
    ),
    "beside busy loops": Machine(
        shift_seconds=1.0, label_seconds=3.0, spread=0.3, burst_seconds=1.0
    ),
}


@cache
def labels_of(series: str) -> Mapping[str, str]:
    (family,) = text_string_to_metric_families(f"{series} 0\n")
    (sample,) = family.samples
    return {"__name__": sample.name, **sample.labels}


@dataclass
class World:
    """A source of what the counters of both servers said whenever they were scraped."""

    until: float = 0.0
    place: str = "virtual time"
    found: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = field(
        default_factory=dict
    )

    def now(self) -> float:
        return self.until

    def scrape(self, at: float, name: str, page: str) -> None:
        job = "collector" if name == "collector" else "mlserver"
        here = {"job": job, "instance": f"{name}:8082"}
        for line in page.splitlines():
            if not line.startswith("#"):
                series, _, value = line.rpartition(" ")
                labels = {**labels_of(series), **here}
                self.found.setdefault(tuple(labels.items()), []).append((at, float(value)))
        if job == "collector":
            return  # it says itself when its memory began
        start = {"__name__": "process_start_time_seconds", **here}
        self.found.setdefault(tuple(start.items()), []).append((at, START - 5.0))

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        wanted = Selector.parse(selector)
        answer = []
        for key, samples in self.found.items():
            if wanted.matches(dict(key)):
                times, values = np.array(samples).T
                inside = (times > start) & (times <= end)
                if inside.any():
                    answer.append(Series(dict(key), times[inside], values[inside]))
        return answer

    def outline(self, selector: str, edges: np.ndarray, since: float) -> Outline:
        return outline_of(self, selector, edges, since)


def events(machine: Machine, rng: np.random.Generator) -> Iterator[tuple[float, Request | str]]:
    """Requests when they are due, and whoever is scraped by name, in order of time."""
    schedule = demo.SCHEDULE
    rows = Rows(np.zeros((3, 4)), np.arange(3))
    end = FIRST_REQUEST_SECONDS + schedule.looks[-1]
    found: list[tuple[float, Request | str]] = [
        (FIRST_REQUEST_SECONDS + r.due_seconds, r)
        for r in plan(schedule.traffic, rows, 1)
        if r.due_seconds < schedule.looks[-1]
    ]
    for offset, name in ((0.13, "control"), (0.31, "treatment"), (0.42, "collector")):
        times = np.arange(offset - 2.0, end + 1.0, schedule.scrape_seconds)
        found += [(at, name) for at in times if rng.random() >= machine.missed_ratio]
    yield from sorted(found, key=lambda each: each[0])


class Reports:
    """The collector of the demo: what is reported comes late, and counts when it is due."""

    def __init__(self, experiment: Experiment) -> None:
        place = Place("keys.json", "memory.db", "127.0.0.1", 8090)
        told = Settings.model_validate_json(json.dumps(settings(experiment, place)))
        (self._outcome,) = (each.outcome for each in told.outcomes)
        self._store = Store(":memory:", {self._outcome.name: self._outcome}, ms(-3.0))
        self._page = Page(told, self._store)
        self._coming: list[tuple[float, int, Item]] = []

    def report(self, answered: float, comes: float, token: Token, *, right: bool) -> None:
        item = Item(token, self._outcome, float(right), "", ms(answered))
        heapq.heappush(self._coming, (comes, len(self._coming), item))

    def page(self, at: float) -> str:
        while self._coming and self._coming[0][0] <= at:
            comes, _, item = heapq.heappop(self._coming)
            self._store.take([item], ms(comes))
        self._store.release(ms(at))
        return self._page.text().decode()


def ms(seconds: float) -> int:
    return round(1000 * (START + seconds))


def entries(experiment: Experiment, machine: Machine) -> list[Entry]:
    found = [Entry(START, "demo", None, experiment.split, "", "applied")]
    for at_seconds, share_bp in demo.SCHEDULE.shifts:
        asked = START + FIRST_REQUEST_SECONDS + at_seconds
        before = found[-1].after
        after = before.with_shares({"treatment": share_bp})
        found.append(Entry(asked, "demo", before, after, "", "intent"))
        found.append(Entry(asked + machine.shift_seconds, "demo", before, after, "", "applied"))
    return found


def noise(machine: Machine, rng: np.random.Generator) -> Mapping[str, np.ndarray]:
    """By server, what latencies have in common in each tenth of a second: fades geometrically."""
    steps = int(10 * demo.SCHEDULE.looks[-1]) + 100
    keep = np.exp(-0.1 / machine.burst_seconds)
    found = {}
    for name in ("control", "treatment"):
        level = np.zeros(steps)
        for i in range(1, steps):
            level[i] = keep * level[i - 1] + np.sqrt(1 - keep**2) * rng.normal()
        found[name] = machine.spread * level
    return found


def play(experiment: Experiment, machine: Machine, seed: int) -> Iterator[Analysis]:
    """What each look finds."""
    rng = np.random.default_rng(seed)
    model = {v.name: v.model.version for v in experiment.variants}
    rules = experiment.assignment
    served = {name: Variant(name, rules.salt, rules.buckets, rules.key, {}) for name in model}
    collector = Reports(experiment)
    counters = {name: Counters(served[name]) for name in model}
    world = World()
    book = entries(experiment, machine)
    common = noise(machine, rng)
    for at, what in events(machine, rng):
        if isinstance(what, str):
            page = collector.page(at) if what == "collector" else counters[what].page()
            world.scrape(START + at, what, page)
            continue
        split = [e.after for e in book if e.at <= START + at and e.phase == "applied"][-1]
        name = by_salted_hash(rules, split, what.user).variant
        bucket = served[name].bucket(what.user)
        seconds = MEDIAN_SECONDS[model[name]] * np.exp(
            0.25 * rng.normal() + common[name][int(10 * at)]
        )
        counters[name].request(bucket, "2xx")
        counters[name].compared(float(seconds), (), bucket)
        right = rng.random() < ACCURACY[model[name]]
        comes = at + what.feedback_delay_seconds + machine.label_seconds * rng.random()
        token = Token(name, bucket, ms(at), str(what.user), str(what.index))
        collector.report(at, comes, token, right=bool(right))
    ledger = Ledger(locked_plan(experiment))
    for entry in book:
        ledger = ledger.with_entry(entry)
    for look in demo.SCHEDULE.looks:
        world.until = START + FIRST_REQUEST_SECONDS + look
        yield judge(gather(experiment, ledger, world, telemetry(experiment)))


def decided(analysis: Analysis) -> bool:
    return analysis.verdict.kind in ("ship", "stop") and all(
        isinstance(m.comparisons[0].effect, Estimate) for m in analysis.metrics
    )


@pytest.fixture
def experiment(tmp_path: Path) -> Callable[..., Experiment]:
    def make(candidate: str, control: str = "v1") -> Experiment:
        return load(demo.write_experiment(tmp_path / "demo", candidate, control))

    return make


@pytest.mark.parametrize(
    ("machine", "versions", "kind", "metric"),
    [
        ("beside busy loops", ("v1", "v2"), "stop", "accuracy"),
        ("one slow core", ("v1", "v3"), "stop", "latency"),
        ("fast and idle", ("v2", "v1"), "ship", "accuracy"),
        ("one slow core", ("v2", "v1"), "ship", "accuracy"),
    ],
)
def test_every_candidate_has_its_ending_on_every_machine(
    experiment: Callable[..., Experiment],
    machine: str,
    versions: tuple[str, str],
    kind: str,
    metric: str,
) -> None:
    control, candidate = versions
    looks = play(experiment(candidate, control), MACHINES[machine], seed=len(machine))

    found = next(each for each in looks if decided(each))
    assert found.verdict.kind == kind
    assert metric in [reason.facts["metric"] for reason in found.verdict.reasons]
    assert len(found.epochs) == 1 + len(demo.SCHEDULE.shifts)


def test_a_schedule_that_leaves_too_little_is_noticed(
    experiment: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = dataclasses.replace(demo.SCHEDULE, shifts=((3.0, 3_000), (6.0, 5_000)), looks=(18.0,))
    monkeypatch.setattr(demo, "SCHEDULE", short)
    assert not any(decided(each) for each in play(experiment("v2"), Machine(), seed=1))
