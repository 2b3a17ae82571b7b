"""Worlds of predictions whose labels come late, twice, forged, or not at all, as counters."""

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np

from ab_runtime.collector.outcome import Item, Outcome
from ab_runtime.collector.store import Store
from ab_runtime.token import Answer, Keys, TokenError
from abctl.core.selector import Selector
from abctl.sources import Series
from abctl.sources.series import outline_of

START = 1_700_000_000.0
STEP_SECONDS = 60.0
BUCKETS = 16
NAMES = ("control", "treatment")
RAMP = {0.0: 0.05, 3600.0: 0.2, 7200.0: 0.5}
# Looks, after the first prediction is mature.
LOOKS_SECONDS = (1200.0, 4200.0, 7200.0, 10_800.0)
NEVER = np.inf
HALF_HOUR = 1800.0


@dataclass(frozen=True)
class World:
    """What is true, and what becomes of labels.

    Attributes:
        truth: the rate of successes, by variant.
        delays: seconds until a success and a failure are known, by variant.
        reported: which share of successes and of failures is reported at all, by variant.
        per: what the metric is divided by.
        tail: activity of users is Pareto distributed with this shape.
        collector: whether a label counts when its prediction is mature, or when it comes.
        compared: whether reports of both variants are compared, as an earlier abctl did not.
        repeated: how often a report is sent once more.
        forged: invented failures of the treatment, by invented users.
    """

    name: str
    truth: tuple[float, float] = (0.9, 0.9)
    delays: tuple[tuple[float, float], ...] = ((10.0, 10.0),) * 2
    reported: tuple[tuple[float, float], ...] = ((1.0, 1.0),) * 2
    per: str = "outcome"
    tail: float = 3.0
    collector: bool = True
    compared: bool = True
    maturity_seconds: float = HALF_HOUR
    repeated: float = 0.0
    forged: int = 0
    users: int = 4000
    rate: float = 6.0

    @property
    def looks_seconds(self) -> tuple[float, ...]:
        """When somebody looks."""
        return tuple(self.maturity_seconds + each for each in LOOKS_SECONDS)

    def before(self) -> "World":
        """The same as it was once: no collector, and nobody compares reports."""
        return replace(self, name=f"before: {self.name}", collector=False, compared=False)


def late(seconds: float) -> tuple[tuple[float, float], ...]:
    """Failures are known so late."""
    return ((10.0, seconds),) * 2


@dataclass(frozen=True)
class Predictions:
    """One array for each: when, whose, in which bucket, variant, and what came of it."""

    at: np.ndarray
    who: np.ndarray
    bucket: np.ndarray
    side: np.ndarray
    good: np.ndarray
    comes: np.ndarray  # when its report comes; never, where there is none

    @classmethod
    def of(cls, world: World, rng: np.random.Generator, seconds: float) -> "Predictions":
        n = rng.poisson(world.rate * seconds)
        at = np.sort(rng.uniform(0.0, seconds, n))
        activity = rng.pareto(world.tail, world.users) + 0.1
        who = np.searchsorted(np.cumsum(activity / activity.sum()), rng.random(n))
        who = np.minimum(who, world.users - 1)
        bucket = rng.integers(BUCKETS, size=world.users)[who]
        share = np.array(list(RAMP.values()))[np.searchsorted(list(RAMP), at, side="right") - 1]
        side = (rng.random(world.users)[who] < share).astype(int)
        # A user is right more often than another one.
        spread = np.clip(rng.normal(0.0, 0.03, world.users), -0.08, 0.08)[who]
        good = rng.random(n) < np.array(world.truth)[side] + spread
        miss = 1 - good.astype(int)
        told = rng.random(n) < np.array(world.reported)[side, miss]
        comes = np.where(told, at + np.array(world.delays)[side, miss], NEVER)
        return cls(at, who, bucket, side, good, comes)


