"""What an experiment's defaults stand for besides their values; locked with its plan.

What runs is judged as its plan was locked: `Experiment.meaning` has it then. So whatever stands in
`_TODAY` may change from one abctl to the next, `_FIRST` never.
"""

from collections.abc import Mapping
from dataclasses import replace

from abctl.analysis.late import LATE
from abctl.core.experiment import Experiment, Metric
from abctl.errors import SourceError
from abctl.evidence.increments import Samples
from abctl.evidence.streams import by_buckets, log_of, of_clients
from abctl.metrics import presets
from abctl.metrics.queries import MetricQueries
from abctl.spec.measurement import preset_name
from abctl.stats.power.sizes import alpha_each
from abctl.stats.power.up_to_horizon import planned_information

OWN_ALPHA = 0.001
"""The level of what may stop or block beside the verdict, and of harm whose users nobody knows."""
Tests = Mapping[str, dict[str, str]]
"""Methods by `design.test`, and by kind: of a metric, of sums of `units`, of means of `latency`.

Of latency by units: of its means (`unitLatency`), and of its quantiles (`unitQuantile`).
"""

# Of plans that do not say which test they meant.
_FIRST: Tests = {
    "fixed": {
        "proportion": "proportion",
        "mean": "welch",
        "quantile": "quantile",
        "rate": "rate",
        "units": "ratio",
        "latency": "welch",
    },
    "sequential": {
        "proportion": "proportion_sequence",
        "mean": "mean_sequence",
        "quantile": "quantile_sequence",
        "rate": "rate_sequence",
        "units": "ratio_sequence",
        "latency": "bursty_mean_sequence",
    },
}
# Latency of units had no buckets at first.
_UNITS = {
    "fixed": {"unitQuantile": "grouped_quantile", "unitLatency": "ratio"},
    "sequential": {
        "unitQuantile": "grouped_quantile_sequence",
        "unitLatency": "bursty_ratio_sequence",
    },
}
# Of units of tables that have a covariate, and of ratios of theirs.
_BEFORE = {
    "fixed": {"before": "cuped"},
    "sequential": {"before": "cuped_sequence", "unitsBefore": "cuped_ratio_sequence"},
}
_SEQUENTIAL = _FIRST["sequential"] | _UNITS["sequential"] | _BEFORE["sequential"]
_TODAY: Tests = {
    "fixed": _FIRST["fixed"] | _UNITS["fixed"] | _BEFORE["fixed"],
    "sequential": _SEQUENTIAL,
    "horizon": {kind: name.replace("_sequence", "_horizon") for kind, name in _SEQUENTIAL.items()},
}


def meaning(experiment: Experiment) -> Mapping[str, Mapping[str, str]]:
    """How each metric is judged, by metric.

    Returns:
        `test`: the method that decides; `horizon`: its planned information times the square of the
        mde; `once`: the one beside it, for one look; `per`: what they
        take as independent of one another; `late`: how often harm that begins late is looked for
        anew; `preset`: whose counts they are, where the metric has no selectors of its own;
        `counted`: what the preset says of it (whose errors, whose time);
        `view`: of errors and latency that they are what clients got, where a proxy counts;
        `harm`: its level, where it is not that of the experiment (see `harm_alpha`);
        `tables`: a digest of the rows that it is taken from;
        `clients`: the preset of the proxy's access log, which decides these where it is counted.
    """
    return {metric.name: _of(experiment, metric) for metric in experiment.metrics}


def methods(experiment: Experiment, metric: Metric) -> tuple[str, str]:
    """The method of a metric for one look, and the one that decides: as locked, else today's."""
    locked = experiment.meaning.get(metric.name)
    units = by_buckets(experiment, metric)
    if metric.of_table:
        return _of_table(experiment, metric, ratio=units)
    kind: str = "units" if units else "proportion" if metric.kind == "retention" else metric.kind
    if (metric.kind, metric.counted) == ("mean", "latency"):
        kind = "unitLatency" if units else "latency"
    if units and metric.kind == "quantile":
        kind = "unitQuantile"

    def of(test: str, said: str) -> str:
        if locked is None:
            return _TODAY[_today(experiment, metric) if test == "horizon" else test][kind]
        return locked.get(said) or _FIRST.get(test, _TODAY[test]).get(kind) or _TODAY[test][kind]

    return of("fixed", "once"), of(experiment.design.test, "test")


