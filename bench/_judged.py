"""What decides, by the whole way from counters to a verdict: three treatments, and late harm.

Requests are assigned one by one. Each experiment is looked at again and again; what was said at any
look counts. A cell is something that must be rare (it fails where P(Binomial(runs, level) >= said)
< 0.01 / cells) or that must be found (where P(Binomial(runs, floor) <= said) < 0.01 / cells).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from abctl.analysis.judge import judge
from abctl.analysis.meaning import meaning
from abctl.core.experiment import Assignment, Design, Experiment, Metric, Model, Variant
from abctl.core.ledger import Entry, Ledger
from abctl.core.selector import Selector
from abctl.core.split import Split
from abctl.forms.plan import locked_plan
from abctl.session.analyze import gather, telemetry
from abctl.sources import Series
from abctl.sources.series import outline_of
from abctl.stats.delta import Delta

LEVEL = 0.05
START = 1_700_000_000.0
HOUR, DAY = 3600.0, 86_400.0
_OF = 'acc_{}{{variant="$variant"}}'
ACCURACY = Metric(
    "accuracy",
    "primary",
    "proportion",
    "accuracy",
    "increase",
    mde=Delta(0.02, relative=False),
    selectors={"n": _OF.format("n"), "successes": _OF.format("good")},
)
ERRORS = Metric(
    "errors",
    "guardrail",
    "proportion",
    "errors",
    "decrease",
    margin=Delta(0.01, relative=False),
)


@dataclass(frozen=True)
class World:
    """What is true of each treatment, and what is said of it how often.

    Attributes:
        better: by how much each treatment is more often right than the control's 90%.
        errors: how many more of its requests fail than the control's 2%.
        late: the same in the last `late_seconds`.
        looks_seconds: when somebody looks.
        per_minute: requests of each variant.
        rare, found: what must be rare, and the least share of experiments in which it is found:
            a verdict's kind, or a claim such as `errors harm`, of any treatment.
    """

    name: str
    better: tuple[float, ...] = (0.0,)
    errors: tuple[float, ...] = (0.0,)
    late: float = 0.0
    late_seconds: float = 0.0
    looks_seconds: tuple[float, ...] = ()
    per_minute: float = 40.0
    step_seconds: float = 60.0
    rare: tuple[str, ...] = ()
    found: tuple[tuple[str, float], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the variants."""
        return ("control", *(f"t{i + 1}" for i in range(len(self.better))))


class Counted:
    """A source that holds the counters of one draw of a world."""

    def __init__(self, world: World, rng: np.random.Generator) -> None:
        self.place, self.end = "a world", START + world.looks_seconds[-1]
        times = np.arange(START - 60.0, self.end + 1.0, world.step_seconds)
        late = times > self.end - world.late_seconds
        self.all: list[Series] = []
        for name, better, errors in zip(
            world.names, (0.0, *world.better), (0.0, *world.errors), strict=True
        ):
            here = {"job": "models", "instance": f"{name}:8082", "variant": name}
            n = rng.poisson(world.per_minute / 60.0 * world.step_seconds, times.size)
            share = 0.02 + errors + late * (world.late if name != "control" else 0.0)
            bad = rng.binomial(n, share)
            right = rng.binomial(n - bad, 0.9 + better)
            for metric, values, more in (
                ("ab_requests_total", n - bad, {"bucket": "0", "code": "2xx"}),
                ("ab_requests_total", bad, {"bucket": "0", "code": "5xx"}),
                ("acc_n", n - bad, {}),
                ("acc_good", right, {}),
            ):
                upto = np.cumsum(values).astype(float)
                self.all.append(Series({"__name__": metric, **here, **more}, times, upto))
            began = np.full(times.size, START - 100.0)
            labels = {"__name__": "process_start_time_seconds", **here}
            self.all.append(Series(labels, times, began))

    def now(self) -> float:
        return self.end

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        wanted, last = Selector.parse(selector), min(end, self.end)
        return [
            Series(s.labels, s.times[inside], s.values[inside])
            for s in self.all
            if wanted.matches(s.labels) and (inside := (s.times > start) & (s.times <= last)).any()
        ]

    def outline(self, selector: str, edges: object, since: float):
        return outline_of(self, selector, edges, since)


