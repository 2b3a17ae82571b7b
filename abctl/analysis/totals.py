"""Totals of each variant, over all that counts: what it did, not what follows from it."""

from collections.abc import Collection, Mapping
from itertools import pairwise

import numpy as np

from abctl.core.analysis import VariantResult
from abctl.core.experiment import Experiment, Kind
from abctl.core.polls import Polls, cut
from abctl.evidence.increments import MissingError, Parts, Rows, Samples, summarize
from abctl.metrics.presets import ERRORS, LATENCY
from abctl.metrics.queries import MEAN, MetricQueries
from abctl.stats.summary import Counts, Events, Histogram, Moments


def variant(
    experiment: Experiment,
    samples: Samples | None,
    name: str,
    selected: Mapping[str, Mapping[str, Parts]],
    asked: MetricQueries,
) -> VariantResult:
    """Everything that is told of a variant."""
    if samples is None:
        nothing = {metric.name: None for metric in experiment.metrics}
        return VariantResult(name, None, None, nothing, None, None, None, None, asked.totals(name))
    whole = cut(samples.over, samples.over[-1].end - samples.over[0].start)
    found = asked.totals(name)
    requests = samples.rows(found["requests"]["n"], whole)
    outside = samples.rows(found["outside"]["n"], whole) if "outside" in found else None
    unit, late = asked.preset.latency_unit_seconds, asked.late_errors
    p50, p95, mean = _latencies(samples, found, whole, unit)
    return VariantResult(
        name=name,
        requests=_counted(requests),
        outside=None if outside is None else _counted(outside),
        values={
            metric.name: _value(
                metric.kind,
                samples,
                selected[metric.name][name],
                whole,
                quantile=metric.quantile,
                unit_seconds=asked.unit_seconds(metric),
                elsewhere=asked.late(metric),
            )
            for metric in experiment.metrics
        },
        error_ratio=_value("proportion", samples, found[ERRORS], whole, elsewhere=late),
        latency_p50_seconds=p50,
        latency_p95_seconds=p95,
        coverage=samples.coverage(found["requests"]["n"]),
        selectors=found,
        latency_mean_seconds=mean,
    )


def _counted(rows: Rows) -> float | None:
    """All of them; None where only totals of unknown age were seen, or nothing at all."""
    total = float(rows.total().sum())
    return total if rows.labels and (total or not rows.unseen) else None


def _value(
    kind: Kind,
    samples: Samples,
    parts: Parts,
    whole: Polls,
    *,
    quantile: float | None = None,
    unit_seconds: float = 1.0,
    elsewhere: Collection[str] = (),
) -> float | None:
    if not parts:
        return None
    try:
        summary = summarize(
            kind, samples, parts, whole, unit_seconds=unit_seconds, elsewhere=elsewhere
        )
    except MissingError:
        return None
    match summary.pooled():
        case Counts(n=n, successes=top) | Moments(n=n, sum=top) | Events(exposure=n, events=top):
            return float(top[0] / n[0]) if n[0] > 0 else None
        case Histogram() as histogram:
            return _quantile(histogram, quantile or 0.5)
    return None


def _latencies(
    samples: Samples, totals: Mapping[str, Parts], whole: Polls, unit_seconds: float
) -> tuple[float | None, float | None, float | None]:
    """Median, 95th percentile and mean; None where nobody counts them."""
    if not (parts := totals[LATENCY]):
        return None, None, None
    try:
        found = summarize("quantile", samples, parts, whole, unit_seconds=unit_seconds).pooled()
    except MissingError:
        return None, None, None
    assert isinstance(found, Histogram)
    seconds = _sum(samples, totals.get(MEAN, {}), whole)
    mean = None if seconds is None else seconds * unit_seconds / float(found.counts.sum())
    return _quantile(found, 0.5), _quantile(found, 0.95), mean


def _sum(samples: Samples, parts: Parts, whole: Polls) -> float | None:
    """What was counted in all; None where the source does not have it, or was not asked for it."""
    for selector in parts.values():
        if selector in samples.found and (rows := samples.rows(selector, whole)).labels:
            return float(rows.total().sum())
    return None


def _quantile(histogram: Histogram, share: float) -> float | None:
    """Interpolated within its cell; None where it lies above the last finite edge."""
    counts = histogram.counts[0]
    rank, upto = share * counts.sum(), np.cumsum(counts)
    if not counts.any() or rank > upto[-2]:
        return None
    cell = int(np.searchsorted(upto, rank, side="left"))
    low, high = list(pairwise((0.0, *histogram.edges)))[cell]
    return low + (high - low) * float((rank - (upto[cell] - counts[cell])) / counts[cell])
