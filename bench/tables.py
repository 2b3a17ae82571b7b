"""An experiment by tables beside pandas and tea-tasting: seconds of CPU, and memory, in one run.

python bench/tables.py [--events 2e6]

Both read the same Parquet files of exposures and events: the first exposure of each user, what it
bought and did in the week after it and in the two before, and three metrics, one with CUPED. Then
abctl alone, with a ledger: a look at everything, and one a day later, when other days are kept.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
from _table import machine, markdown, target

DAYS, PER_USER = 21, 25
FILE = """
apiVersion: abctl.dev/v1alpha1
kind: Experiment
metadata: {name: shop}
spec:
  platform: envoy
  assignment: {unit: user, key: x-user-id, salt: shop-1}
  variants:
    - {name: control, split: 50%, model: {name: iris, version: v1}}
    - {name: treatment, split: 50%, model: {name: iris, version: v2}}
  metrics:
    - {name: revenue, role: primary, kind: mean, of: purchase, per: user, window: 7d, before: 14d, direction: increase, mde: 1%}
    - {name: buyers, role: secondary, kind: proportion, of: purchase, per: user, window: 7d, direction: increase}
    - {name: order, role: secondary, kind: mean, of: purchase, per: outcome, window: 7d, direction: increase}
  source:
    table:
      exposures: {from: exposures.parquet, unit: user_id, variant: variant, at: ts}
      events: {from: events.parquet, unit: user_id, at: ts, name: name, value: value}
  design: {test: fixed}
"""  # noqa: E501
PANDAS = """
import pandas as pd, tea_tasting as tt
exposures, events = pd.read_parquet("exposures.parquet"), pd.read_parquet("events.parquet")
first = exposures.sort_values("ts").groupby("user_id", as_index=False).first()
bought = events[events.name == "purchase"].merge(first, on="user_id", suffixes=("", "_first"))
age = bought.ts - bought.ts_first
during = bought[(age >= pd.Timedelta(0)) & (age < pd.Timedelta("7D"))].groupby("user_id").value
before = bought[(age < pd.Timedelta(0)) & (age >= -pd.Timedelta("14D"))].groupby("user_id").value
users = first.set_index("user_id")
users["spent"], users["orders"], users["before"] = during.sum(), during.count(), before.sum()
users = users.fillna({"spent": 0.0, "orders": 0, "before": 0.0}).reset_index()
users["any"] = (users.orders > 0).astype(float)
found = tt.Experiment(
    revenue=tt.Mean("spent", "before"),
    buyers=tt.Mean("any"),
    order=tt.RatioOfMeans("spent", "orders"),
).analyze(users[["variant", "spent", "before", "any", "orders"]])
effects = {name: found[name].effect_size for name in ("revenue", "buyers", "order")}
"""
ABCTL = """
import io, json
from contextlib import redirect_stdout
from abctl.cli.main import run
out = io.StringIO()
with redirect_stdout(out):
    assert run(["analyze", "shop.yaml", "-o", "json"]) == 0
metrics = json.loads(out.getvalue())["metrics"]
effects = {m["name"]: m["comparisons"][0]["effect"]["effect"] for m in metrics}
"""
AGAIN = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from abctl.analysis.judge_units import OfUnits, judge_units
from abctl.core.assignment import by_salted_hash
from abctl.core.ledger import Entry, Ledger
from abctl.core.split import Split
from abctl.spec import parse
from abctl.tables.gather import gather
began = datetime(2026, 10, 1, tzinfo=UTC).timestamp()
split = Split(("control", "treatment"), (5000, 5000))
ledger = Ledger("{}").with_entry(Entry(began, "ann", None, split, "", "applied"))
experiment = parse(Path("shop.yaml").read_text().replace("fixed", "horizon"), "shop.yaml")
effects = {}
def look(what, day, keep):
    start, now = time.process_time(), began + day * 86400
    evidence = gather(experiment, ledger, now, by_salted_hash, Path(keep))
    judge_units(OfUnits(experiment, evidence, ledger), now)
    effects[what] = time.process_time() - start
look("first", 19.5, "kept")
look("next", 20.5, "kept")
look("whole", 20.5, "other")
"""
TOLD = """
import json, resource
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"cpu": used.ru_utime + used.ru_stime, "mb": used.ru_maxrss / 1024, **effects}))
"""


def write(folder, events):
    """Users whose id decides their variant, with the hash that abctl has."""
    users = max(1000, int(events / PER_USER))
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute("SELECT setseed(0.5)")
        connection.execute(
            f"""COPY (SELECT 'u' || (random() * {users})::BIGINT AS user_id,
            TIMESTAMPTZ '2026-10-01 00:00:00+00' + INTERVAL (random() * {14 * 86400}) SECOND AS ts
            FROM range({int(1.4 * users)})) TO '{folder}/seen.parquet'"""
        )
        connection.execute(
            f"""COPY (SELECT user_id, ts, CASE WHEN hash(user_id) % 2 = 0 THEN 'control'
            ELSE 'treatment' END AS variant FROM '{folder}/seen.parquet')
            TO '{folder}/exposures.parquet'"""
        )
        connection.execute(
            f"""COPY (SELECT 'u' || (random() * {users})::BIGINT AS user_id,
            TIMESTAMPTZ '2026-09-10 00:00:00+00' + INTERVAL (random() * {42 * 86400}) SECOND AS ts,
            CASE WHEN random() < 0.2 THEN 'purchase' ELSE 'view' END AS name,
            round(exp(2 + random()), 2) AS value FROM range({int(events)}) ORDER BY ts)
            TO '{folder}/events.parquet'"""
        )
    Path(folder, "shop.yaml").write_text(FILE, encoding="utf-8")


def measured(program, folder):
    environment = {**os.environ, "KUBECONFIG": f"{folder}/none"}
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program + TOLD],
        cwd=folder, env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return json.loads(told.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=float, default=2e6)
    parser.add_argument("--alone", action="store_true", help="without pandas, which takes it all")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write(folder, given.events)
        own = measured(ABCTL, folder)
        rows = [("abctl", f"{own['cpu']:.1f} s", f"{own['mb']:,.0f} MB", "", "")]
        failed = False
        if not given.alone:
            other = measured(PANDAS, folder)
            for name in ("revenue", "buyers", "order"):
                assert abs(own[name] - other[name]) <= 0.01 * abs(other[name]) + 1e-3, name
            cpu, memory = own["cpu"] / other["cpu"], own["mb"] / other["mb"]
            theirs = (f"{other['cpu']:.1f} s", f"{other['mb']:,.0f} MB")
            rows.append(("pandas, tea-tasting", *theirs, "", ""))
            worst = target(max(cpu, memory), 1.0, "", at_least=False)
            rows.append(("abctl over them", f"{cpu:.2f}", f"{memory:.2f}", *worst[1:]))
            failed = worst[2] != "met"
        again = measured(AGAIN, folder)
        share = again["next"] / again["whole"]
        wanted = target(share, 1 / 3, "", at_least=False)
        rows.append(("abctl, all days", f"{again['whole']:.1f} s", "", "", ""))
        rows.append(("abctl, the next day", f"{again['next']:.1f} s", "", "", ""))
        rows.append(("the next day over all", f"{share:.2f}", "", *wanted[1:]))
        failed = failed or wanted[2] != "met"
    print(f"{machine()}; {given.events:g} events\n")
    print(markdown(("", "CPU", "most memory", "wanted", ""), rows))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
