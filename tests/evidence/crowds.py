"""Histories of addresses that are no single process, and of processes with more than one address.

All are on the grid of `generated`: a scrape every 15 seconds from before the start on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from evaluator import Stored
from generated import INTERVAL, START

BEFORE = 20
Rng = np.random.Generator
Samples = dict[tuple[tuple[str, str], ...], list[tuple[int, float]]]


@dataclass
class Process:
    """Counts by buckets from its start on (unix seconds)."""

    rng: Rng
    started: float
    rate: float = 6.0
    counts: np.ndarray[Any, Any] = field(default_factory=lambda: np.zeros((2, 2)))

    def go_on(self) -> None:
        more = self.rng.poisson(self.rate, 2)
        self.counts += np.array([more, self.rng.binomial(more, 0.1)])


@dataclass
class Page:
    """What was scraped of one address."""

    labels: dict[str, str]
    target: dict[str, str]
    samples: Samples = field(default_factory=dict)

    def scrape(self, at: int, process: Process, start: float | None = None) -> None:
        for name, row in zip(("n_total", "hits_total"), process.counts, strict=True):
            for bucket, value in enumerate(row.tolist()):
                own = {"__name__": name, "bucket": str(bucket)} | self.labels | self.target
                self._store(own, at, value)
        if (said := process.started if start is None else start) is not None:
            self._store({"__name__": "process_start_time_seconds"} | self.target, at, said)

    def tell_up(self, at: int, value: float) -> None:
        self._store({"__name__": "up"} | self.target, at, value)

    def _store(self, labels: dict[str, str], at: int, value: float) -> None:
        self.samples.setdefault(tuple(sorted(labels.items())), []).append((at, value))

    def stored(self) -> list[Stored]:
        return [(dict(labels), *np.array(found).T) for labels, found in self.samples.items()]


def page(variant: str, instance: str, target: Mapping[str, str] | None = None) -> Page:
    own = {"job": "models", "instance": instance} | dict(target or {})
    return Page({"variant": variant}, own)


def times(scrapes: int, offset: int = 0) -> Sequence[int]:
    return [START - BEFORE * INTERVAL + i * INTERVAL + offset for i in range(scrapes)]


def turns(rng: Rng, scrapes: int, workers: int, apart: float, *, order: str) -> list[Stored]:
    """Workers that answer behind one address: in turn, by chance, or with one replaced on the way.

    Some have the same pace, so that counters may never drop.
    """
    first = START / 1000 - 1000.0
    crew = [Process(rng, first + i * apart, float(rng.choice([3.0, 6.0]))) for i in range(workers)]
    for worker in crew:
        worker.counts += float(rng.integers(0, 50))
    found, replaced = page("a", "a0:80"), int(rng.integers(scrapes))
    for i, at in enumerate(times(scrapes)):
        if i == replaced and order == "replaced":
            crew[0] = Process(rng, at / 1000 - 3.0)
        for worker in crew:
            worker.go_on()
        which = i % workers if order != "chance" else int(rng.integers(workers))
        found.scrape(at, crew[which])
    return found.stored()


def stepped(rng: Rng, scrapes: int, steps: int) -> tuple[list[Stored], np.ndarray[Any, Any]]:
    """One process whose clock is set by some seconds now and then; and what it counted by then."""
    process = Process(rng, START / 1000 - 5000.0)
    moved = np.sort(rng.choice(np.arange(1, scrapes), steps, replace=False)).tolist()
    found, start, truth = page("a", "a0:80"), process.started, []
    for i, at in enumerate(times(scrapes)):
        process.go_on()
        if i in moved:
            start += float(rng.choice([-1, 1]) * rng.integers(3, 60))
        found.scrape(at, process, start)
        truth.append(float(process.counts[0].sum()))
    return found.stored(), np.array(truth)


def two_ports(rng: Rng, scrapes: int, second: Mapping[str, str]) -> list[Stored]:
    """One process with two addresses, or one that two servers scrape."""
    process = Process(rng, START / 1000 - float(rng.integers(-2000, 3000)) / 7)
    one, two = page("a", "10.0.0.7:80"), page("a", "10.0.0.7:80", second)
    offset = int(rng.integers(0, INTERVAL // 1000)) * 1000
    for at in times(scrapes):
        process.go_on()
        one.scrape(at, process)
        if offset:
            process.go_on()
        two.scrape(at + offset, process)
    return [*one.stored(), *two.stored()]


def replicas(rng: Rng, scrapes: int, same_host: bool) -> list[Stored]:
    """Two processes of one variant that were started together and get the same traffic."""
    start = START / 1000 - 400.0
    found = []
    for i in range(2):
        process = Process(rng, start + 0.11 * i)
        here = page("a", f"10.0.0.7:{80 + i}" if same_host else f"10.0.0.{i}:80")
        for at in times(scrapes, 7000 * i):
            process.go_on()
            here.scrape(at, process)
        found += here.stored()
    return found


@dataclass(frozen=True)
class Nights:
    """When a variant has nothing to do, and what becomes of its pod (scrapes, by number).

    `gone`: no target at all, and a new pod later. `down`: still a target that does not answer.
    `lost`: no longer a target, but its process goes on. `stuck`: a new pod that never answers.
    """

    nights: Sequence[tuple[int, int]]
    fate: str
    same_address: bool = False
    others: bool = True


def scaled_to_zero(rng: Rng, scrapes: int, plan: Nights) -> list[Stored]:
    """A variant with nights, and another one without; both tell `up`."""
    here, pod, found = START / 1000 - 1000.0, 0, []
    where = {"namespace": "models", "service": "a"}
    process, mine = Process(rng, here), page("a", "10.0.0.1:80", where)
    day = page("b", "10.0.1.1:80", where | {"service": "b"})
    other = Process(rng, here - 7)
    for i, at in enumerate(times(scrapes)):
        night = next((n for n in plan.nights if n[0] <= i < n[1]), None)
        other.go_on()
        if plan.others or night is None:
            day.scrape(at, other)
            day.tell_up(at, 1.0)
        elif night and not plan.others:
            found_witness = page("c", "10.0.2.1:80", {"job": "prometheus"})
            found_witness.tell_up(at, 1.0)
            found += [s for s in found_witness.stored() if s[0]["__name__"] == "up"]
        if night is None:
            process.go_on()
            mine.scrape(at, process)
            mine.tell_up(at, 1.0)
            continue
        if plan.fate == "down":
            mine.tell_up(at, 0.0)
        if plan.fate == "stuck":
            stuck = page("a", f"10.0.3.{pod}:80", where)
            stuck.tell_up(at, 0.0)
            found += stuck.stored()
        if plan.fate in ("gone", "stuck", "down") and i == night[1] - 1:
            pod += 1
            process = Process(rng, at / 1000 + 3.0)
            if not plan.same_address and plan.fate != "down":
                found += mine.stored()
                mine = page("a", f"10.0.0.{1 + pod}:80", where)
    return _merged([*found, *mine.stored(), *day.stored()])


def _merged(found: Sequence[Stored]) -> list[Stored]:
    """Pieces of one series as one."""
    pieces: dict[tuple[tuple[str, str], ...], list[Stored]] = {}
    for each in found:
        pieces.setdefault(tuple(sorted(each[0].items())), []).append(each)
    return [
        (dict(labels), *(np.concatenate([p[i] for p in mine]) for i in (1, 2)))
        for labels, mine in pieces.items()
    ]


def relabelled(
    rng: Rng, scrapes: int, at: int, before: Mapping[str, str], after: Mapping[str, str]
) -> tuple[list[Stored], np.ndarray[Any, Any]]:
    """A process whose labels of scraping change; and what it had counted by each scrape."""
    process, truth = Process(rng, START / 1000 + float(rng.integers(-500, 100))), []
    pages = [Page({"variant": "a"}, {"job": "models"} | dict(own)) for own in (before, after)]
    for i, time in enumerate(times(scrapes)):
        if time / 1000 > process.started:
            process.go_on()
            pages[i >= at].scrape(time, process)
        truth.append(float(process.counts[0].sum()))
    return [each for one in pages for each in one.stored()], np.array(truth)
