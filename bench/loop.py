"""Whether a ramp that drives itself errs as seldom as it says, and what it costs.

    python bench/loop.py           a short form: 12 experiments where nothing differs, some others
    python bench/loop.py --long    2,000 where nothing differs, 200 in each of the other worlds

A cell fails where P(Binomial(runs, level) >= wrong) < 0.01 / number of cells, by two fresh seeds,
which are printed. A promotion is wrong where nothing is better, a rollback where nothing is worse.
"""

import argparse
import secrets
import sys
import time
from statistics import fmean, median

import numpy as np
from _loop_worlds import HARMFUL, HEALTHY, LOOKS, OTHERS, RULES
from _table import machine, markdown
from scipy.stats import binom

LEVEL = 0.05
# Promoted and rolled back of those in which nothing differs; the law, and promoted, of the harmful.
CELLS = 3 * len(HEALTHY) + 2 * len(HARMFUL) + len(OTHERS)


def fails(wrong, runs):
    return bool(binom.sf(wrong - 1, runs, LEVEL) < 0.01 / CELLS)


def runs_of(world, rule, seeds, runs):
    """Half of them by each seed."""
    for seed in seeds:
        rng = np.random.default_rng((seed, len(world.name)))
        for _ in range(runs // len(seeds)):
            yield RULES[rule](world, rng)


def row(world, rule, found):
    """What is told of a world and a rule, and whether abctl errs too often."""
    ends = [each.end for each in found]
    half = [each.half for each in found if each.half]
    promoted, back = (ends.count(end) for end in ("promote", "rollback"))
    broken = sum(each.broken for each in found)
    wrong = []
    if rule == "abctl":
        if not world.accuracy:
            wrong.append(promoted)
        if not world.harmful:
            wrong.append(back)
        wrong.append(broken)
    failed = any(fails(each, len(found)) for each in wrong)
    told = (
        world.name,
        rule,
        f"{len(found):,}",
        f"{promoted / len(found):.1%}",
        f"{back / len(found):.1%}",
        f"{median(half):g} ({len(half) / len(found):.0%})" if half else "never",
        f"{fmean(each.at for each in found):.1f}",
        f"{fmean(each.extra for each in found):,.0f}",
        f"{broken / len(found):.1%}" if rule == "abctl" else "",
        "FAILS" if failed else "",
    )
    return told, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="2,000 experiments, and 200")
    parser.add_argument("--experiments", type=int, help="in each world")
    options = parser.parse_args()
    seeds, start = [secrets.randbits(32) for _ in range(2)], time.perf_counter()
    rows, failed = [], False
    for world in (*HEALTHY, *OTHERS, *HARMFUL):
        alike = world in HEALTHY if options.long else world.drifts
        runs = options.experiments or ((2_000, 200) if options.long else (12, 2))[not alike]
        for rule in RULES:
            many = runs if rule == "abctl" else max(runs, 100)
            told, bad = row(world, rule, list(runs_of(world, rule, seeds, many)))
            rows.append(told)
            failed |= bad
        print(f"{world.name}: done", file=sys.stderr, flush=True)
    print(f"Experiments of {LOOKS} looks, alpha {LEVEL}, seeds {seeds[0]} and {seeds[1]}\n")
    header = (
        "world",
        "rule",
        "runs",
        "promoted",
        "rolled back",
        "half after (how often)",
        "ends after",
        "extra errors",
        "law broken",
        "",
    )
    print(markdown(header, rows))
    print(f"\n{time.perf_counter() - start:.0f} s on {machine()}")
    if failed:
        sys.exit("a rule of abctl errs more often than it says")


if __name__ == "__main__":
    main()
