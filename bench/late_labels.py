"""Verdicts on outcomes that come late, twice, forged or not at all, through the whole pipeline.

    python bench/late_labels.py           a short form: the worst worlds of before, half a minute
    python bench/late_labels.py --long    every world, 100 experiments of each of two seeds

Ramp 5 > 20 > 50%; users come back, some often. With a collector a label counts when its prediction
is mature. What must never ship (or stop) fails where P(Binomial(n, level) >= seen) < 0.01 / cells;
power and refusals stand beside. Worlds of `before` have no collector, count a label when it comes,
and compare no reports; they are shown, and fail nothing: they are why there is a collector.
"""

import argparse
import sys
import time
from dataclasses import dataclass, field, replace

from _late_worlds import BUCKETS, HALF_HOUR, NAMES, RAMP, START, Counted, World, late
from _table import machine, markdown
from scipy.stats import binom

from abctl.analysis.judge import judge
from abctl.core.experiment import Assignment, Design, Experiment, Metric, Model, Variant
from abctl.core.ledger import Entry, Ledger
from abctl.core.outcome import Outcome
from abctl.core.split import Split
from abctl.forms.plan import locked_plan
from abctl.session.analyze import gather, telemetry
from abctl.stats.estimate import Delta, NotEstimable

ALPHA = 0.05
SHORT_EXPERIMENTS, LONG_EXPERIMENTS = 6, 100
SLOW, HOURS = late(1700.0), late(3 * 3600.0)
CONVERSIONS = ((1.0, 0.0),) * 2
BETTER, WORSE = (0.88, 0.92), (0.92, 0.88)
RARE, MORE = (0.1, 0.1), (0.1, 0.14)
# Nothing is missing and nothing differs: neither ship nor stop.
SOUND = (
    World("alike, at once"),
    World("alike, failures after 10 min", delays=late(600.0), maturity_seconds=900.0),
    World("alike, failures after 28 min", delays=SLOW),
    World("alike, failures after 3 h", delays=HOURS, maturity_seconds=3.5 * 3600.0),
    World("alike, only conversions, per request", RARE, SLOW, CONVERSIONS, "request"),
    World("alike, only conversions, per user", RARE, SLOW, CONVERSIONS, "user", users=30_000),
    World("alike, heavy users, failures after 28 min", delays=SLOW, tail=1.3),
    World("alike, heavy users, per request", RARE, SLOW, CONVERSIONS, "request", tail=1.3),
    World("alike, repeated and forged", delays=SLOW, repeated=0.3, forged=200, rate=1.0),
)
# What is missing, or late, differs though the models do not: never ship.
UNLIKE = (
    World("alike, labels of the treatment after 25 min", delays=((10.0, 10.0), (1500.0, 1500.0))),
    World("alike, failures too late in the treatment", delays=((10.0, 10.0), (10.0, 2500.0))),
    World("alike, half of the successes reported", reported=((0.5, 1.0),) * 2),
    World("alike, more of its successes reported", reported=((0.5, 1.0), (0.6, 1.0))),
    World("alike, only conversions, per outcome", RARE, reported=CONVERSIONS),
)
BETTER_WORLDS = (
    World("better, failures after 28 min", BETTER, SLOW),
    World("better, only conversions, per request", MORE, SLOW, CONVERSIONS, "request"),
    World("better, only conversions, per user", MORE, SLOW, CONVERSIONS, "user", users=30_000),
    World("better, repeated and forged", BETTER, SLOW, repeated=0.3, forged=200, rate=1.0),
)
WORSE_WORLDS = (World("worse, failures after 28 min", WORSE, SLOW),)
BEFORE = tuple(
    world.before() for world in (*SOUND[1:4], SOUND[8], UNLIKE[3], UNLIKE[4], *WORSE_WORLDS)
)
WORLDS = (*SOUND, *UNLIKE, *BETTER_WORLDS, *WORSE_WORLDS, *BEFORE)
SHORT = (SOUND[2], SOUND[8], UNLIKE[0], UNLIKE[3], BETTER_WORLDS[1], BEFORE[1])