def experiment_of(world: World) -> tuple[Experiment, Ledger]:
    """What is asked, and the ledger of its only split."""
    count = len(world.names)
    each = 10_000 // count
    split = Split(world.names, (10_000 - each * (count - 1), *[each] * (count - 1)))
    experiment = Experiment(
        "worlds",
        "default",
        "envoy",
        Assignment("request", "x-user-id", "worlds-1"),
        tuple(Variant(name, Model("iris", name)) for name in world.names),
        split,
        (ACCURACY, ERRORS),
        None,
        Design(min_duration_seconds=HOUR, max_duration_seconds=30 * DAY, settle_seconds=30.0),
    )
    plan = locked_plan(experiment, meaning(experiment))
    return experiment, Ledger(plan).with_entry(Entry(START, "me", None, split, "", "applied"))


def said(world: World, rng: np.random.Generator) -> set[str]:
    """All that was said at any look of one draw: verdicts, and claims that were proven."""
    counted = Counted(world, rng)
    experiment, ledger = experiment_of(world)
    found = set[str]()
    for seconds in world.looks_seconds:
        counted.end = START + seconds
        analysis = judge(gather(experiment, ledger, counted, telemetry(experiment)))
        found.add(analysis.verdict.kind)
        for metric in analysis.metrics:
            for comparison in metric.comparisons:
                found |= {
                    f"{metric.name} {claim.says} {comparison.treatment}"
                    for claim in comparison.claims
                    if claim.proven
                }
    return found


@dataclass(frozen=True)
class Cell:
    """How often something was said in a world: at most, or at least, so often is right."""

    world: str
    what: str
    least: bool
    level: float
    runs: int
    times: int

    @property
    def chance(self) -> float:
        """To be as far off or farther, if the level were true."""
        if self.least:
            return float(binom.cdf(self.times, self.runs, self.level))
        return float(binom.sf(self.times - 1, self.runs, self.level))


def cells_of(world: World, rng: np.random.Generator, runs: int) -> Iterator[Cell]:
    """The cells of a world, each after so many experiments; the last is of refusals."""
    each = [said(world, rng) for _ in range(runs)]
    wanted = [(what, False, LEVEL) for what in world.rare]
    wanted += [(what, True, floor) for what, floor in world.found]
    # No evidence here is broken.
    for what, least, level in (*wanted, ("invalid", False, 0.01)):
        yield Cell(world.name, what, least, level, runs, sum(what in one for one in each))


_OFTEN = tuple(HOUR * x for x in (1.0, 1.5, 2.0, 3.0, 4.0))
_WEEKS = tuple(DAY * x for x in (1.0, 3.0, 7.0, 11.0, 13.0)) + tuple(
    14.0 * DAY - HOUR * x for x in (3.0, 2.0, 1.0, 0.0)
)
_ONE = tuple(f"{m} harm t{t}" for t in (1, 2, 3) for m in ("accuracy", "errors"))
_AT_MARGIN = tuple(f"errors {says} t1" for says in ("harm", "non-inferior"))
_LATE = {"looks_seconds": _WEEKS, "per_minute": 1500.0, "step_seconds": 120.0}
WORLDS = (
    World(
        "three treatments, alike",
        (0.0,) * 3,
        (0.0,) * 3,
        looks_seconds=_OFTEN,
        rare=("ship", *_ONE),
    ),
    World(
        "three treatments, better, at their margin",
        (0.04,) * 3,
        (0.01,) * 3,
        looks_seconds=_OFTEN,
        rare=("ship", *_AT_MARGIN),
        found=(("accuracy better t1", 0.9),),
    ),
    World(
        "three treatments, one better",
        (0.0, 0.04, 0.0),
        (0.0,) * 3,
        looks_seconds=_OFTEN,
        rare=("accuracy better t1", "accuracy better t3", "errors harm t2"),
        found=(("ship", 0.9),),
    ),
    World("14 days, alike", rare=("ship", "accuracy harm t1", "errors harm t1"), **_LATE),
    World("14 days at the margin", errors=(0.01,), rare=_AT_MARGIN, **_LATE),
    *(
        World(
            f"14 days, in the last hour {points:g} points more errors",
            late=points / 100.0,
            late_seconds=HOUR,
            found=(("stop", floor),),
            rare=("ship",),
            **_LATE,
        )
        for points, floor in ((4.0, 0.9), (10.0, 0.97), (98.0, 0.97))
    ),
)
CELLS = sum(len(world.rare) + len(world.found) + 1 for world in WORLDS)
