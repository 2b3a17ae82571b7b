"""Reads an experiment file into an `Experiment`, or reports everything that is wrong with it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from abctl.core import experiment as core
from abctl.core import outcome as core_outcome
from abctl.core import tables as core_tables
from abctl.core.time import format_duration
from abctl.spec import _checks, _pods, _ramp_checks, reach, shape
from abctl.spec._file import File, Metric, Outcome, Shadow, Spec
from abctl.spec._log_fields import PredictionLog
from abctl.spec._source_fields import Source, Table

_TIMES = ("maturity", "window", "early", "after")


def load(path: Path) -> core.Experiment:
    """Read an experiment file.

    Raises:
        SpecError: whatever is wrong with it, each with its place, its value and a hint.
    """
    return _from(path.parent, parse(shape.read_text(path), str(path)))


def _from(folder: Path, experiment: core.Experiment) -> core.Experiment:
    """The experiment of a file in a folder, at which its paths begin."""

    def named(model: core.Model) -> core.Model:
        return replace(model, path=model.path and str((folder / model.path).resolve()))

    variants = tuple(replace(each, model=named(each.model)) for each in experiment.variants)
    source = experiment.source
    if source is not None and source.tables is not None:
        source = replace(source, tables=replace(source.tables, folder=str(folder)))
    shadow, flag_file = experiment.shadow, experiment.flag_file
    return replace(
        experiment,
        flag_file=flag_file and str((folder / flag_file).absolute()),
        variants=variants,
        source=source,
        shadow=shadow and replace(shadow, model=named(shadow.model)),
    )


def parse(text: str, place: str) -> core.Experiment:
    """Read the text of an experiment file; errors call it by its place.

    >>> from abctl.spec.init import starter
    >>> experiment = parse(starter("iris", "envoy"), "iris.yaml")
    >>> str(experiment.split), [metric.name for metric in experiment.metrics]
    ('control 90%, treatment 10%', ['accuracy', 'errors', 'latency'])

    Raises:
        SpecError: whatever is wrong with it, each with its place, its value and a hint.
    """
    given = shape.parse_document(text, place)
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
            hash=rule.hash,
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
        metrics=tuple(each for metric in spec.metrics for each in _metric(metric, spec)),
        source=_source(spec.source),
        entrance=None if spec.entrance is None else core.Entrance(**spec.entrance.values()),
        shadow=_shadow(spec.shadow),
        outcomes=tuple(_outcome(outcome) for outcome in spec.outcomes),
        templates=_pods.templates(spec),
        log=None if spec.log is None else _log(spec.log),
        access_log=spec.access_log,
        flag_file=spec.flag_file,
        ramp=_ramp_checks.ramp_of(spec),
        design=core.Design(
            test=design.test,
            alpha=design.alpha,
            power=design.power,
            min_duration_seconds=design.min_duration,
            max_duration_seconds=design.max_duration,
            settle_seconds=design.settle,
        ),
    )


def _log(log: PredictionLog) -> core.PredictionLog:
    return core.PredictionLog(log.share, log.inputs, log.units, log.megabytes, log.to)


def _outcome(outcome: Outcome) -> core_outcome.Outcome:
    given = outcome.values()
    times = {f"{name}_seconds": given.pop(name) for name in _TIMES}
    if outcome.kind == "return" and outcome.after is None:
        times["after_seconds"] = core_outcome.RETURN_SECONDS
    return core_outcome.Outcome(**given, **times)


def _metric(metric: Metric, spec: Spec) -> Iterator[core.Metric]:
    """The metric, and the same at each earlier age, which is shown and decides nothing."""
    given = metric.values()
    declared = () if metric.window is not None or metric.selectors else spec.outcomes
    own = next((o for o in declared if o.name == metric.of), None)
    unit = 0.001 if given.pop("time_unit") == "ms" else 1.0
    for name in ("window", "before"):
        given[f"{name}_seconds"] = given.pop(name)
    given["after_seconds"] = given.pop("after") or 0.0
    given["selectors"] = dict(given["selectors"])  # the locked plan copies it
    of_users = metric.kind == "retention" or (metric.kind == "rate" and metric.window is not None)
    given["per"] = metric.per or ("user" if of_users else "outcome")
    age = given.pop("age")
    late = 0.0 if own is None else own.maturity if age is None else age
    found = core.Metric(**given, unit_seconds=unit, maturity_seconds=late, age_seconds=age)
    yield found
    for early in own.early if own and age is None else ():
        yield replace(
            found,
            name=f"{metric.name}@{format_duration(early)}",
            role="secondary",
            mde=None,
            margin=None,
            maturity_seconds=early,
            age_seconds=early,
        )


def _shadow(shadow: Shadow | None) -> core.Shadow | None:
    if shadow is None:
        return None
    return core.Shadow(shadow.name, core.Model(**shadow.model.values()), shadow.share // 100)


def _source(source: Source | None) -> core.Source | None:
    if source is None:
        return None
    tables = None if source.table is None else _tables(source.table)
    given = {kind: getattr(source, kind) for kind in _checks.SOURCES}
    counters = next(((kind, options) for kind, options in given.items() if options), None)
    if counters is None:
        return core.Source("table", {}, source.preset, tables=tables)
    kind, options = counters
    given = reach.options(options) if kind == "prometheus" else options.values()
    return core.Source(kind, given, source.preset, tables=tables)


def _tables(table: Table) -> core_tables.Tables:
    return core_tables.Tables(
        engine=table.engine,
        exposures=core_tables.Rows(**table.exposures.values()),
        events=core_tables.Rows(**table.events.values()),
        connection=dict(table.connection),
        connection_env=dict(table.connection_env),
        timezone=table.timezone,
        late_seconds=table.late,
    )
