"""Reads an experiment file into an `Experiment`, or reports everything that is wrong with it."""

from dataclasses import replace
from pathlib import Path

from abctl.core import experiment as core
from abctl.spec import _checks, _document, reach, shape
from abctl.spec._file import File, Metric, Shadow, Source


def load(path: Path) -> core.Experiment:
    """Read an experiment file.

    Raises:
        SpecError: whatever is wrong with it, each with its place, its value and a hint.
    """
    return parse(_document.read_text(path), str(path))


def parse(text: str, place: str) -> core.Experiment:
    """Read the text of an experiment file; errors call it by its place.

    >>> from abctl.spec.init import starter
    >>> experiment = parse(starter("iris", "envoy"), "iris.yaml")
    >>> str(experiment.split), [metric.name for metric in experiment.metrics]
    ('control 90%, treatment 10%', ['accuracy', 'errors', 'latency'])

    Raises:
        SpecError: whatever is wrong with it, each with its place, its value and a hint.
    """
    given = _document.parse_document(text, place)
    file = shape.read(File, given, place)
    if problems := _checks.of_meaning(file, given):
        raise shape.as_error(problems, place)
    experiment = replace(_experiment(file), written=given["spec"])
    if problems := _checks.of_platform(experiment):
        raise shape.as_error(problems, place)
    return experiment


def _experiment(file: File) -> core.Experiment:
    spec, rule, design = file.spec, file.spec.assignment, file.spec.design
    split = _checks.split_of(spec)
    return core.Experiment(
        name=file.metadata.name,
        namespace=file.metadata.namespace,
        platform=spec.platform,
        assignment=core.Assignment(
            unit=rule.unit,
            key=rule.key or "",
            salt=rule.salt or file.metadata.name,
            buckets=rule.buckets,
            override=rule.override,
            cohorts=tuple(
                core.Cohort(
                    c.header,
                    c.value,
                    c.variant,
                    None if c.split is None else split.parse_change((c.split,)),
                )
                for c in rule.cohorts
            ),
        ),
        variants=tuple(core.Variant(v.name, core.Model(**v.model.values())) for v in spec.variants),
        split=split,
        metrics=tuple(_metric(metric) for metric in spec.metrics),
        source=_source(spec.source),
        entrance=None if spec.entrance is None else core.Entrance(**spec.entrance.values()),
        shadow=_shadow(spec.shadow),
        design=core.Design(
            test=design.test,
            alpha=design.alpha,
            power=design.power,
            min_duration_seconds=design.min_duration,
            max_duration_seconds=design.max_duration,
            settle_seconds=design.settle,
        ),
    )


def _metric(metric: Metric) -> core.Metric:
    given = metric.values()
    unit = 0.001 if given.pop("time_unit") == "ms" else 1.0
    given["selectors"] = dict(given["selectors"])  # the locked plan copies it
    return core.Metric(**given, unit_seconds=unit)


def _shadow(shadow: Shadow | None) -> core.Shadow | None:
    if shadow is None:
        return None
    return core.Shadow(shadow.name, core.Model(**shadow.model.values()), shadow.share // 100)


def _source(source: Source | None) -> core.Source | None:
    if source is None:
        return None
    given = {kind: getattr(source, kind) for kind in _checks.SOURCES}
    kind, options = next((kind, options) for kind, options in given.items() if options)
    if kind == "prometheus":
        return core.Source(kind, reach.options(options), source.preset)
    return core.Source(kind, options.values(), source.preset)
