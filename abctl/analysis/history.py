"""What happened besides what was found: who changed the split, and what was counted when (pure)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from abctl.analysis.totals import seen_answers
from abctl.core.analysis import Analysis
from abctl.core.ledger import Entry, Ledger
from abctl.evidence.evidence import Evidence
from abctl.evidence.fit import other_population
from abctl.evidence.increments import MissingError, Samples
from abctl.evidence.summaries import summarize
from abctl.metrics.presets import LATENCY
from abctl.stats.summary import Histogram

_MOST_POINTS = 48


@dataclass(frozen=True)
class Counted:
    """Requests of each variant in a time (unix seconds), in the order of the variants.

    >>> Counted(60.0, 120.0, (90.0, 10.0)).shares
    (0.9, 0.1)
    """

    start: float
    end: float
    requests: tuple[float, ...]

    @property
    def shares(self) -> tuple[float, ...]:
        """Of each variant; nothing where there were no requests."""
        total = sum(self.requests)
        return tuple(each / total for each in self.requests) if total > 0 else ()


@dataclass(frozen=True)
class Latencies:
    """How the latency of a variant is distributed, over all that counts.

    >>> Latencies("control", ((0.01, 0.6), (0.1, 1.0)), count=250.0).up_to[0]
    (0.01, 0.6)

    Attributes:
        variant: its name.
        up_to: edges of the histogram in seconds, each with the share of requests up to it.
        count: of requests.
    """

    variant: str
    up_to: tuple[tuple[float, float], ...]
    count: float


@dataclass(frozen=True)
class History:
    """What happened.

    >>> History().entries
    ()

    Attributes:
        entries: of the ledger, the oldest first.
        plan: that was locked, as JSON; empty where none was.
        traffic: requests of all variants over time.
        latencies: of each variant that has a histogram.
    """

    entries: tuple[Entry, ...] = ()
    plan: str = ""
    traffic: tuple[Counted, ...] = ()
    latencies: tuple[Latencies, ...] = ()


def of_ledger(ledger: Ledger | None) -> History:
    """What a ledger alone tells; nothing where there is none."""
    return History() if ledger is None else History(ledger.entries, ledger.plan)


def history(evidence: Evidence, found: Analysis) -> History:
    """What the evidence of an analysis tells besides.

    Args:
        evidence: what was judged.
        found: what came of it.
    """
    samples = evidence.samples
    if samples is None or not samples.over:
        return of_ledger(evidence.ledger)
    if found.test == "fixed" and found.epochs:  # what came after the planned end was not judged
        samples = samples.until(found.epochs[-1].end)
    names = [variant.name for variant in found.variants]
    return History(
        entries=evidence.ledger.entries,
        plan=evidence.ledger.plan,
        traffic=_traffic(evidence, samples, names),
        latencies=_latencies(evidence, samples, names),
    )


def _traffic(evidence: Evidence, samples: Samples, names: Sequence[str]) -> tuple[Counted, ...]:
    """Polls, put together where there are many: each part is of one epoch."""
    selectors = [evidence.telemetry.requests(name) for name in names]
    if any(map(samples.trouble, selectors)):
        return ()
    polls = samples.polls(selectors)
    counts = np.array([samples.rows(each, polls).total() for each in selectors])
    times, epochs = polls.times, polls.epoch[polls.counted]
    if not counts.any():
        return ()
    size = -(-len(times) // _MOST_POINTS)
    found = []
    for epoch in np.unique(epochs):
        (mine,) = np.nonzero(epochs == epoch)
        for first in range(0, len(mine), size):
            part = mine[first : first + size]
            requests = tuple(float(each) for each in counts[:, part].sum(axis=1))
            found.append(Counted(float(times[part[0], 0]), float(times[part[-1], 1]), requests))
    return tuple(found)


def _latencies(evidence: Evidence, samples: Samples, names: Sequence[str]) -> tuple[Latencies, ...]:
    """By whoever tells the totals of latency: clients, where a proxy counted them."""
    asked, seen = evidence.telemetry, seen_answers(samples, evidence.telemetry, names)
    timed = asked if seen is None or not seen.times else seen.queries
    found = []
    for name in names:
        parts = timed.totals(name).get(LATENCY)
        if not parts or other_population(samples, timed, name):
            continue
        polls, unit = samples.polls(parts.values()), timed.preset.latency_unit_seconds
        try:
            each = summarize("quantile", samples, parts, polls, unit_seconds=unit).pooled()
        except MissingError:
            continue
        assert isinstance(each, Histogram)
        total = float(each.counts.sum())
        up_to = np.cumsum(each.counts[0])[:-1] / total
        shares = zip(map(float, each.edges), map(float, up_to), strict=True)
        found.append(Latencies(name, tuple(shares), total))
    return tuple(found)
