"""Checks experiment files: mistakes are errors, unwise choices are warnings."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from abctl.core.experiment import Experiment, Metric
from abctl.errors import SourceError, SpecError
from abctl.metrics import presets
from abctl.platforms import platform
from abctl.spec import load, measurement
from abctl.spec.render import render

# The preset, and the part of an image's name that says who built it.
_OWN = "abctl"
_WEEK_SECONDS = 7 * 86_400
_COUNTED = ("errors", "latency", "requests")


@dataclass(frozen=True)
class Report:
    """The result of `lint` for one file: an error, or warnings.

    >>> report = lint(Path("missing.yaml"))
    >>> report.error is not None, report.warnings
    (True, ())
    """

    file: str
    error: SpecError | None
    warnings: tuple[str, ...]


def lint(path: Path) -> Report:
    """Check one file; mistakes in it are returned, not raised."""
    try:
        experiment = load(path)
        _check_evidence(experiment, path)
        _check_admission(experiment, path)
    except SpecError as error:
        return Report(str(path), error, ())
    return Report(str(path), None, tuple(warnings(experiment)))


def _check_evidence(experiment: Experiment, path: Path) -> None:
    """Refuse what the analysis would refuse, before the experiment has run for a week."""
    try:
        asked = measurement.likely(experiment)
        for metric in experiment.metrics:
            asked.parts(metric, experiment.control.name)
            asked.require_units(metric, experiment.assignment.unit)
    except SourceError as error:
        raise SpecError(f"{path}: {error.message}", error.hint) from None


def _check_admission(experiment: Experiment, path: Path) -> None:
    """Refuse what the platform would refuse when it is applied."""
    try:
        render(experiment)
    except SpecError as error:
        raise SpecError(f"{path}: {error.message}", error.hint) from None


def warnings(experiment: Experiment) -> Iterator[str]:
    """Choices that are allowed, but rarely intended."""
    if experiment.design.min_duration_seconds < _WEEK_SECONDS:
        yield "design.minDuration: less than 7d, and weekdays differ"
    if experiment.source is None:
        yield "source: left out, only the local stack can fill it in"
    if (
        experiment.assignment.unit != "request"
        and not platform(experiment.platform).CAPABILITIES.salted
    ):
        name = experiment.platform
        yield f"assignment.salt: {name} hashes the key alone, as in every experiment with that key"
    yield from _metrics(experiment.metrics)
    yield from _runtime(experiment)
    yield from _variants(experiment)


def _runtime(experiment: Experiment) -> Iterator[str]:
    """Metrics of abctl's own runtime, where other servers may run."""
    if measurement.preset_name(experiment) != _OWN:
        return
    chosen = experiment.source is not None and experiment.source.preset == _OWN
    others = [variant.model.image or variant.model.uri for variant in experiment.variants]
    if chosen:  # who says so knows their images, but no server of a platform has that runtime
        others = [v.model.uri for v in experiment.variants if not v.model.image]
    if strange := [each for each in others if each and _OWN not in each.split("/")]:
        counted = ", ".join(m.name for m in experiment.metrics if not m.selectors)
        known = [n for n in presets.names() if experiment.platform in presets.preset(n).platforms]
        other = f"preset: {known[0]}" if known else "selectors of their own"
        also = "" if chosen else f"; if it has, say preset: {_OWN}"
        yield (
            f"metrics: {counted or 'requests'} need abctl's runtime; if {strange[0]} has none, "
            f"they need {other}{also}"
        )


def _metrics(metrics: Sequence[Metric]) -> Iterator[str]:
    primary = [metric.name for metric in metrics if metric.role == "primary"]
    if len(primary) > 1:
        yield f"metrics: {len(primary)} are primary ({', '.join(primary)}), say which one decides"
    for metric in metrics:
        if metric.role == "primary" and metric.mde is None:
            yield f"metrics: {metric.name} has no mde, so its size cannot be planned"
        near = difflib.get_close_matches(metric.of, _COUNTED, n=1, cutoff=0.75)
        if near and metric.of not in _COUNTED:
            outcome = f"{metric.of}, an outcome of feedback"
            yield f"metrics: {metric.name} is of {outcome}; did you mean {near[0]}?"
    if not any(metric.role == "guardrail" for metric in metrics):
        yield "metrics: no guardrail, nothing stops a harmful variant"


def _variants(experiment: Experiment) -> Iterator[str]:
    control = experiment.control
    if len({variant.model.name for variant in experiment.served}) > 1:
        yield "variants: models of different names, but the path of a request names one"
    for variant in experiment.served:
        image = variant.model.image
        if image is not None and "@" not in image and ":" not in image.rpartition("/")[2]:
            yield f"variants: image {image} has no tag, it may change under way"
        if variant is not control and variant.model == control.model:
            yield f"variants: {variant.name} has the model of {control.name} (an A/A test?)"