def experiment_of(world: World) -> tuple[Experiment, Ledger]:
    """What is asked, and the ledger of the ramp."""
    own = {"maturity_seconds": world.maturity_seconds, "per": world.per} if world.collector else {}
    mde = Delta(0.02, relative=False)
    metric = Metric("good", "primary", "proportion", "good", "increase", mde=mde, **own)
    outcome = Outcome("good", "binary", maturity_seconds=world.maturity_seconds)
    splits = [Split(NAMES, (round(10_000 * (1 - s)), round(10_000 * s))) for s in RAMP.values()]
    experiment = Experiment(
        "late",
        "default",
        "envoy",
        Assignment("user", "x-user-id", "late-1", buckets=BUCKETS),
        tuple(Variant(name, Model("iris", name)) for name in NAMES),
        splits[0],
        (metric,),
        None,
        Design(
            min_duration_seconds=HALF_HOUR, max_duration_seconds=7 * 86400.0, settle_seconds=120.0
        ),
        outcomes=(outcome,) if world.collector else (),
    )
    ledger = Ledger(locked_plan(experiment))
    for seconds, split in zip(RAMP, splits, strict=True):
        ledger = ledger.with_entry(Entry(START + seconds, "me", None, split, "", "applied"))
    return experiment, ledger


def verdicts(world: World, seed: int, looks: int = 4) -> tuple[set[str], bool]:
    """Every verdict that somebody saw, and whether the last look had no estimate."""
    counted = Counted(world, seed)
    experiment, whole = experiment_of(world)
    asked = telemetry(experiment)
    if not world.compared:  # nobody counts answers beside reports
        asked = replace(asked, preset=replace(asked.preset, by_per={}))
    seen = set()
    for seconds in world.looks_seconds[-looks:]:
        ledger = replace(whole, entries=tuple(e for e in whole.entries if e.at <= START + seconds))
        found = judge(gather(experiment, ledger, counted.until(seconds), asked))
        seen.add(found.verdict.kind)
    return seen, isinstance(found.metrics[0].comparisons[0].effect, NotEstimable)


def must_not(world: World) -> tuple[str, ...]:
    """What is wrong in a world: of a sound A/A both, of all others that are not better, ship."""
    if world in SOUND:
        return ("ship", "stop")
    return ("ship",) if world in UNLIKE or world in WORSE_WORLDS else ()


@dataclass
class Row:
    """What was seen in the experiments of one world, and the seeds of what should not be."""

    n: int = 0
    refused: int = 0
    times: dict[str, int] = field(default_factory=lambda: {"ship": 0, "stop": 0})
    wrong: list[int] = field(default_factory=list)

    def add(self, world: World, seed: int, looks: int) -> None:
        seen, refused = verdicts(world, seed, looks)
        self.n += 1
        self.refused += refused
        for kind in self.times:
            self.times[kind] += kind in seen
        if seen & set(must_not(world)):
            self.wrong.append(seed)

    def beyond(self, world: World, cells: int) -> list[str]:
        """What came more often than its level allows."""
        tails = {kind: binom.sf(self.times[kind] - 1, self.n, ALPHA) for kind in must_not(world)}
        return [kind for kind, tail in tails.items() if tail < 0.01 / cells]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="every world, of two seeds")
    parser.add_argument("--experiments", type=int, help="so many of each seed instead")
    parser.add_argument("--seed", type=int, action="append", help="instead of fresh ones")
    arguments = parser.parse_args()
    fresh = time.time_ns() // 1000 % 10**9
    seeds = arguments.seed or ([fresh, fresh + 10**9] if arguments.long else [fresh])
    worlds = WORLDS if arguments.long else SHORT
    n = arguments.experiments or (LONG_EXPERIMENTS if arguments.long else SHORT_EXPERIMENTS)
    cells = sum(len(must_not(world)) for world in worlds)
    rows, bad = [], []
    for index, world in enumerate(worlds):
        row = Row()
        for first in seeds:
            for i in range(n):
                row.add(world, first + 100_000 * index + i, 4 if arguments.long else 2)
        beyond = row.beyond(world, cells)
        bad += beyond
        said = f"{', '.join(beyond)} too often" if beyond else "ok" if must_not(world) else ""
        counts = (*row.times.values(), row.refused)
        rows.append((world.name, *(f"{x}/{row.n}" for x in counts), said))
        wrong = f", wrong in {row.wrong}" if row.wrong else ""
        print(f"{world.name}: {row.times}, no estimate {row.refused}{wrong}", file=sys.stderr)
    head = ("world", "ship", "stop", "no estimate", "")
    print(f"seeds {seeds}; {machine()}\n\n{markdown(head, rows)}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
