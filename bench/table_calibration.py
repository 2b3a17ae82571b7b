"""Verdicts on experiments by tables, through the whole way: files, SQL, sums, tests.

    python bench/table_calibration.py          a short form: some runs of each world
    python bench/table_calibration.py --long   200 runs of each world, of two seeds

Users spend by a Pareto law and by the day of the week, come back, and see several variants while
the treatment goes from 10% to 50%; rows come late. Where the variants are alike, neither `ship`
nor `stop` may come more often than alpha: a cell fails where P(Binomial(n, alpha) >= seen) < 0.01
/ cells. What a tool would say that drops whoever saw several variants stands beside. Power and
refusals are shown, and fail nothing.
"""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from _table import machine, markdown
from pyarrow import parquet
from scipy.stats import binom, ttest_ind

from abctl.analysis.judge_units import OfUnits, judge_units
from abctl.analysis.meaning import meaning
from abctl.core.assignment import by_salted_hash, point, variant_at
from abctl.core.ledger import Entry, Ledger
from abctl.core.split import Split
from abctl.forms.plan import locked_plan
from abctl.spec import parse
from abctl.tables.gather import gather

ALPHA, DAY, NAMES = 0.05, 86_400.0, ("control", "treatment")
START = datetime(2026, 10, 1, tzinfo=UTC).timestamp()
DAYS, SHORT_RUNS, LONG_RUNS = 14, 6, 100
FILE = """
apiVersion: abctl.dev/v1alpha1
kind: Experiment
metadata: {name: shop}
spec:
  platform: envoy
  assignment: {unit: user, key: x-user-id, salt: SALT}
  variants:
    - {name: control, split: 50%, model: {name: iris, version: v1}}
    - {name: treatment, split: 50%, model: {name: iris, version: v2}}
  metrics:
    - {name: spent, role: primary, of: purchase, window: 3d, direction: increase, METRIC}
  source:
    table:
      exposures: {from: exposures.parquet, unit: user_id, variant: variant, at: ts}
      events: {from: events.parquet, unit: user_id, at: ts, name: name, value: value}
      late: 12h
  design: {test: TEST, minDuration: 1d, maxDuration: 28d}
"""
PER_USER = "kind: mean, per: user, mde: 20%"


@dataclass(frozen=True)
class World:
    """Users, and what is asked of them.

    Attributes:
        tail: of the Pareto law of what users spend; the smaller, the heavier.
        effect: by how much more users of the treatment spend.
        looks: after how many days; rows come up to 12 hours late.
    """

    name: str
    metric: str = PER_USER
    test: str = "horizon"
    ramp: bool = True
    tail: float = 3.0
    effect: float = 0.0
    users: int = 1500
    looks: tuple[float, ...] = (20.0,)


WORLDS = (
    World("alike, half and half", ramp=False),
    World("alike, ramp"),
    World("alike, ramp, heavy tail", tail=2.1),
    World("alike, ramp, share of buyers", "kind: proportion, per: user, mde: 5pp"),
    World("alike, ramp, with the time before", f"{PER_USER}, before: 7d"),
    World("alike, ramp, per purchase", "kind: mean, per: outcome, mde: 20%"),
    World("alike, ramp, sequential", test="sequential"),
    World("alike, ramp, three looks, late rows", looks=(6.3, 11.7, 20.0)),
    World("better by 30%, ramp, with the time before", f"{PER_USER}, before: 7d", effect=0.3),
)
SHORT = (WORLDS[1], WORLDS[7], WORLDS[8])


