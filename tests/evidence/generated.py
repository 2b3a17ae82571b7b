"""Histories of counters: processes that restart, die, are replaced, and scrapes that fail."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from evaluator import Stored

from abctl.core.polls import Window

START = 1_700_000_000_000  # milliseconds, as all times of the server
INTERVAL = 15_000
SELECTORS = ('n_total{variant="a"}', 'hits_total{variant="a"}', 'n_total{variant="b"}')


@dataclass
class Target:
    """One address: processes that follow each other, scraped more or less every 15 seconds.

    `tells` is what there is besides counters: `start` of the process, `up`, or nothing.
    """

    variant: str
    instance: str
    rng: np.random.Generator
    scrapes: int
    tells: str
    lazy: bool
    trouble: float
    skips: float
    round_times: bool
    started: float | None = None
    counts: dict[tuple[str, str], float] = field(default_factory=dict)
    samples: dict[tuple[str, str], list[tuple[int, float]]] = field(default_factory=dict)

    def live(self) -> list[Stored]:
        begin, end = sorted(self.rng.choice(self.scrapes, 2, replace=False).tolist())
        if self.rng.random() < 0.5:
            begin, end = 0, self.scrapes
        offset = 0 if self.round_times else int(self.rng.integers(0, INTERVAL))
        for i in range(begin, end):
            late = int(self.rng.integers(0, 4000)) if self.rng.random() < 0.05 else 0
            at = START - 20 * INTERVAL + i * INTERVAL + offset + late
            self._happen(at)
            outage = self.trouble > 0.04 and (i // 37) % 9 == 8
            self._scrape(at, missed=outage or self.rng.random() < self.trouble)
        return self.stored()

    def stored(self) -> list[Stored]:
        here = {"instance": self.instance, "job": "models"}
        return [
            (
                {
                    "__name__": name,
                    **({"variant": self.variant, "bucket": bucket} if bucket else {}),
                }
                | here,
                *np.array(samples).T,
            )
            for (name, bucket), samples in self.samples.items()
        ]

    def _happen(self, at: int) -> None:
        """Restarts, workers that die, and events."""
        if self.started is None or self.rng.random() < self.trouble / 4:
            self.started, self.counts = at / 1000 - self.rng.integers(1, 14), {}
            if self.rng.random() < 0.3:  # overtakes what there was before
                self.counts = {("n_total", "0"): 5000.0, ("hits_total", "0"): 1.0}
        elif self.rng.random() < self.trouble / 6:
            self.counts = {key: np.floor(value * 0.5) for key, value in self.counts.items()}
        for bucket in ("0", "1"):
            more = self.rng.poisson(3 if self.rng.random() < 0.9 else 0)
            hits = self.rng.binomial(more, 0.05)
            for key, amount in ((("n_total", bucket), more), (("hits_total", bucket), hits)):
                if not self.lazy or amount or key in self.counts:
                    self.counts[key] = self.counts.get(key, 0.0) + amount * 1.1

    def _scrape(self, at: int, *, missed: bool) -> None:
        if self.tells == "up":
            self._store(("up", ""), at, float(not missed))
        if missed:
            return
        for key, value in self.counts.items():
            if self.rng.random() >= self.skips:
                self._store(key, at, value)
        if self.tells == "start":
            self._store(("process_start_time_seconds", ""), at, float(self.started or 0))

    def _store(self, key: tuple[str, str], at: int, value: float) -> None:
        self.samples.setdefault(key, []).append((at, value))


def history(seed: int) -> tuple[list[Stored], int]:
    rng = np.random.default_rng(seed)
    scrapes = int(rng.integers(60, 700))
    stored: list[Stored] = []
    for variant in "ab":
        for pod in range(int(rng.integers(1, 4))):
            stored += Target(
                variant,
                f"{variant}{pod}:80",
                rng,
                scrapes,
                tells=str(rng.choice(["start", "start", "up", ""])),
                lazy=bool(rng.random() < 0.4),
                trouble=float(rng.choice([0.0, 0.005, 0.05])),
                skips=float(rng.choice([0.0, 0.002, 0.03])),
                round_times=bool(rng.random() < 0.3),
            ).live()
    return [each for each in stored if len(each[1])], scrapes


def windows_of(seed: int, now: float) -> list[Window]:
    rng = np.random.default_rng([seed, 1])
    first = START / 1000
    cuts = np.sort(rng.choice(max(5, int(now - first)), 4, replace=False)) + first
    if seed % 4 == 0:
        return [Window(0, first, now)]
    if seed % 4 == 1:  # they touch, and at the time of a scrape
        cuts = first + 15 * ((cuts - first) // 15)
        if len(set(cuts.tolist())) == 4:
            return [Window(0, first, cuts[1]), Window(1, cuts[1], cuts[2]), Window(2, cuts[2], now)]
    return [Window(0, first, cuts[1]), Window(2, cuts[2] + 0.5, cuts[3] + 0.75)]


def calm(scrapes: int, *, offset: int = 0, instance: str = "a0:80") -> list[Stored]:
    rng = np.random.default_rng(5)
    given: dict[str, Any] = {"rng": rng, "scrapes": scrapes, "tells": "start", "lazy": False}
    given |= {"trouble": 0.0, "skips": 0.0, "round_times": True, "started": START / 1000 - 999}
    target = Target("a", instance, **given)
    for i in range(scrapes):
        target._happen(at := START - 20 * INTERVAL + i * INTERVAL + offset)
        target._scrape(at, missed=False)
    return target.stored()