def _of_table(experiment: Experiment, metric: Metric, *, ratio: bool) -> tuple[str, str]:
    """Of units, each of which is counted once. For one look a ratio is a mean (delta method)."""
    once = experiment.design.test == "fixed"
    kind: str = "proportion" if metric.kind == "retention" else metric.kind
    kind = "mean" if metric.kind == "rate" or ratio else kind
    if metric.before_seconds:
        kind = "before" if once or not ratio else "unitsBefore"
    elif ratio and not once:
        kind = "units"
    locked = experiment.meaning.get(metric.name, {})
    found = locked.get("test") or _TODAY[_today(experiment, metric)][kind]
    return locked.get("once") or _TODAY["fixed"].get(kind, found), found


def _of(experiment: Experiment, metric: Metric) -> Mapping[str, str]:
    units = by_buckets(experiment, metric) or metric.per == "user"
    per = experiment.assignment.unit if units else "request"
    once, test = methods(experiment, metric)
    locked = experiment.meaning.get(metric.name)
    late = LATE if locked is None else locked.get("late")
    judged = {"test": test, "once": once, "per": per}
    if test.endswith("_horizon"):
        judged["horizon"] = repr(horizon(experiment, metric))
    if metric.of_table:
        tables = experiment.source.tables if experiment.source else None
        return judged | ({"tables": tables.definition} if tables else {})
    if late and experiment.design.test != "fixed":
        judged["late"] = late
    if log := log_of(experiment, metric):
        judged["clients"] = log
    if metric.selectors:
        return judged
    try:
        name = preset_name(experiment)
        counted = presets.preset(name).remarks.get(metric.counted)
    except SourceError:  # told where it is needed; a split can be shifted without it
        return judged
    view = {"view": "clients"} if of_clients(experiment, metric) else {}
    if (level := harm_alpha(experiment, metric)) is not None:
        view["harm"] = f"{level:g}"
    return {**judged, **view, "preset": name, **({"counted": counted} if counted else {})}


def harm_alpha(experiment: Experiment, metric: Metric) -> float | None:
    """The level of harm that nobody knows the users of; None for that of the experiment.

    A proxy that does not know them counts their requests, which are alike; tests allow only for
    those that are alike because they came at one time.
    """
    locked = experiment.meaning.get(metric.name)
    if locked is not None:
        return float(locked["harm"]) if "harm" in locked else None
    if not of_clients(experiment, metric) or experiment.assignment.unit == "request":
        return None
    own = presets.preset(preset_name(experiment))
    return OWN_ALPHA if own.proxy and not by_buckets(experiment, metric) else None


def horizon(experiment: Experiment, metric: Metric) -> float | None:
    """The planned information times the square of the mde, as locked; None without a horizon."""
    if _today(experiment, metric) != "horizon":
        return None
    locked = experiment.meaning.get(metric.name, {}).get("horizon")
    return _planned_horizon(experiment) if locked is None else float(locked)


def _planned_horizon(experiment: Experiment) -> float:
    """The planned information times the square of the size that is planned for.

    As claims decide: one-sided, at the level of Holm's first step over primaries and treatments.
    """
    design = experiment.design
    primaries = sum(metric.role == "primary" for metric in experiment.metrics)
    comparisons = max(1, primaries) * max(1, len(experiment.variants) - 1)
    alpha = alpha_each(design.alpha, comparisons)
    return planned_information(alpha, design.power, one_sided=True)


def _today(experiment: Experiment, metric: Metric) -> str:
    """The test of a metric: without a size to plan for, a horizon is none."""
    test: str = experiment.design.test
    return "sequential" if test == "horizon" and not (metric.mde or metric.margin) else test


def by_request(experiment: Experiment, metric: Metric) -> tuple[str, str]:
    """As `methods`, of latency whose units nobody knows."""
    kind = "latency" if metric.kind == "mean" else metric.kind
    return _TODAY["fixed"][kind], _TODAY[_today(experiment, metric)][kind]


def as_counted(experiment: Experiment, samples: Samples | None, asked: MetricQueries) -> Experiment:
    """The experiment; without a plan, its latency is taken as it was counted.

    Evidence of before has no latency by bucket of units: it is judged by request, as it was then.
    """
    if samples is None:
        return experiment
    found = dict(experiment.meaning)
    for metric in experiment.metrics:
        if metric.counted != "latency" or metric.of_table or metric.name in found:
            continue
        parts = (asked.by_unit(metric, v.name) or {"": ""} for v in experiment.variants)
        if by_buckets(experiment, metric) and not any(
            samples.found.get(selector) for each in parts for selector in each.values()
        ):
            once, test = by_request(experiment, metric)
            told = {"per": "request", "once": once, "test": test}
            found[metric.name] = {**_of(experiment, metric), **told}
    return replace(experiment, meaning=found)
