"""Tables of exposures and events for tests, and what they hold by plain Python: an oracle."""

import csv
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from abctl.core.assignment import point, variant_at
from abctl.core.ledger import Entry, Ledger
from abctl.core.split import Split

DAY = 86_400.0
START = datetime(2026, 10, 1, tzinfo=UTC).timestamp()
NAMES = ("control", "treatment")
FILE = """
apiVersion: abctl.dev/v1alpha1
kind: Experiment
metadata: {{name: shop}}
spec:
  platform: envoy
  assignment: {{unit: user, key: x-user-id, salt: shop-1}}
  variants:
    - {{name: control, split: {control}%, model: {{name: iris, version: v1}}}}
    - {{name: treatment, split: {treatment}%, model: {{name: iris, version: v2}}}}
  metrics:
{metrics}
  source:
    table:
      exposures: {{from: exposures.csv, unit: user_id, variant: variant, at: ts}}
      events: {{from: events.csv, unit: user_id, at: ts, name: name, value: value}}
{more}
  design: {{test: {test}, minDuration: 1d, maxDuration: 28d}}
"""
REVENUE = (
    "{name: revenue, role: primary, kind: mean, of: purchase, per: user, direction: increase, "
    "mde: 5%, window: 7d}"
)


def experiment_file(*metrics, test="horizon", treatment=50, more=""):
    listed = "\n".join(f"    - {each}" for each in metrics or (REVENUE,))
    given = {"control": 100 - treatment, "treatment": treatment, "test": test}
    return FILE.format(metrics=listed, more=more, **given)


def split(treatment):
    return Split(NAMES, (10_000 - treatment * 100, treatment * 100))


def ledger(*shifts, plan="{}"):
    """The ledger of shifts: days since the start, and the treatment's percents from then on."""
    found, before = Ledger(plan), None
    for days, percent in shifts:
        after = split(percent)
        entry = Entry(START + days * DAY, "ann", before, after, "next", "applied")
        found, before = found.with_entry(entry), after
    return found


def moment(seconds):
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return at.replace(tzinfo=None).isoformat(" ", "microseconds")


@dataclass
class World:
    """Rows of (unit, variant, seconds), and of (unit, seconds, name, value).

    `countries` are of units; or of (unit, seconds), where exposures of a unit differ.
    """

    exposures: list = field(default_factory=list)
    events: list = field(default_factory=list)
    countries: dict = field(default_factory=dict)

    def country(self, unit, at):
        return self.countries.get((unit, at), self.countries.get(unit))

    def write(self, folder):
        for name, head, rows, at in (
            ("exposures", ("user_id", "variant", "ts", "country"), self.exposures, 2),
            ("events", ("user_id", "ts", "name", "value"), self.events, 1),
        ):
            with Path(folder, f"{name}.csv").open("w", newline="", encoding="utf-8") as target:
                writer = csv.writer(target)
                writer.writerow(head)
                for row in rows:
                    cells = list(row)
                    if name == "exposures":
                        cells.append(self.country(row[0], row[2]))
                    if isinstance(cells[at], float):
                        cells[at] = moment(cells[at])
                    writer.writerow(cells)

    def first(self, since=-np.inf):
        """When each unit was first exposed."""
        found = dict[str, float]()
        for unit, _, at in self.exposures:
            if at >= since:
                found[unit] = min(at, found.get(unit, np.inf))
        return found

    def per_unit(self, name, window, before=0.0, value=lambda each: each):
        """Of each unit: the sum and number within the window, and of the time before."""
        of = defaultdict(list)
        for unit, at, what, number in self.events:
            if what == name:
                of[unit].append((at, value(number)))
        found = {}
        for unit, first in self.first().items():
            during = [v for at, v in of[unit] if first <= at < first + window]
            earlier = [v for at, v in of[unit] if first - before <= at < first]
            found[unit] = sum(during), len(during), sum(earlier), len(earlier)
        return found


def shop(units=1500, shifts=((0, 50),), *, days=14, effect=0.0, seed=1, visits=3, drift=0.0):
    """Users who return, buy and click; what they do depends on who they are, and on the day."""
    rng, world = np.random.default_rng(seed), World()
    for i in range(units):
        unit, keen = f"u{i}", rng.gamma(2.0, 1.0)
        for at in np.sort(rng.random(rng.integers(1, visits + 1))) * days * DAY:
            percent = [p for since, p in shifts if since * DAY <= at][-1]
            arm = variant_at(split(percent), point("shop-1", unit))
            world.exposures.append((unit, arm, START + float(at)))
        treated = world.exposures[-1][1] == "treatment"
        for at in (rng.random(rng.poisson(keen * 2)) * (days + 35) - 21) * DAY:
            late = 1.0 + drift * max(0.0, at / DAY)
            spent = rng.lognormal(2.0, 1.0) * late * (1.0 + effect * (treated and at > 0))
            world.events.append((unit, START + float(at), "purchase", round(float(spent), 2)))
        for at in (rng.random(rng.poisson(keen * 6)) * (days + 35) - 21) * DAY:
            right = int(rng.random() < 0.3)
            world.events.append((unit, START + float(at), "click", right))
    return world
