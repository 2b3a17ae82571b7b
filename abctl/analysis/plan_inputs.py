"""What a plan takes from an experiment: what its file says, and what is measured if it runs."""

import math
from typing import Any

from abctl.core.analysis import Analysis
from abctl.core.experiment import Experiment, Metric
from abctl.core.split import TOTAL_BP
from abctl.errors import SourceError, UsageError
from abctl.metrics.presets import ERRORS, LATENCY
from abctl.stats.estimate import Estimate

_DAY_SECONDS = 86_400.0
# Of the answers of two versions of a model, where nobody says another share.
USUALLY_DIFFER = 0.05


def metric_of(experiment: Experiment, name: str | None) -> Metric:
    """The metric that is planned for: the first primary unless named.

    Raises:
        UsageError: no such metric.
    """
    metrics = {metric.name: metric for metric in experiment.metrics}
    primaries = [metric for metric in experiment.metrics if metric.role == "primary"]
    metric = next(iter(primaries), None) if name is None else metrics.get(name)
    if metric is None:
        what = "primary metric" if name is None else f"metric {name!r}"
        raise UsageError(f"no {what} in {experiment.name}", f"--metric {'|'.join(metrics)}")
    return metric


def of_experiment(experiment: Experiment, metric: Metric) -> dict[str, Any]:
    """What an experiment file says of a question, as its fields.

    The verdict decides one-sided, with all primaries and treatments corrected for one another.
    """
    design = experiment.design
    primaries = sum(each.role == "primary" for each in experiment.metrics)
    is_margin = metric.mde is None
    found = {
        "kind": "proportion" if metric.kind == "retention" else metric.kind,
        "quantile": metric.quantile,
        "size": metric.mde or metric.margin,
        "is_margin": is_margin,
        "shares": tuple(share / TOTAL_BP for share in experiment.split.shares_bp),
        "direction": metric.direction,
        "one_sided": True,
        "comparisons": (1 if is_margin else max(1, primaries)) * (len(experiment.variants) - 1),
        "alpha": design.alpha,
        "power": design.power,
        "test": design.test,
        "differ": USUALLY_DIFFER if _of_answers(metric) else None,
    }
    return {key: value for key, value in found.items() if value is not None}


def _of_answers(metric: Metric) -> bool:
    """Whether it is an outcome of each answer, such as whether it was right."""
    outcome = metric.counted not in (ERRORS, LATENCY, "requests") and not metric.of_table
    return outcome and metric.kind == "proportion" and metric.per == "outcome"


def units_per_day(found: Analysis, metric: Metric) -> float:
    """Units of all variants a day, over all the time that counts.

    Units are what the metric is estimated of: users, reports, or what a ratio is over, as far as
    they are mature. Where they are not counted yet, they are requests.

    Raises:
        SourceError: none was counted yet.
    """
    seconds = sum(epoch.end - epoch.start for epoch in found.epochs if epoch.counted)
    units = sum(variant.requests or 0.0 for variant in found.variants)
    effect = _effect(found, metric.name)
    if effect is not None and (metric.kind == "ratio" or metric.maturity_seconds):
        seconds, units = seconds - metric.maturity_seconds, sum(effect.n)
    if seconds <= 0 or units <= 0:
        raise SourceError(
            f"{found.source} has counted no request of {found.experiment} yet",
            "wait, or say what you expect with --traffic 10000/day",
        )
    return units / seconds * _DAY_SECONDS


def deviation(found: Analysis, metric: str) -> float:
    """The standard deviation of a unit that the uncertainty of the effect amounts to.

    Where users are assigned it comes from the variance between them: how much requests of one
    user are alike, and how much users differ, is in it.

    Raises:
        SourceError: nothing is estimated yet.
    """
    effect = _effect(found, metric)
    if effect is None or not effect.se:
        raise SourceError(
            f"{found.source} has too little of {metric} to say how much units vary",
            "wait, or say it: --sd for a mean; --cv, --over-cv and --over-correlation for a ratio",
        )
    control, treatment = effect.n
    return effect.se * math.sqrt(control * treatment / (control + treatment))


def _effect(found: Analysis, metric: str) -> Estimate | None:
    (result,) = (each for each in found.metrics if each.name == metric)
    effect = result.comparisons[0].effect
    return effect if isinstance(effect, Estimate) else None


def baseline(found: Analysis, metric: str) -> float:
    """The control's value of a metric, over all the time that counts.

    Raises:
        SourceError: it has none yet.
    """
    control = found.variants[0]
    if (value := control.values.get(metric)) is None:
        raise SourceError(
            f"{found.source} has no value of {metric} of {control.name} yet",
            "wait, or say what it is with --baseline",
        )
    return value