def written(world, seed, folder):
    """The rows with when each came, and the split of each moment."""
    rng = np.random.default_rng(seed)
    salt = f"salt-{seed}"
    points = np.array([point(salt, f"u{i}") for i in range(world.users)])
    shifts = ((0.0, 10.0), (6.0, 50.0)) if world.ramp else ((0.0, 50.0),)
    splits = [Split(NAMES, (round(10_000 - 100 * p), round(100 * p))) for _, p in shifts]
    visits = rng.integers(1, 6, world.users)
    of = np.repeat(np.arange(world.users), visits)
    at = rng.random(of.size) * DAYS
    since = np.array([day for day, _ in shifts])
    held = np.searchsorted(since, at, side="right") - 1
    arms = np.array([[variant_at(s, p) == NAMES[1] for s in splits] for p in points])
    seen = arms[of, held]
    last = np.zeros(world.users, dtype=bool)
    order = np.argsort(at)
    last[of[order]] = seen[order]
    # Whoever comes often spends often: several variants are seen by the best users.
    bought = rng.poisson(visits * 1.2)
    who = np.repeat(np.arange(world.users), bought)
    when = rng.random(who.size) * (DAYS + 17) - 10
    weekly = 1.0 + 0.4 * (np.floor(when) % 7 >= 5)
    scale = 1.0 + world.effect * (last[who] & (when > 0))
    value = (rng.pareto(world.tail, who.size) + 1.0) * weekly * scale
    ledger, before = Ledger("{}"), None
    for (day, _), after in zip(shifts, splits, strict=True):
        entry = Entry(START + day * DAY, "ann", before, after, "next", "applied")
        ledger, before = ledger.with_entry(entry), after
    text = FILE.replace("SALT", salt).replace("METRIC", world.metric).replace("TEST", world.test)
    experiment = parse(text, "shop.yaml")
    ledger = replace(ledger, plan=locked_plan(experiment, meaning(experiment)))
    came = {"exposures": at + rng.random(at.size) / 2, "events": when + rng.random(who.size) / 2}
    rows = {
        "exposures": (of, at, {"variant": np.where(seen, *NAMES[::-1])}),
        "events": (who, when, {"name": np.full(who.size, "purchase"), "value": value}),
    }

    def there(day):
        """Writes what is there so many days after the start."""
        for name, (whose, moment, more) in rows.items():
            kept = (came[name] < day) & (moment < day)
            times = ((START + moment[kept] * DAY) * 1e6).astype("int64")
            columns = {
                "user_id": np.char.add("u", whose[kept].astype(str)),
                "ts": pa.array(times, pa.timestamp("us", tz="UTC")),
                **{key: each[kept] for key, each in more.items()},
            }
            parquet.write_table(pa.table(columns), folder / f"{name}.parquet")

    several = np.zeros(world.users, dtype=bool)
    some = np.bincount(of, seen, world.users)
    several[(some > 0) & (some < visits)] = True
    spent = np.bincount(who, value * (when > 0), world.users)
    naive = ttest_ind(spent[~several & last], spent[~several & ~last], equal_var=False).pvalue
    return experiment, ledger, there, naive < ALPHA


def verdicts(world, seed, folder):
    experiment, ledger, there, naive = written(world, seed, folder)
    found = []
    for day in world.looks:
        there(day)
        now = START + day * DAY
        evidence = gather(experiment, ledger, now, by_salted_hash, folder / f"kept-{seed}")
        found.append(judge_units(OfUnits(experiment, evidence, ledger), now).verdict.kind)
    return found, naive


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--long", action="store_true", help="every world, two seeds")
    parser.add_argument("--runs", type=int, help="of each world and seed")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**31, help="the first")
    given = parser.parse_args()
    worlds = WORLDS if given.long else SHORT
    runs = given.runs or (LONG_RUNS if given.long else SHORT_RUNS)
    cells = sum(2 for world in worlds if not world.effect)
    rows, failed = [], False
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        for world in worlds:
            said = {"ship": 0, "stop": 0, "invalid": 0}
            naive, n = 0, runs * (2 if given.long else 1)
            for i in range(n):
                found, dropped = verdicts(world, given.seed + 7919 * i, Path(name))
                naive += dropped
                for kind in said:
                    said[kind] += kind in found
            verdict = ""
            if not world.effect:
                p = min(binom.sf(said[kind] - 1, n, ALPHA) for kind in ("ship", "stop"))
                wrong = p < 0.01 / cells or said["invalid"] > 0.1 * n + 2
                verdict, failed = ("FAILED", True) if wrong else ("holds", failed)
            shares = (f"{said[kind] / n:.3f}" for kind in said)
            rows.append((world.name, str(n), *shares, f"{naive / n:.3f}", verdict))
    print(f"{machine()}; seed {given.seed}\n")
    head = ("world", "runs", "ship", "stop", "invalid", "dropping who saw several rejects", "")
    print(markdown(head, rows))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
