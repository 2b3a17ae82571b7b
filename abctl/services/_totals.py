"""Totals of each variant, over all that counts: what it did, not what follows from it."""

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np

from abctl.core.analysis import VariantResult
from abctl.core.experiment import Experiment, Kind
from abctl.core.polls import Polls, cut
from abctl.services._summaries import summarize
from abctl.services.evidence import MissingError, Parts, Samples
from abctl.sources._promql import Preset, fill
from abctl.stats.summary import Counts, Events, Histogram, Moments

_ERRORS, _LATENCY = "errors", "latency"


def selectors(chosen: Preset, name: str) -> Iterator[str]:
    """What the totals of a variant need besides its metrics."""
    yield fill(chosen.requests, name)
    yield fill(chosen.outside, name)
    yield from _errors(chosen, name).values()
    yield from _latency(chosen, name).values()


def variant(
    experiment: Experiment,
    samples: Samples | None,
    name: str,
    selected: Mapping[str, Mapping[str, Parts]],
    chosen: Preset,
) -> VariantResult:
    """Everything that is told of a variant."""
    if samples is None:
        nothing = {metric.name: None for metric in experiment.metrics}
        return VariantResult(name, None, None, nothing, None, None, None, None)
    whole = cut(samples.over, samples.over[-1].end - samples.over[0].start)
    requests = samples.rows(fill(chosen.requests, name), whole)
    outside = samples.rows(fill(chosen.outside, name), whole)
    latency = _latency(chosen, name)
    return VariantResult(
        name=name,
        requests=float(requests.total().sum()) if requests.labels else None,
        outside=float(outside.total().sum()) if outside.labels else None,
        values={
            metric.name: _value(metric.kind, metric.quantile, samples, parts, whole)
            for metric in experiment.metrics
            for parts in [selected[metric.name][name]]
        },
        error_ratio=_value("proportion", None, samples, _errors(chosen, name), whole),
        latency_p50_seconds=_value("quantile", 0.5, samples, latency, whole),
        latency_p95_seconds=_value("quantile", 0.95, samples, latency, whole),
        coverage=samples.coverage(fill(chosen.requests, name)),
    )


def _errors(chosen: Preset, name: str) -> Parts:
    return _filled(chosen.named.get(_ERRORS, {}).get("proportion", {}), name)


def _latency(chosen: Preset, name: str) -> Parts:
    return _filled(chosen.named.get(_LATENCY, {}).get("quantile", {}), name)


def _filled(parts: Parts, name: str) -> Parts:
    return {part: fill(selector, name) for part, selector in parts.items()}


def _value(
    kind: Kind, quantile: float | None, samples: Samples, parts: Parts, whole: Polls
) -> float | None:
    if not parts:
        return None
    try:
        summary = summarize(kind, samples, parts, whole)
    except MissingError:
        return None
    match summary.pooled():
        case Counts(n=n, successes=top) | Moments(n=n, sum=top) | Events(exposure=n, events=top):
            return float(top[0] / n[0]) if n[0] > 0 else None
        case Histogram() as histogram:
            return _quantile(histogram, quantile or 0.5)
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
