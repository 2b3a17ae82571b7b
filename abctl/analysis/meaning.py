"""What an experiment's defaults stand for besides their values; locked with its plan."""

from collections.abc import Mapping

from abctl.analysis.compare import methods
from abctl.core.experiment import Experiment, Metric
from abctl.errors import SourceError
from abctl.evidence.streams import by_buckets
from abctl.metrics import presets
from abctl.spec.measurement import preset_name


def meaning(experiment: Experiment) -> Mapping[str, Mapping[str, str]]:
    """How each metric is judged, by metric.

    Returns:
        `test`: the method that decides; `per`: what it takes as independent of one another;
        `preset`: whose counts they are, where the metric has no selectors of its own; `counted`:
        what the preset says of it (whose errors, whose time).
    """
    return {metric.name: _of(experiment, metric) for metric in experiment.metrics}


def _of(experiment: Experiment, metric: Metric) -> Mapping[str, str]:
    per = experiment.assignment.unit if by_buckets(experiment, metric) else "request"
    judged = {"test": methods(experiment, metric)[1], "per": per}
    if metric.selectors:
        return judged
    try:
        name = preset_name(experiment)
        counted = presets.preset(name).remarks.get(metric.of)
    except SourceError:  # told where it is needed; a split can be shifted without it
        return judged
    return {**judged, "preset": name, **({"counted": counted} if counted else {})}
