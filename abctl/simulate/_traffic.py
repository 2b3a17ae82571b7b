"""The plan of simulated traffic: who asks what, and when; pure and repeatable from its seed."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from abctl.core.experiment import Experiment
from abctl.core.outcome import MEASURED
from abctl.core.time import LONGEST_SECONDS
from abctl.errors import SpecError, UsageError

ACCURACY = "accuracy"
RIGHT = frozenset({ACCURACY, "correct"})
DISTANCES = frozenset({"absolute_error", "squared_error"})
_BASE_SHARE = 0.1  # of requests that end in a click, a purchase, ...
_MEAN_SPEND = 20.0  # of a purchase
_SHARE_LIMIT = 1 - 1e-12
_CHUNK = 4096
# Beyond them no machine has the memory or the connections, or a number is none any more.
_SIZES = "--duration and --rate say how much traffic there is"
_FEATURES = "flowers are a few units long: 0.3 makes some hard to tell apart, 3 makes all so"
_BOUNDS: dict[str, tuple[float, int, str]] = {
    "requests": (1, 1_000_000_000, _SIZES),
    "duration_seconds": (0.001, int(LONGEST_SECONDS), "--duration 90s, 10m"),
    "users": (1, 10_000_000, "each takes memory: fewer users ask more often"),
    "concurrency": (1, 1_000, "each is a connection: --rate says how many requests a second"),
    "rate_per_second": (0.001, 1_000_000, "one machine sends some thousand a second"),
    "seed": (0, 2**63, "any whole number: the same one, the same traffic"),
    "noise": (0, 1_000, _FEATURES),
    "drift": (-1, 1_000, "0.5 is half as much noise again by the end"),
    "feedback_delay_seconds": (0, int(LONGEST_SECONDS), "--feedback-delay 30s"),
    "anonymous_ratio": (0, 1, "--anonymous 5%"),
}


@dataclass(frozen=True)
class Effect:
    """Add `size` (in the outcome's unit) to a variant's outcome: made up, and reported as such."""

    variant: str
    size: float
    outcome: str = ACCURACY


@dataclass(frozen=True)
class Traffic:
    """How much traffic, from whom; it ends after `requests` or `duration_seconds`, whichever first.

    `rate_per_second` None is a closed loop: each of `concurrency` connections sends as soon as its
    answer is there. With a rate, requests arrive as a Poisson process however slow the answers are,
    and latency counts from the moment at which a request was meant to be sent.

    Features get Gaussian noise of standard deviation `noise` (in their own unit) times the user's
    trait, and `drift` times more by the end than at the start (0.5: half as much again). Feedback
    follows an answer after 0 to 2 `feedback_delay_seconds`, uniformly. `anonymous_ratio` of the
    requests have no user.
    """

    requests: int = 10_000
    duration_seconds: float = 60.0
    users: int = 2_000
    concurrency: int = 8
    rate_per_second: float | None = None
    seed: int = 0
    noise: float = 0.3
    drift: float = 0.0
    feedback_delay_seconds: float = 0.0
    anonymous_ratio: float = 0.0
    effects: tuple[Effect, ...] = ()

    def __post_init__(self) -> None:
        for name, (low, high, hint) in _BOUNDS.items():
            value = getattr(self, name)
            # Neither is what is not a number.
            if value is not None and not low <= value <= high:
                option = re.sub("_(seconds|per_second|ratio)$", "", name).replace("_", "-")
                bounds = f"must be from {low:,g} to {high:,}"
                raise UsageError(f"--{option} {value}, {bounds}", hint)

    @property
    def planned(self) -> int:
        """How many requests can be sent at most; with a rate, about as many as fit the duration."""
        if self.rate_per_second is None:
            return self.requests
        return min(self.requests, math.ceil(self.rate_per_second * self.duration_seconds))


@dataclass(frozen=True)
class Rows:
    """Flowers, or what is like them: features (n, d) and labels (n,), which get noise."""

    features: NDArray[np.float64]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    @staticmethod
    def body(features: Sequence[float]) -> bytes:
        """The request of a row with its noise."""
        values = ",".join(map(str, features))
        return (
            '{"inputs":[{"name":"predict","datatype":"FP32",'
            f'"shape":[1,{len(features)}],"data":[{values}]}}]}}'
        ).encode()


class Recorded(Protocol):
    """Rows that are sent as they are; `labels` is None where nobody knows the truth."""

    @property
    def labels(self) -> Sequence[Any] | None:
        """The truth of each row."""

    def __len__(self) -> int: ...

    def body(self, row: int) -> bytes:
        """The request of a row."""


@dataclass(frozen=True, slots=True)
class Request:
    """One planned request; `user` None has no id, `coins` are uniform in [0, 1), one an outcome.

    `body` is what is sent; `features` are empty where the row is sent as it is. `label` is None
    where nobody knows the truth.
    """

    index: int
    user: str | None
    trait: float
    features: tuple[float, ...]
    label: Any
    due_seconds: float
    feedback_delay_seconds: float
    coins: tuple[float, ...]
    body: bytes


def plan(traffic: Traffic, rows: Rows | Recorded, outcomes: int) -> Iterator[Request]:
    """All requests in the order in which they are due, drawn chunk by chunk.

    Users return: their activity is log-normal with sigma 1 (the busiest of 2,000 asks about 30
    times as often as the median one). Each has a trait, uniform in [0.5, 1.5], that all their
    requests share, so that requests of one user are alike and requests are no independent sample.
    `due_seconds` counts from the start; it is 0 in a closed loop.
    """
    population = np.random.default_rng([traffic.seed, 0])
    activity = population.lognormal(size=traffic.users)
    traits = population.uniform(0.5, 1.5, traffic.users)
    cumulated = np.cumsum(activity / activity.sum())
    clock = 0.0
    for first in range(0, traffic.requests, _CHUNK):
        n = min(_CHUNK, traffic.requests - first)
        rng = np.random.default_rng([traffic.seed, 1, first])
        users = np.minimum(np.searchsorted(cumulated, rng.random(n)), traffic.users - 1)
        anonymous = rng.random(n) < traffic.anonymous_ratio
        trait = np.where(anonymous, rng.uniform(0.5, 1.5, n), traits[users])
        picks = rng.integers(len(rows), size=n)
        features = np.empty((n, 0))
        if isinstance(rows, Rows):
            progress = (first + np.arange(n)) / traffic.requests
            spread = traffic.noise * trait * (1 + traffic.drift * progress)
            noise = rng.normal(size=(n, rows.features.shape[1]))
            features = np.round(rows.features[picks] + spread[:, None] * noise, 4)
        delays = rng.uniform(0, 2 * traffic.feedback_delay_seconds, n)
        coins = rng.random((n, outcomes))
        due = np.zeros(n)
        if traffic.rate_per_second is not None:
            due = clock + np.cumsum(rng.exponential(1 / traffic.rate_per_second, n))
            clock = float(due[-1])
        for i in range(n):
            values = tuple(features[i].tolist())
            yield Request(
                index=first + i,
                user=None if anonymous[i] else f"user-{traffic.seed}-{users[i]}",
                trait=float(trait[i]),
                features=values,
                label=_label(rows, int(picks[i])),
                due_seconds=float(due[i]),
                feedback_delay_seconds=float(delays[i]),
                coins=tuple(coins[i].tolist()),
                body=rows.body(values) if isinstance(rows, Rows) else rows.body(int(picks[i])),
            )


def _label(rows: Rows | Recorded, row: int) -> Any:
    if isinstance(rows, Rows):
        return int(rows.labels[row])
    return None if rows.labels is None else rows.labels[row]


Kind = Literal["truth", "distance", "proportion", "mean"]


@dataclass(frozen=True)
class Outcome:
    """What feedback tells: truths and distances from the truth; anything else is made up.

    A truth (`accuracy`, `correct`) is 1 for a right prediction; a distance (`absolute_error`,
    `squared_error`) is that of a prediction from the truth.
    """

    name: str
    kind: Kind

    @property
    def needs_truth(self) -> bool:
        """Whether the truth must be known to tell it; else it is made up."""
        return self.kind in ("truth", "distance")


def outcomes(experiment: Experiment) -> tuple[Outcome, ...]:
    """The outcomes that the experiment's metrics name and that only feedback can tell.

    Raises:
        SpecError: one outcome that is a proportion in one metric and a mean in another.
    """
    found: dict[str, Outcome] = {}
    binary = {outcome.name: outcome.kind == "binary" for outcome in experiment.outcomes}
    returns = {outcome.name for outcome in experiment.outcomes if outcome.kind == "return"}
    for metric, name in (
        (m, name) for m in experiment.by_counters.metrics for name in (m.of, m.over)
    ):
        if name is None or name in MEASURED | returns:
            continue
        kind: Kind = "mean"
        if name in RIGHT:
            kind = "truth"
        elif name in DISTANCES:
            kind = "distance"
        elif binary.get(name, metric.kind == "proportion"):
            kind = "proportion"
        if found.setdefault(name, outcome := Outcome(name, kind)) != outcome:
            raise SpecError(
                f"metrics: {name!r} is of two kinds, cannot be simulated as both",
                "give both metrics the same kind, or one of them another outcome",
            )
    return tuple(found.values())


def prediction_of(body: bytes) -> list[Any] | None:
    """The numbers or texts of an answer's first output; None where there are none."""
    try:
        found = json.loads(body)["outputs"][0]["data"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    while isinstance(found, list) and found and isinstance(found[0], list):
        found = found[0]
    return found if isinstance(found, list) and found else None


def is_right(prediction: Any, label: Any) -> bool:
    """Whether a prediction is the truth.

    Of several numbers, which are the classes' probabilities, the place of the largest is the class;
    a single share between 0 and 1 is that of class 1, where the truth is 0 or 1.

    >>> is_right([0.1, 0.7, 0.2], 1), is_right([0.9], 1), is_right(["pos"], "pos"), is_right([2], 2)
    (True, True, True, True)
    """
    if len(prediction) > 1:
        try:
            return bool(max(range(len(prediction)), key=prediction.__getitem__) == label)
        except TypeError:
            return False
    (found,) = prediction
    if isinstance(found, float) and 0 < found < 1 and label in (0, 1):
        return (found >= 0.5) == bool(label)  # noqa: PLR2004 - the more likely class
    return bool(found == label or str(found) == str(label))


def distance(prediction: Any, label: Any, *, squared: bool) -> float | None:
    """How far a prediction is from the truth; None where one of them is no number.

    >>> distance([3.0], 5, squared=True), distance(["a"], 5, squared=False)
    (4.0, None)
    """
    try:
        found = abs(float(prediction[0]) - float(label))
    except (ValueError, TypeError):
        return None
    found = found * found if squared else found
    return found if math.isfinite(found) else None


def synthetic_value(outcome: Outcome, trait: float, coin: float, effect: float) -> float:
    """A made-up outcome of one request, from its user's trait and a uniform coin.

    A proportion is 1 with probability (0.1 + effect) trait. A mean is what was spent: nothing in
    90% of the requests, otherwise log-normal (sigma 1), so that its mean is (2 + effect) trait.
    Traits have mean 1.
    """
    if outcome.kind == "proportion":
        return float(coin < (_BASE_SHARE + effect) * trait)
    if coin >= _BASE_SHARE:
        return 0.0
    # Below the threshold the coin is uniform again once it is stretched.
    normal = NormalDist().inv_cdf(min(max(coin / _BASE_SHARE, 1 - _SHARE_LIMIT), _SHARE_LIMIT))
    mean = _BASE_SHARE * _MEAN_SPEND
    return round(_MEAN_SPEND * trait * math.exp(normal - 0.5) * (1 + effect / mean), 2)
