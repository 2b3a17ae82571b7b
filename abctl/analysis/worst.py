"""How bad a treatment may still be: bounds of all metrics and treatments that hold together.

A ramp follows them. Each is at alpha shared over primaries, guardrails and treatments (Bonferroni),
one-sided, and holds at every look. It is of the test that goes on for ever: one up to a horizon has
its last look there, and what it excluded then stays excluded, whatever the harm is later.
"""

from dataclasses import replace

from abctl.core.experiment import Experiment, Metric
from abctl.core.worst import Worst
from abctl.evidence.reports import Pair
from abctl.stats.delta import Delta
from abctl.stats.estimate import Alternative, Estimate, NotEstimable, Plan
from abctl.stats.methods import method as method_of
from abctl.stats.summary import Stream, SummaryError

_EVER = "_sequence"


def allowed(metric: Metric) -> Delta | None:
    """How much worse a metric may be: its margin, or the mde of a primary."""
    if metric.role == "secondary":
        return None
    return metric.margin if metric.role == "guardrail" else metric.mde


def level(experiment: Experiment) -> float:
    """Of each bound."""
    decide = sum(metric.role != "secondary" for metric in experiment.metrics)
    return experiment.design.alpha / (decide * max(1, len(experiment.variants) - 1))


def worst(
    experiment: Experiment, metric: Metric, method: str, stream: Pair, *, unproven: bool
) -> Worst | None:
    """How bad it may still be; None where no ramp asks, or the metric does not decide.

    Args:
        experiment: what is asked.
        metric: what is compared.
        method: that decides.
        stream: what was counted.
        unproven: whether the counts prove nothing, as they know no users.
    """
    limit = allowed(metric)
    if experiment.ramp is None or limit is None:
        return None
    share = level(experiment)
    known = None if unproven else _harm(metric, method, stream, limit, share)
    return Worst(limit, share, known)


def _harm(metric: Metric, method: str, stream: Pair, limit: Delta, share: float) -> float | None:
    if not isinstance(stream, Stream):
        return None
    good: Alternative = "greater" if metric.direction == "increase" else "less"
    # That it is at least not worse at all is the farthest that such a test excludes for good.
    plan = Plan(
        alpha=share,
        alternative=good,
        null=replace(limit, value=0.0),
        mde=limit,
        quantile=metric.quantile,
    )
    try:
        found = method_of(method.replace("_horizon", _EVER)).estimate(stream, plan)
    except SummaryError:  # the comparison itself says what is wrong
        return None
    if isinstance(found, NotEstimable):
        return None
    assert isinstance(found, Estimate), "a method gives either"
    bound = found.bound(plan.null)
    return None if bound is None else bound if good == "less" else -bound
