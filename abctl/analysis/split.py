"""Does the traffic follow the split of the ledger? And who had a share."""

from collections.abc import Mapping, Sequence

import numpy as np

from abctl.core.analysis import EpochResult
from abctl.core.experiment import Experiment
from abctl.core.polls import LEFT_OUT, Polls, interval_seconds
from abctl.core.split import TOTAL_BP
from abctl.evidence.increments import MissingError, Rows, Samples
from abctl.metrics.presets import ERRORS, LATENCY
from abctl.metrics.queries import MetricQueries
from abctl.stats import srm
from abctl.stats.estimate import NotEstimable, Remark

# Intervals that are as near as this lose as much of a window as the moments of scrapes do anyway.
_UNEVEN_RATIO = 2.0
_CHANCE = 4.0  # standard deviations


def check_split(
    experiment: Experiment,
    samples: Samples,
    epochs: Sequence[EpochResult],
    names: Sequence[str],
    asked: MetricQueries,
) -> srm.SrmResult | NotEstimable:
    """Exposures of each variant against the ledger's split, epoch by epoch."""
    if _mixed(experiment, asked):
        return NotEstimable("exposures", Remark("notOnlyExposures", {"preset": asked.name}))
    chain = [asked.requests(name) for name in names]
    if troubles := [why for each in chain if (why := samples.trouble(each))]:
        return NotEstimable("exposures", troubles[0].remark)
    polls = samples.polls(chain)
    shares = {e.number: [s / TOTAL_BP for s in e.split.shares_bp] for e in epochs}
    rows = [samples.rows(selector, polls) for selector in chain]
    with_share = shared(epochs)
    if unknown := [n for n, r in zip(names, rows, strict=True) if n in with_share and not r.labels]:
        return NotEstimable("split", Remark("requestsUnknown", {"variants": unknown}))
    found = _checked(experiment, rows, polls, shares)
    if isinstance(found, srm.SrmResult) and found.mismatch:
        return _unless_uneven(found, samples, dict(zip(names, chain, strict=True)), polls)
    return found


def _checked(
    experiment: Experiment, rows: Sequence[Rows], polls: Polls, shares: Mapping[int, list[float]]
) -> srm.SrmResult | NotEstimable:
    epoch = polls.epoch[polls.counted]
    sequential = experiment.design.test != "fixed"
    if experiment.assignment.unit == "request":
        counts = np.array([r.total() for r in rows]).T
        by_poll = np.array([shares[number] for number in epoch])
        return (srm.sequential if sequential else srm.fixed)(counts, by_poll)
    try:
        buckets = [r.by_bucket(experiment.assignment.buckets) for r in rows]
    except MissingError as missing:
        return NotEstimable("clustered", missing.why.remark)
    starts = np.flatnonzero(np.diff(epoch, prepend=-1))
    cells = np.stack([np.add.reduceat(b, starts, axis=0) for b in buckets], axis=1)
    by_epoch = np.array([shares[number] for number in epoch[starts]])
    return srm.clustered(cells, by_epoch, sequential=sequential)


def _unless_uneven(
    found: srm.SrmResult, samples: Samples, chain: Mapping[str, str], polls: Polls
) -> srm.SrmResult | NotEstimable:
    """A mismatch; or why it is none, where variants are scraped at other intervals.

    Of each window, who is scraped seldom has not seen the time before its first scrape nor that
    after its last one.
    """
    seconds = {
        name: max(
            (interval_seconds(s.times) for s in samples.scrapes(selector).values()), default=0
        )
        for name, selector in chain.items()
    }
    slow, fast = max(seconds, key=seconds.__getitem__), min(seconds, key=seconds.__getitem__)
    if seconds[slow] <= _UNEVEN_RATIO * seconds[fast]:
        return found
    watched = float(np.diff(polls.edges)[polls.counted].sum())
    windows = len({*polls.epoch.tolist()} - {LEFT_OUT})
    of_each = np.array([seconds[name] for name in chain])
    unseen = np.minimum(1.0, 2.0 * of_each * windows / watched)
    observed, expected = np.array(found.observed), np.array(found.expected)
    total, seen = expected.sum(), expected * (1.0 - unseen)
    # Least if only it has missed something, most if only the others have.
    least = total * seen / np.maximum(total - expected + seen, 1.0)
    most = total * expected / np.maximum(seen.sum() - seen + expected, 1.0)
    chance = np.where(expected > 0.0, _CHANCE * total**0.5, 0.0)
    if np.any((observed < least - chance) | (observed > most + chance)):
        return found
    facts = {
        "slow": slow,
        "slow_seconds": seconds[slow],
        "fast": fast,
        "fast_seconds": seconds[fast],
    }
    return NotEstimable(found.method, Remark("scrapedUnevenly", facts))


def shared(epochs: Sequence[EpochResult]) -> set[str]:
    """The variants that had a share while it counted."""
    return {n for e in epochs if e.counted for n in e.split.names if e.split[n]}


def _mixed(experiment: Experiment, asked: MetricQueries) -> bool:
    """Whether the counted requests are not only exposures: others came the same way."""
    rules = experiment.assignment
    mixed = asked.preset.feedback and not experiment.outcomes
    feedback = mixed and any(
        m.counted not in (ERRORS, LATENCY, "requests") for m in experiment.metrics
    )
    return not asked.preset.drawn and bool(rules.override or rules.cohorts or feedback)
