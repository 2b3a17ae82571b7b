"""Reports that a collector keeps in a second: those that wait in one transaction, or one by one.

As many applications as said report at the same time, each its next one when it is answered. Every
answer waits for the disk. Rounds of both ways alternate; only ratios of one round are compared.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from _table import machine, markdown, target

from ab_runtime.collector.outcome import Item, Outcome
from ab_runtime.collector.store import Store
from ab_runtime.collector.turns import MOST, Turns
from ab_runtime.token import Token

CLICK = Outcome("click", "binary", "once", maturity_ms=3_600_000, window_ms=3_600_000)
WAYS = {"one by one": 1, "those that wait in one": MOST}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def items() -> Iterator[Item]:
    """Reports on predictions of now, each of another user."""
    for i in count():
        token = Token("control", str(i % 64), now_ms(), f"{i:016x}", f"{i:016x}")
        yield Item(token, CLICK, 1.0, "", token.at_ms)


async def per_second(turns: Turns, store: Store, reports: Iterator[Item], wanted: "Load") -> float:
    """How many reports are answered in a second."""
    left = iter(range(wanted.reports))

    async def application() -> None:
        for _ in left:
            item = next(reports)
            assert await turns.do(lambda at, item=item: store.take([item], at)) == ["counted"]

    began = time.perf_counter()
    await asyncio.gather(*(application() for _ in range(wanted.applications)))
    return wanted.reports / (time.perf_counter() - began)


class Load(argparse.Namespace):
    """What is asked on the command line."""

    rounds: int
    reports: int
    applications: int


async def measure(wanted: Load) -> dict[str, list[float]]:
    """Reports a second of every round, by way."""
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory(dir=".") as folder:
        stores = {
            name: Store(Path(folder) / f"{most}.db", {"click": CLICK}, 0)
            for name, most in WAYS.items()
        }
        reports = items()
        for _ in range(wanted.rounds):
            for name, most in WAYS.items():
                turns = Turns(stores[name], now_ms, most)
                found[name].append(await per_second(turns, stores[name], reports, wanted))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--reports", type=int, default=1000, help="of each round and way")
    parser.add_argument("--applications", type=int, default=32)
    wanted = parser.parse_args(namespace=Load())
    found = asyncio.run(measure(wanted))
    alone, together = found.values()
    ratio = statistics.median(b / a for a, b in zip(alone, together, strict=True))
    print(f"{wanted.rounds} rounds, {wanted.applications} applications; {machine()}\n")
    rows = [(name, f"{statistics.median(each):.0f}") for name, each in found.items()]
    print(markdown(("transactions", "reports/s"), rows), end="\n\n")
    wants = target(ratio, 2, "x", at_least=True)
    print(markdown(("medians of the ratios", "measured", "wanted", ""), [("reports/s", *wants)]))


if __name__ == "__main__":
    main()
