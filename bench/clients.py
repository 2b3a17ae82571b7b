"""Verdicts in worlds where clients and servers do not see the same, through the whole pipeline.

    python bench/clients.py           20 experiments a world, each looked at 4 times
    python bench/clients.py --long    200 experiments
    python bench/clients.py --short   3 of the broken clients on every platform's counters, one look

Samples, evidence, judgement: nothing is skipped. What must never ship fails where
P(Binomial(n, level) >= seen) < 0.01 / cells; so does what stops though nothing differs. Power and
refusals stand beside.
"""

import argparse
import sys
import time

import numpy as np
from _client_worlds import WORLDS, looks
from _table import machine, markdown
from scipy.stats import binom

ALPHA = 0.05
LOOKS_SECONDS = (1900.0, 2700.0, 4500.0)
SHIPS = ("better, else alike", "better, else alike, by the access log")
SOUND = (*SHIPS, "alike in all", "pods that differ, else alike")
SHORT_EXPERIMENTS, LONG_EXPERIMENTS = 3, 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="200 experiments a world")
    parser.add_argument("--short", action="store_true", help="3 of the worlds that stopped most")
    parser.add_argument("--experiments", type=int, help="so many a world instead")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", default="", help="worlds whose name has this")
    arguments = parser.parse_args()
    worlds = [each for each in WORLDS if arguments.only in each.name]
    n, at_seconds = LONG_EXPERIMENTS if arguments.long else 20, LOOKS_SECONDS
    if arguments.short:
        worlds = [each for each in worlds if each.broken]
        n, at_seconds = SHORT_EXPERIMENTS, ()
    n = arguments.experiments or n
    rows, bad = [], []
    cells = sum(len(must_not(world)) for world in worlds)
    for index, world in enumerate(worlds):
        first = arguments.seed + 1000 * index
        found = [verdicts(world, first + i, at_seconds) for i in range(n)]
        shipped = sum("ship" in each for each in found)
        stopped = sum("stop" in each for each in found)
        invalid = sum("invalid" in each for each in found)
        verdict = "ok"
        for what in must_not(world):
            seen = {"ship": shipped, "stop": stopped}[what]
            if binom.sf(seen - 1, n, ALPHA) < 0.01 / cells:
                verdict = f"{what} too often"
                bad.append(world.name)
        rows.append((world.name, *(f"{x}/{n}" for x in (shipped, stopped, invalid)), verdict))
        print(f"{world.name}: done", file=sys.stderr, flush=True)
    head = ("world", "ship", "stop", "invalid", "")
    print(f"seed {arguments.seed}; {machine()}\n\n{markdown(head, rows)}")
    sys.exit(1 if bad else 0)


def must_not(world):
    """What is wrong in a world."""
    stops = ("stop",) if world.name in SOUND or world.broken else ()
    return stops if world.name in SHIPS else ("ship", *stops)


def verdicts(world, seed, at_seconds):
    """Every verdict that somebody saw; of what dies, since then: before it was sound."""
    since = world.dead_after_seconds if np.isfinite(world.dead_after_seconds) else 0.0
    seen = looks(world, seed, at_seconds)
    return {found.verdict.kind for found in seen if found.elapsed_seconds > since}


if __name__ == "__main__":
    main()
