"""What no schema can say of metrics that are taken from tables of events."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from abctl.core.time import format_duration
from abctl.spec.shape import Place, Problem

if TYPE_CHECKING:
    from abctl.spec._file import Metric, Spec

KINDS = ("mean", "proportion", "rate", "ratio", "retention")
_TABLE = "source: {table: {exposures: {from: exposures.parquet, ...}, events: {...}}}"
_OF_COUNTERS = ("selectors", "time_unit", "age", "quantile")


def of_tables(spec: "Spec") -> Iterator[Problem]:
    """The problems of metrics with a window, and of a source without such."""
    source = spec.source
    table = None if source is None else source.table
    windows = [metric.window for metric in spec.metrics if metric.window is not None]
    for i, metric in enumerate(spec.metrics):
        place: Place = ("spec", "metrics", i)
        if metric.window is None:
            yield from _without_window(place, metric, spec)
        elif not table:
            message = f"{format_duration(metric.window)}, but there is no source.table"
            yield Problem((*place, "window"), message, _TABLE)
        else:
            yield from _metric(place, metric, spec)
    if table and not windows:
        message = "no metric has a window, so none is taken from it"
        yield Problem(("spec", "source", "table"), message, "window: 7d on metrics of events")
    if windows and len(windows) < len(spec.metrics) and spec.design.test == "fixed":
        message = "fixed, but metrics of counters and of a table have their one look at other times"
        yield Problem(
            ("spec", "design", "test"), message, "test: horizon, or an experiment of each"
        )


def _without_window(place: Place, metric: "Metric", spec: "Spec") -> Iterator[Problem]:
    for name in ("before", "cap", "after"):
        if getattr(metric, name) is not None:
            message = "is of metrics of source.table, which have a window"
            declared = metric.of in [outcome.name for outcome in spec.outcomes]
            hint = "give the outcome the cap" if declared and name == "cap" else "window: 7d"
            yield Problem((*place, name), message, hint)


def _metric(place: Place, metric: "Metric", spec: "Spec") -> Iterator[Problem]:
    window = metric.window or 0.0
    if window <= 0:
        yield Problem((*place, "window"), "0, must be above 0", "window: 7d")
    if metric.before is not None and metric.before <= 0:
        yield Problem((*place, "before"), "0, must be above 0", "before: 14d, or remove it")
    if metric.kind == "quantile":
        message = "quantile, but of a table of events come sums, and no counts of values"
        hint = (
            "kind: proportion, per: outcome, of an event whose value is 1 beyond a bound: events: "
            "{from: SELECT user_id, ts, 'slow' AS name, CAST(ms > 250 AS INTEGER) AS value FROM "
            "...}; or of a log at once: abctl analyze --events FILE --metric 'p95: p95(ms)'"
        )
        yield Problem((*place, "kind"), message, hint)
        return
    if metric.kind not in KINDS:
        message = f"{metric.kind}, but of a table of events it must be one of {', '.join(KINDS)}"
        hint = "kind: proportion, per: user is the share of units that did it within the window"
        yield Problem((*place, "kind"), message, hint)
        return
    yield from _per(place, metric)
    yield from _after(place, metric, window)
    if (metric.kind == "ratio") != (metric.over is not None):
        given = "is missing, kind ratio needs it" if metric.over is None else "is for kind ratio"
        hint = "the event that it is divided by: over: order"
        yield Problem((*place, "over"), given, hint if metric.over is None else "kind: ratio")
    sums = metric.kind in ("mean", "rate") and metric.per != "outcome"
    if metric.cap is not None and not sums:
        message = "is of what a unit has in all: kind mean or rate, per: user"
        yield Problem((*place, "cap"), message, "remove it")
    for name in _OF_COUNTERS:
        if getattr(metric, name):
            key = "timeUnit" if name == "time_unit" else name
            yield Problem((*place, key), "is not of metrics with a window", "remove it")
    design = spec.design
    if window + design.min_duration > design.max_duration:
        whole = format_duration(window + design.min_duration)
        most = format_duration(design.max_duration)
        message = f"with minDuration it takes {whole}, longer than maxDuration of {most}"
        hint = "make maxDuration longer, or the window shorter"
        yield Problem((*place, "window"), message, hint)


def _after(place: Place, metric: "Metric", window: float) -> Iterator[Problem]:
    if metric.after is None and metric.kind == "retention":
        message = "is missing: kind retention is of units that come back from then on"
        yield Problem((*place, "after"), message, "after: 7d, window: 14d")
    if metric.after is not None and not 0 < metric.after < window:
        message = f"{format_duration(metric.after)}, must be above 0 and below the window"
        hint = f"events count from there to the window of {format_duration(window)}"
        yield Problem((*place, "after"), message, hint)


def _per(place: Place, metric: "Metric") -> Iterator[Problem]:
    if metric.kind in ("mean", "proportion") and metric.per not in ("user", "outcome"):
        given = "is missing" if metric.per is None else f"{metric.per}, but tables have no requests"
        per_user = "its sum for each unit" if metric.kind == "mean" else "units that had any"
        hint = f"per: user ({per_user}), or per: outcome (its value in each event)"
        yield Problem((*place, "per"), given, hint)
    if metric.kind in ("rate", "retention") and metric.per not in (None, "user"):
        what = "events for each unit" if metric.kind == "rate" else "units that come back"
        message = f"{metric.per}, but a {metric.kind} of a table is of {what}"
        yield Problem((*place, "per"), message, "per: user")
    if metric.kind == "ratio" and metric.per not in (None, "outcome"):
        message = f"{metric.per}, but a ratio is over another event"
        yield Problem((*place, "per"), message, "remove it, or kind: mean")
