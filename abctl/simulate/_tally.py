"""Counts what simulated traffic met, by variant."""

import json
import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from abctl.foreign import in_one_line, said
from abctl.simulate._traffic import Effect

UNKNOWN = "unknown"
_MOST_BYTES = 2**20


@dataclass(frozen=True)
class LatencyMs:
    """Quantiles and mean of the good answers, as the client saw them, in milliseconds.

    With a rate they count from the moment at which the request was due, so that a slow answer also
    counts for the requests that had to wait behind it; timers add up to 1 ms.
    """

    p50: float
    p95: float
    p99: float
    max: float
    mean: float


@dataclass(frozen=True)
class VariantSummary:
    """What the client saw of one variant; `unknown` is where no answer told the variant.

    `errors` are requests by what went wrong: the class of the status (4xx, 5xx), `timeout`,
    `connection`, `unreadable` (no V2 answer), or `unsent` (every connection was busy to the end).
    `said` has the first words of the server about each of them, in one line.
    `made_up` is how many feedback values a synthetic effect has touched.
    """

    variant: str
    requests: int
    errors: Mapping[str, int]
    latency_ms: LatencyMs | None
    users: int
    feedback_sent: int
    feedback_lost: int
    made_up: int
    said: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """What the traffic was and met; `seconds` are those until the last request was over.

    `moved_users` have seen more than one variant: none, while the split is constant and users are
    the unit. `moves` counts changes of variant between consecutive answers to one user.
    `effects` are the synthetic effects that were asked for: where there is one, outcomes are not
    the models' own. `synthetic_outcomes` never are. `interrupted` is whether it was stopped.
    """

    variants: tuple[VariantSummary, ...]
    seconds: float
    users: int
    moved_users: int
    moves: Mapping[tuple[str, str], int]
    effects: tuple[Effect, ...]
    synthetic_outcomes: tuple[str, ...]
    interrupted: bool

    @property
    def requests(self) -> int:
        """All requests."""
        return sum(each.requests for each in self.variants)

    @property
    def errors(self) -> int:
        """All requests without a good answer."""
        return sum(sum(each.errors.values()) for each in self.variants)

    @property
    def rate_per_second(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds if self.seconds else 0.0


@dataclass
class _Variant:
    latencies: "array[float]" = field(default_factory=lambda: array("d"))
    errors: Counter[str] = field(default_factory=Counter)
    said: dict[str, str] = field(default_factory=dict)
    users: set[str] = field(default_factory=set)
    feedback_due: int = 0
    feedback_sent: int = 0
    made_up: int = 0
    truths: int = 0
    rights: int = 0


class Tally:
    """The counts of one run, while it runs; it starts with the variants that are known."""

    def __init__(self, variants: tuple[str, ...]) -> None:
        self._variants: defaultdict[str, _Variant] = defaultdict(_Variant)
        for name in variants:
            self._variants[name] = _Variant()
        self._seen_by: dict[str, str] = {}
        self._moved: set[str] = set()
        self._moves: Counter[tuple[str, str]] = Counter()

    def answer(self, variant: str, user: str | None, latency_seconds: float) -> None:
        """A good answer."""
        found = self._variants[variant]
        found.latencies.append(latency_seconds)
        if user is None:
            return
        found.users.add(user)
        before = self._seen_by.get(user, variant)
        self._seen_by[user] = variant
        if before != variant:
            self._moved.add(user)
            self._moves[before, variant] += 1

    def error(self, variant: str, what: str, answer: bytes = b"") -> None:
        """A request without a good answer; `answer` is what the server said."""
        found = self._variants[variant]
        found.errors[what] += 1
        if answer and what not in found.said:
            found.said[what] = _words(answer)

    def truth(self, variant: str, right: bool, coin: float, effect: float) -> tuple[float, bool]:
        """The accuracy to report for one prediction, and whether an effect has changed it.

        To move the mean by `effect`, a share `effect / wrong ratio` of the wrong predictions is
        reported as right (the other way round for a negative one), with the ratio seen so far.
        """
        found = self._variants[variant]
        right_ratio = (found.rights + 1) / (found.truths + 2)
        found.truths += 1
        found.rights += right
        share = -effect / right_ratio if right else effect / (1 - right_ratio)
        changed = coin < share
        return float(right != changed), changed

    def feedback_due(self, variant: str, *, made_up: bool) -> None:
        """One feedback value that is to be sent."""
        self._variants[variant].feedback_due += 1
        self._variants[variant].made_up += made_up

    def feedback_sent(self, variant: str) -> None:
        """One feedback value that was taken."""
        self._variants[variant].feedback_sent += 1

    def summary(
        self,
        seconds: float,
        effects: tuple[Effect, ...],
        synthetic_outcomes: tuple[str, ...],
        interrupted: bool,
    ) -> Summary:
        """What was counted so far."""
        return Summary(
            variants=tuple(_summary(name, each) for name, each in self._variants.items()),
            seconds=seconds,
            users=len(self._seen_by),
            moved_users=len(self._moved),
            moves=dict(self._moves),
            effects=effects,
            synthetic_outcomes=synthetic_outcomes,
            interrupted=interrupted,
        )


def _summary(name: str, each: _Variant) -> VariantSummary:
    latencies = sorted(each.latencies)
    return VariantSummary(
        variant=name,
        requests=len(latencies) + each.errors.total(),
        errors=dict(sorted(each.errors.items())),
        latency_ms=_latency_ms(latencies) if latencies else None,
        users=len(each.users),
        feedback_sent=each.feedback_sent,
        feedback_lost=each.feedback_due - each.feedback_sent,
        made_up=each.made_up,
        said=dict(sorted(each.said.items())),
    )


def _words(answer: bytes) -> str:
    """What a server says of an error, bounded, and without what a terminal would obey."""
    text = answer[:_MOST_BYTES].decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = text
    if isinstance(found, dict):  # MLServer's word, and FastAPI's
        found = found.get("error", found.get("detail", text))
    return in_one_line(said(found if isinstance(found, str) else text))


def _latency_ms(ordered: list[float]) -> LatencyMs:
    def at(quantile: float) -> float:
        return 1000 * ordered[math.ceil(quantile * len(ordered)) - 1]

    mean = 1000 * math.fsum(ordered) / len(ordered)
    return LatencyMs(at(0.5), at(0.95), at(0.99), 1000 * ordered[-1], mean)
