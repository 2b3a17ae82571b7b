"""What a controller says of itself and of its experiments, for Prometheus.

Everything of an experiment is what the last look found, so nothing of one that is gone remains, nor
of one that another controller has taken over; bounds are those of the analysis, which hold at every
look.
"""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from abctl.controller.seen import Look, Seen
from abctl.controller.status import conditions
from abctl.core.analysis import Analysis
from abctl.core.split import TOTAL_BP
from abctl.stats.estimate import Estimate

_OF = ("namespace", "experiment")
_VERDICTS = ("ship", "stop", "continue", "invalid")
# By name: the labels besides those of the experiment, and what it means.
_GAUGES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "abctl_experiment_info": (("platform", "unit", "test"), "What it is; always 1."),
    "abctl_experiment_verdict": (("verdict",), "1 for the verdict of the last look, else 0."),
    "abctl_experiment_reason": (("code",), "1 for each reason of that verdict."),
    "abctl_experiment_condition": (("type", "status"), "1 for each condition as it is."),
    "abctl_experiment_share_ratio": (("variant",), "The share of each variant."),
    "abctl_experiment_requests": (("variant",), "Requests that are compared."),
    "abctl_metric_effect": (("metric", "treatment"), "The estimated effect."),
    "abctl_metric_effect_lower": (("metric", "treatment"), "Its lower bound."),
    "abctl_metric_effect_upper": (("metric", "treatment"), "Its upper bound."),
    "abctl_metric_worst_ratio": (
        ("metric", "treatment"),
        "How many times as bad as allowed it may still be; 1 or less: within what is allowed.",
    ),
    "abctl_experiment_last_look_timestamp_seconds": ((), "When it was looked at last."),
}


class _OfExperiments(Collector):
    def __init__(self, seen: Seen, leases: Callable[[], Mapping[str, bool]]) -> None:
        self._seen, self._leases = seen, leases

    def collect(self) -> Iterator[Metric]:
        looks, errors, seconds, count = self._seen.copied()
        leases = self._leases()
        families = {
            name: GaugeMetricFamily(name, meaning, labels=(*_OF, *labels))
            for name, (labels, meaning) in _GAUGES.items()
        }
        for look in looks:
            ref = look.declared.ref
            if not leases.get(ref.namespace):
                continue  # who leads there knows better by now
            for name, labels, value in _samples(look):
                families[name].add_metric((ref.namespace, ref.name, *labels), value)
        yield from families.values()
        leads = GaugeMetricFamily(
            "abctl_leader", "Whether this controller works in a namespace.", labels=["namespace"]
        )
        for namespace, held in leases.items():
            leads.add_metric((namespace,), float(held))
        yield leads
        failed = CounterMetricFamily(
            "abctl_reconcile_errors", "What did not go as it should.", labels=["reason"]
        )
        for reason, times in errors.items():
            failed.add_metric((reason,), float(times))
        yield failed
        took = SummaryMetricFamily("abctl_look_duration_seconds", "How long looks took.")
        took.add_metric((), count_value=count, sum_value=seconds)
        yield took


def page(seen: Seen, leases: Callable[[], Mapping[str, bool]]) -> bytes:
    """The text that Prometheus scrapes.

    Args:
        seen: by the looks.
        leases: of each namespace, whether this controller leads there.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_OfExperiments(seen, leases))
    return generate_latest(registry)


def _samples(look: Look) -> Iterator[tuple[str, tuple[str, ...], float]]:
    found = look.found
    yield "abctl_experiment_last_look_timestamp_seconds", (), found.at
    for each in conditions(found):
        yield "abctl_experiment_condition", (each.type, each.status), 1.0
    if found.split:
        for name, share in zip(found.split.names, found.split.shares_bp, strict=True):
            yield "abctl_experiment_share_ratio", (name,), share / TOTAL_BP
    if found.turn is None:
        return
    for verdict in _VERDICTS:
        said = float(found.turn.verdict == verdict)
        yield "abctl_experiment_verdict", (verdict,), said
    if (analysis := found.turn.analysis) is not None:
        platform = str(look.declared.obj["spec"].get("platform"))
        yield "abctl_experiment_info", (platform, analysis.unit, analysis.test), 1.0
        for code in dict.fromkeys(reason.code for reason in analysis.verdict.reasons):
            yield "abctl_experiment_reason", (code,), 1.0
        yield from _of_analysis(analysis)


def _of_analysis(analysis: Analysis) -> Iterator[tuple[str, tuple[str, ...], float]]:
    for variant in analysis.variants:
        if variant.requests is not None:
            yield "abctl_experiment_requests", (variant.name,), variant.requests
    for metric in analysis.metrics:
        for each in metric.comparisons:
            of = (metric.name, each.treatment)
            if isinstance(each.effect, Estimate):
                yield "abctl_metric_effect", of, each.effect.effect
                for end, value in zip(("lower", "upper"), each.effect.interval, strict=True):
                    yield f"abctl_metric_effect_{end}", of, value
            if each.worst is not None and each.worst.ratio is not None:
                yield "abctl_metric_worst_ratio", of, each.worst.ratio