class Counted:
    """A source that holds the counters of one draw of a world."""

    place = "a world"

    def __init__(self, world: World, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.world, self.seconds = world, world.looks_seconds[-1]
        self.times = np.arange(-60.0, self.seconds + 1.0, STEP_SECONDS)
        self.all: list[Series] = []
        drawn = Predictions.of(world, self.rng, self.seconds)
        self._servers(drawn)
        if world.collector and (world.repeated or world.forged):
            self._by_a_real_store(drawn)
        elif world.per == "user":
            self._users(drawn)
        else:
            self._reports(drawn)

    def now(self) -> float:
        return START + self.seconds

    def retention_seconds(self) -> None:
        return None

    def until(self, seconds: float) -> "Counted":
        """The same as somebody sees it who looks earlier."""
        other = object.__new__(Counted)
        other.__dict__ = {**self.__dict__, "seconds": seconds}
        return other

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        wanted, last = Selector.parse(selector), min(end, self.now())
        return [
            Series(s.labels, s.times[inside], s.values[inside])
            for s in self.all
            if wanted.matches(s.labels) and (inside := (s.times > start) & (s.times <= last)).any()
        ]

    def outline(self, selector: str, edges, since: float):
        return outline_of(self, selector, edges, since)

    def _servers(self, drawn: Predictions) -> None:
        for v, name in enumerate(NAMES):
            for b in range(BUCKETS):
                here = (drawn.side == v) & (drawn.bucket == b)
                where = {"instance": f"{name}:8082", "variant": name, "bucket": str(b)}
                self._add("ab_requests_total", drawn.at[here], **where, code="2xx")
        for instance in ("collector:80", *(f"{name}:8082" for name in NAMES)):
            started = np.full(self.times.size, START - 900.0)
            head = {"__name__": "process_start_time_seconds", "instance": instance, "job": "a"}
            self.all.append(Series(head, START + self.times, started))

    def _reports(self, drawn: Predictions) -> None:
        """Each report once when its prediction is mature; or as it comes, however often."""
        world, rng = self.world, self.rng
        mature = drawn.at + world.maturity_seconds
        if world.collector:
            counts = np.where(drawn.comes <= mature, mature, NEVER)
            self._outcomes(drawn.side, drawn.bucket, drawn.good, counts)
            self._ages(drawn, counts)
            return
        again = rng.random(drawn.at.size) < world.repeated
        forged = rng.uniform(0.0, self.seconds, world.forged)
        self._outcomes(
            np.concatenate([drawn.side, drawn.side[again], np.ones(world.forged, int)]),
            np.concatenate(
                [drawn.bucket, drawn.bucket[again], rng.integers(BUCKETS, size=world.forged)]
            ),
            np.concatenate([drawn.good, drawn.good[again], np.zeros(world.forged, bool)]),
            np.concatenate([drawn.comes, drawn.comes[again], forged]),
        )

    def _outcomes(self, side, bucket, good, counts, family: str = "ab_outcome") -> None:
        for v, name in enumerate(NAMES):
            where = "collector:80" if self.world.collector else f"{name}:8082"
            for b in range(BUCKETS):
                here = (side == v) & (bucket == b)
                labels = {"instance": where, "variant": name, "bucket": str(b), "outcome": "good"}
                hits = np.sort(counts[here & good])
                self._add(f"{family}_count_total", np.sort(counts[here]), **labels)
                self._add(f"{family}_hits_total", hits, **labels)
                self._add(f"{family}_sum_total", hits, **labels, sign="positive")
                self._add(f"{family}_sum_total", hits[:0], **labels, sign="negative")
                self._add(f"{family}_sumsq_total", hits, **labels)

    def _ages(self, drawn: Predictions, counts) -> None:
        """How old predictions were at their reports."""
        age = drawn.comes - drawn.at
        maturity = self.world.maturity_seconds
        for edge, le in (*((maturity * part, "") for part in (1 / 16, 1 / 2)), (NEVER, "+Inf")):
            for v, name in enumerate(NAMES):
                for group in range(16):
                    for hit, said in ((True, "yes"), (False, "no")):
                        here = (drawn.side == v) & (drawn.bucket % 16 == group) & (age <= edge)
                        self._add(
                            "ab_outcome_age_seconds_bucket",
                            np.sort(counts[here & (drawn.good == hit)]),
                            instance="collector:80",
                            variant=name,
                            outcome="good",
                            group=str(group),
                            hit=said,
                            le=le or f"{edge:g}",
                        )

    def _users(self, drawn: Predictions) -> None:
        """Each user once, in the variant of the first answer, with what came in time."""
        first = np.full(self.world.users, -1)
        users, at = np.unique(drawn.who, return_index=True)  # predictions are in order
        first[users] = at
        begin = drawn.at[first[drawn.who]]
        due = begin + self.world.maturity_seconds
        counts = drawn.good & (drawn.at < due) & (drawn.comes <= due)
        any_of = np.bincount(drawn.who[counts], minlength=self.world.users)[users] > 0
        matures = drawn.at[at] + self.world.maturity_seconds
        self._outcomes(drawn.side[at], drawn.bucket[at], any_of, matures, "ab_user_outcome")

    def _by_a_real_store(self, drawn: Predictions) -> None:
        """What the collector's own memory counts of reports with tokens, repeated and forged."""
        world, rng = self.world, self.rng
        keys, other = (Keys(b"u" * 32, {"a": key * 32}, "a") for key in (b"s", b"x"))
        outcome = Outcome("good", "binary", "once", *[round(world.maturity_seconds * 1000)] * 2)
        store = Store(":memory:", {"good": outcome}, round((START - 900) * 1000))
        sent = [(comes, i, keys) for i, comes in enumerate(drawn.comes) if comes < NEVER]
        twice = [each for each in sent if rng.random() < world.repeated]
        sent += [(comes + rng.exponential(60.0), i, keys) for comes, i, _ in twice]
        forgers = rng.integers(drawn.at.size, size=world.forged)
        sent += [(float(drawn.at[i]) + 1.0, int(i), other) for i in forgers]
        sent.sort(key=lambda each: each[0])
        tokens: dict[tuple[int, bool], str] = {}
        values: dict[tuple[str, ...], list[float]] = defaultdict(list)
        position = 0
        for moment in self.times:
            items = []
            while position < len(sent) and sent[position][0] <= moment:
                _, i, signed = sent[position]
                position += 1
                key = (i, signed is keys)
                if key not in tokens:
                    tokens[key] = signed.token(self._answer(drawn, i, forged=signed is other))
                try:
                    token = keys.read(tokens[key])
                except TokenError:
                    continue
                items.append(Item(token, outcome, float(drawn.good[i]), "", token.at_ms))
            store.take(items, round((START + moment) * 1000))
            store.release(round((START + moment) * 1000))
            found = {(c.variant, c.bucket): c for c in store.counts() if c.per == "outcome"}
            for name in NAMES:
                for b in map(str, range(BUCKETS)):
                    count = found.get((name, b))
                    told = (count.n, count.positive) if count else (0, 0.0)
                    values["count_total", name, b, ""].append(told[0])
                    for part, sign in (("sum_total", "positive"), ("sumsq_total", "")):
                        values[part, name, b, sign].append(told[1])
                    values["sum_total", name, b, "negative"].append(0.0)
        for (part, name, b, sign), each in values.items():
            labels = {"variant": name, "bucket": b, "outcome": "good", "instance": "collector:80"}
            head = {"__name__": f"ab_outcome_{part}", "job": "a", **labels}
            head |= {"sign": sign} if sign else {}
            self.all.append(Series(head, START + self.times, np.array(each, dtype=float)))

    @staticmethod
    def _answer(drawn: Predictions, i: int, *, forged: bool) -> Answer:
        at_ms = round((START + drawn.at[i]) * 1000)
        name = "treatment" if forged else NAMES[drawn.side[i]]
        return Answer(name, str(drawn.bucket[i]), at_ms, f"u{drawn.who[i]}")

    def _add(self, metric: str, moments, **labels: str) -> None:
        values = np.searchsorted(moments, self.times, side="right").astype(float)
        head = {"__name__": metric, "job": "a", **labels}
        self.all.append(Series(head, START + self.times, values))
