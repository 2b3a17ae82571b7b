"""Checks experiment files: mistakes are errors, unwise choices are warnings."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from abctl.core import server
from abctl.core.collector import of_users
from abctl.core.experiment import Experiment, Metric
from abctl.core.outcome import MEASURED, PAGE_BYTES, page_bytes
from abctl.core.split import format_share
from abctl.core.time import format_duration
from abctl.errors import SourceError, SpecError
from abctl.metrics import presets
from abctl.platforms import platform
from abctl.spec import load, measurement, rivals
from abctl.spec.render import render

# The preset, and the part of an image's name that says who built it.
_OWN = "abctl"
_WEEK_SECONDS = 7 * 86_400


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
    return _judged(path)[0]


def lint_all(paths: Iterable[Path]) -> list[Report]:
    """Check files one by one, and whether any two of them could run side by side.

    What two of them both want is an error of the later one.
    """
    reports, sound = list[Report](), list[tuple[Path, Experiment]]()
    for path in paths:
        report, experiment = _judged(path)
        if experiment is not None:
            if error := _rivalry(experiment, path, sound):
                report = Report(report.file, error, report.warnings)
            sound.append((path, experiment))
        reports.append(report)
    return reports


def _judged(path: Path) -> tuple[Report, Experiment | None]:
    try:
        experiment = load(path)
        _check_evidence(experiment, path)
        _check_admission(experiment, path)
    except SpecError as error:
        return Report(str(path), error, ()), None
    return Report(str(path), None, tuple(warnings(experiment))), experiment


def _rivalry(
    experiment: Experiment, path: Path, others: Iterable[tuple[Path, Experiment]]
) -> SpecError | None:
    for file, other in others:
        if path.resolve() == file.resolve():
            continue
        if found := rivals.contested(experiment, other):
            hint = "of one host, Service or object only one experiment can be judged; change this"
            return SpecError(f"{path}: {file} has {', '.join(found)} too", hint)
    return None


def _check_evidence(experiment: Experiment, path: Path) -> None:
    """Refuse what the analysis would refuse, before the experiment has run for a week."""
    try:
        measurement.require_apart(experiment)
        measurement.require_counters(experiment)
        asked = measurement.likely(experiment)
        for metric in experiment.by_counters.metrics:
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
    elif experiment.source.kind == "table" and (counted := experiment.by_counters.metrics):
        named = ", ".join(metric.name for metric in counted)
        yield f"source: a table alone, but {named} without a window: counters of the local stack"
    if (
        experiment.assignment.unit != "request"
        and not platform(experiment.platform).CAPABILITIES.salted
    ):
        name = experiment.platform
        yield f"assignment.salt: {name} hashes the key alone, as in every experiment with that key"
    hashes = platform(experiment.platform).CAPABILITIES.hashes
    if hashes and experiment.assignment.hash is None:
        yield f"assignment.hash: left out, taken for {hashes[0]}; or {', '.join(hashes[1:])}"
    yield from _grpc(experiment)
    yield from _pages(experiment)
    yield from _settle(experiment)
    yield from _metrics(experiment.metrics)
    yield from _runtime(experiment)
    yield from _variants(experiment)
    yield from _ramp(experiment)


def _grpc(experiment: Experiment) -> Iterator[str]:
    """Calls that meet no server, where one of the platforms could route them."""
    routed = platform(experiment.platform).CAPABILITIES.grpc
    if routed is not None and not routed(experiment):
        why = "the route has no room for more rules"
        if given := [v for v in experiment.served if not v.model.image]:
            where = given[0].model.service or given[0].model.uri
            why = f"no port for it is known of {where}" if where else why
        yield f"variants: gRPC is not routed, only HTTP: {why}"
    # Who only stands beside what decides is named in the analysis.
    decides = replace(measurement.likely(experiment), clients=None)
    every = (
        measurement.grpc_unseen(experiment, decides, m) for m in experiment.by_counters.metrics
    )
    yield from dict.fromkeys(f"metrics: {why.text}" for each in every for why in each)


def _pages(experiment: Experiment) -> Iterator[str]:
    """A page that is a burden for whoever scrapes it."""
    buckets, names = experiment.assignment.buckets, experiment.split.names
    sizes = {"collector": page_bytes(experiment.outcomes, names, buckets, of_users(experiment))}
    if measurement.preset_name(experiment) == _OWN:
        sizes["servers"] = max(server.page_bytes(experiment, name) for name in names)
        if measurement.access_log(experiment):
            sizes["access log's reader"] = server.clients_page_bytes(experiment)
    for whose, size in sizes.items():
        if size > PAGE_BYTES:
            most = f"over {PAGE_BYTES / 1e6:g} MB: fewer assignment.buckets make it smaller"
            said = f"the page of the {whose} would be about {size / 1e6:.1f} MB, {most}"
            yield f"{'outcomes' if whose == 'collector' else 'assignment.buckets'}: {said}"


def _settle(experiment: Experiment) -> Iterator[str]:
    """Outcomes that come later than what a shift leaves out, or no longer need that."""
    settle = experiment.design.settle_seconds
    declared = {outcome.name for outcome in experiment.outcomes}
    if long := [o.name for o in experiment.outcomes if o.maturity_seconds <= settle]:
        yield (
            f"design.settle: {format_duration(settle)} waits for {', '.join(long)}, which count by "
            "the time of their prediction: leave it out"
        )
    known = declared | MEASURED if declared else set()
    counted = experiment.by_counters.metrics
    late = [m.of for m in counted if known and m.of not in known and not m.selectors]
    if late:
        yield (
            f"metrics: {', '.join(late)} not among spec.outcomes, so counted when it is reported: "
            f"what comes later than design.settle ({format_duration(settle)}) after a shift counts "
            "for the wrong split"
        )


def _runtime(experiment: Experiment) -> Iterator[str]:
    """Metrics of abctl's own runtime, where other servers may run."""
    if measurement.preset_name(experiment) != _OWN:
        return
    chosen = experiment.source is not None and experiment.source.preset == _OWN
    others = [variant.model.image or variant.model.uri for variant in experiment.variants]
    if chosen:  # who says so knows their images, but no server of a platform has that runtime
        others = [v.model.uri for v in experiment.variants if not v.model.image]
    if strange := [each for each in others if each and _OWN not in each.split("/")]:
        of_runtime = (m.name for m in experiment.by_counters.metrics if not m.selectors)
        counted = ", ".join(of_runtime)
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
        near = difflib.get_close_matches(metric.of, MEASURED, n=1, cutoff=0.75)
        if near and metric.of not in MEASURED and not metric.of_table:
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


def _ramp(experiment: Experiment) -> Iterator[str]:
    """What a ramp does not bound."""
    if (ramp := experiment.ramp) is None:
        return
    first = experiment.split
    for name in (name for name in first.names[1:] if first[name] > ramp.floor_bp):
        yield (
            f"ramp: {name} starts at {format_share(first[name])}, above the floor of "
            f"{format_share(ramp.floor_bp)}: nothing bounds its harm before the first look"
        )
    of_quantiles = [
        m.name for m in experiment.metrics if m.kind == "quantile" and m.role != "secondary"
    ]
    if of_quantiles:
        yield (
            f"ramp: {', '.join(of_quantiles)} is a quantile: the share follows its bound, but "
            "share x harm means nothing there, so only rates and means are guaranteed"
        )
