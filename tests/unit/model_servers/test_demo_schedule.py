"""The demo's schedule against its own arithmetic: is there enough of everything for a verdict?

The demo is played in virtual time, with its own traffic and experiment, the model server's own
counters, and everything from there to the verdict. Only the clock and the models are made up.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from ab_runtime.counters import Counters
from ab_runtime.variant import Variant
from abctl import demo
from abctl.analysis.judge import judge
from abctl.core.analysis import Analysis
from abctl.core.assignment import by_salted_hash
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

START = 1_700_000_000.0
FIRST_REQUEST_SECONDS = 1.5  # after the stack is ready
ACCURACY = {"v1": 0.932, "v2": 0.891, "v3": 0.65}  # of the models in the demo's traffic
MEDIAN_SECONDS = {"v1": 0.00015, "v2": 0.00015, "v3": 0.002}


@dataclass(frozen=True)
class Machine:
    """How fast it is: what a shift takes, how many scrapes are missed, how requests bunch up.

    `spread` is the standard deviation of what the logarithm of all latencies of a variant has in
    common for about `burst_seconds`.
    """

    shift_seconds: float = 0.1
    missed_ratio: float = 0.0
    spread: float = 0.1
    burst_seconds: float = 0.2


MACHINES = {
    "fast and idle": Machine(),
    "one slow core": Machine(shift_seconds=2.5, missed_ratio=0.2, spread=0.5, burst_seconds=0.5),
    "beside busy loops": Machine(shift_seconds=1.0, spread=0.3, burst_seconds=1.0),
}


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

    def scrape(self, at: float, instance: str, registry: CollectorRegistry) -> None:
        here = {"job": "mlserver", "instance": instance}
        for metric in registry.collect():
            for sample in metric.samples:
                labels = {"__name__": sample.name, **sample.labels, **here}
                self.found.setdefault(tuple(labels.items()), []).append((at, sample.value))
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
    """Requests when they are due, and the name of the server that is scraped, in order of time."""
    schedule = demo.SCHEDULE
    rows = Rows(np.zeros((3, 4)), np.arange(3))
    end = FIRST_REQUEST_SECONDS + schedule.looks[-1]
    found: list[tuple[float, Request | str]] = [
        (FIRST_REQUEST_SECONDS + r.due_seconds, r)
        for r in plan(schedule.traffic, rows, 1)
        if r.due_seconds < schedule.looks[-1]
    ]
    for offset, name in ((0.13, "control"), (0.31, "treatment")):
        times = np.arange(offset - 2.0, end + 1.0, schedule.scrape_seconds)
        found += [(at, name) for at in times if rng.random() >= machine.missed_ratio]
    yield from sorted(found, key=lambda each: each[0])


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
    served = {
        name: Variant(name, rules.salt, rules.buckets, rules.key, ("accuracy",)) for name in model
    }
    registries = {name: CollectorRegistry() for name in model}
    counters = {name: Counters(served[name], registries[name]) for name in model}
    world = World()
    book = entries(experiment, machine)
    common = noise(machine, rng)
    for at, what in events(machine, rng):
        if isinstance(what, str):
            world.scrape(START + at, f"{what}:8082", registries[what])
            continue
        split = [e.after for e in book if e.at <= START + at and e.phase == "applied"][-1]
        name = by_salted_hash(rules, split, what.user).variant
        bucket = served[name].bucket(what.user)
        seconds = MEDIAN_SECONDS[model[name]] * np.exp(
            0.25 * rng.normal() + common[name][int(10 * at)]
        )
        counters[name].request(bucket, "2xx")
        counters[name].compared(seconds, ())
        right = rng.random() < ACCURACY[model[name]]
        counters[name].outcome(bucket, "accuracy", float(right), str(what.index))
    ledger = Ledger(locked_plan(experiment))
    for entry in book:
        ledger = ledger.with_entry(entry)
    for look in demo.SCHEDULE.looks:
        world.until = START + FIRST_REQUEST_SECONDS + look
        yield judge(gather(experiment, ledger, world, telemetry(experiment)))


def estimable(analysis: Analysis) -> bool:
    return all(isinstance(m.comparisons[0].effect, Estimate) for m in analysis.metrics)


@pytest.fixture
def experiment(tmp_path: Path) -> Callable[[str], Experiment]:
    def make(candidate: str) -> Experiment:
        return load(demo.write_experiment(tmp_path / "demo", candidate))

    return make


@pytest.mark.parametrize("candidate", ["v2", "v3"])
@pytest.mark.parametrize("machine", MACHINES)
def test_on_every_machine_every_metric_is_estimable_and_the_worse_model_is_stopped(
    experiment: Callable[[str], Experiment], machine: str, candidate: str
) -> None:
    looks = play(experiment(candidate), MACHINES[machine], seed=len(machine))

    found = next(each for each in looks if estimable(each))
    assert found.verdict.kind == "stop"
    harm = found.verdict.reasons[0]
    assert (harm.code, harm.facts["metric"]) == ("harmProven", "accuracy")
    assert len(found.epochs) == 1 + len(demo.SCHEDULE.shifts)


def test_a_schedule_that_leaves_too_little_is_noticed(
    experiment: Callable[[str], Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = dataclasses.replace(demo.SCHEDULE, shifts=((3.0, 3_000), (6.0, 5_000)), looks=(12.0,))
    monkeypatch.setattr(demo, "SCHEDULE", short)
    assert not any(estimable(each) for each in play(experiment("v2"), Machine(), seed=1))


def test_without_other_work_the_first_look_is_enough(
    experiment: Callable[[str], Experiment],
) -> None:
    assert estimable(next(play(experiment("v2"), MACHINES["fast and idle"], seed=3)))
