"""A dashboard for Grafana, which asks for the same selectors as the analysis does (pure).

The split that is wanted and the effects with their bounds are what the controller says of itself;
where none runs, these lines are empty.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from abctl.core.change import Object
from abctl.core.experiment import SHARES, Experiment, Metric
from abctl.core.selector import alone, as_counted, escape
from abctl.metrics.presets import ERRORS, LATENCY
from abctl.metrics.queries import MetricQueries

# Of Grafana: as long as it takes for a rate, and what its user chooses.
RATE, WINDOW = "$__rate_interval", "$window"
_WINDOWS = ("5m", "30m", "1h", "6h", "1d")
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999")
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WANTED = "abctl_experiment_share_ratio"
_EFFECT = {
    "": "abctl_metric_effect",
    ", lower": "abctl_metric_effect_lower",
    ", upper": "abctl_metric_effect_upper",
}
_PART = "abctl_part"  # a label that tells counters apart whose other labels are alike
_WIDTH, _HEIGHT, _COLUMNS = 12, 8, 2


@dataclass(frozen=True)
class Panel:
    """A picture: an expression for each line, by its name."""

    title: str
    unit: str
    lines: Mapping[str, str]
    about: str = ""


def config_map(experiment: Experiment, asked: MetricQueries) -> Object:
    """The dashboard as Grafana's sidecar finds it: a ConfigMap with the label that it looks for.

    Args:
        experiment: its metrics, and where it is.
        asked: who counts, and what its counters call the variants.
    """
    name = f"abctl-dashboard-{experiment.name}"
    meta = {
        "name": name,
        "namespace": experiment.namespace,
        "labels": {"app.kubernetes.io/managed-by": "abctl", "grafana_dashboard": "1"},
    }
    text = json.dumps(dashboard(experiment, asked), indent=1, ensure_ascii=False)
    data = {f"{name}.json": f"{text}\n"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def dashboard(experiment: Experiment, asked: MetricQueries) -> dict[str, Any]:
    """The dashboard as Grafana imports it."""
    place = f"{experiment.namespace}/{experiment.name}"
    shown = [*panels(experiment, asked)]
    return {
        "uid": f"abctl-{hashlib.sha256(place.encode()).hexdigest()[:16]}",
        "title": f"abctl: {place}",
        "tags": ["abctl"],
        "schemaVersion": 36,
        "timezone": "utc",
        "editable": True,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": [_source(), _window()]},
        "panels": [_panel(i, each, list(asked.names)) for i, each in enumerate(shown)],
    }


def panels(experiment: Experiment, asked: MetricQueries) -> Iterator[Panel]:
    """What is drawn: split, traffic, errors and latency by who counts, and each metric."""
    names = list(asked.names)
    requests = {name: asked.requests(name) for name in names}
    every = " + ".join(f"({_rate(each, RATE)} or vector(0))" for each in requests.values())
    shares = {name: f"{_rate(each, RATE)} / ({every})" for name, each in requests.items()}
    wanted = {f"{name}, wanted": _of_controller(_WANTED, experiment, name) for name in names}
    about = "share of the requests of all variants; wanted: by the controller"
    yield Panel("Split", "percentunit", {**shares, **wanted}, about)
    rates = {name: _rate(each, RATE) for name, each in requests.items()}
    yield Panel("Requests a second", "reqps", rates)
    for view, of in asked.views:
        remarks, who = of.preset.remarks, f"{view}: {of.name}"
        totals = {name: of.totals(name) for name in names}
        errors = {n: _ratio(t[ERRORS], "successes", "n", RATE) for n, t in totals.items()}
        yield Panel(f"Errors ({who})", "percentunit", errors, remarks.get(ERRORS, ""))
        if all("histogram" in each[LATENCY] for each in totals.values()):
            unit = of.preset.latency_unit_seconds
            for q in (0.5, 0.95):
                lines = {
                    n: _quantile(t[LATENCY]["histogram"], q, unit, RATE) for n, t in totals.items()
                }
                about = remarks.get(LATENCY, "")
                yield Panel(f"Latency p{q * 100:g} ({who})", "s", lines, about)
    for metric in experiment.metrics:
        yield _effect(experiment, metric)
        drawn = metric.counted in (ERRORS, LATENCY) and not metric.selectors
        if not drawn and metric.window_seconds is None:  # what tables have, Prometheus has not
            yield _of_metric(metric, asked)


def _effect(experiment: Experiment, metric: Metric) -> Panel:
    lines = {
        f"{name}{said}": _of_controller(gauge, experiment, name, metric)
        for name in experiment.split.names[1:]
        for said, gauge in _EFFECT.items()
    }
    about = "against the control, with bounds that hold at every look; by the controller"
    return Panel(f"Effect on {metric.name}", "short", lines, about)


def _of_controller(
    gauge: str, experiment: Experiment, variant: str, metric: Metric | None = None
) -> str:
    """The value of a gauge, whichever of its replicas said it last."""
    of = {"namespace": experiment.namespace, "experiment": experiment.name}
    of |= {"metric": metric.name, "treatment": variant} if metric else {"variant": variant}
    matchers = ",".join(f'{label}="{escape(value)}"' for label, value in of.items())
    return f"max({gauge}{{{matchers}}})"


def _of_metric(metric: Metric, asked: MetricQueries) -> Panel:
    lines = dict[str, str]()
    for name in asked.names:
        parts = asked.parts(metric, name)
        if metric.kind == "quantile":
            lines[name] = _quantile(parts["histogram"], metric.quantile or 0.5, 1.0, WINDOW)
        elif metric.kind in SHARES:
            lines[name] = _ratio(parts, "successes", "n", WINDOW)
        elif metric.kind == "rate":
            lines[name] = _ratio(parts, "events", "exposure", WINDOW)
        else:
            lines[name] = _ratio(parts, "sum", "over" if metric.kind == "ratio" else "n", WINDOW)
    about = f"of the last {WINDOW}; {metric.role}, better is {metric.direction}"
    return Panel(metric.name, "percentunit" if metric.kind in SHARES else "short", lines, about)


def _rates(selector: str, window: str) -> str:
    """The rates of all counters of a selector, which may be several that `either` has joined."""
    found = [f"rate({as_counted(each)}[{window}])" for each in alone(selector)]
    if len(found) == 1:
        return found[0]
    told = (f'label_replace({each}, "{_PART}", "{i}", "", "")' for i, each in enumerate(found))
    return " or ".join(told)


def _rate(selector: str, window: str) -> str:
    return f"sum({_rates(selector, window)})"


def _ratio(parts: Mapping[str, str], above: str, below: str, window: str) -> str:
    """Parts of a metric by one another; what is counted where it happens may be none as yet."""
    number = f"({_rate(parts[above], window)} or vector(0))"
    if negative := parts.get("negative_sum"):
        number = f"({number} - ({_rate(negative, window)} or vector(0)))"
    return f"{number} / {_rate(parts[below], window)}"


def _quantile(histogram: str, q: float, unit_seconds: float, window: str) -> str:
    found = f"histogram_quantile({q:g}, sum by (le) ({_rates(histogram, window)}))"
    return found if unit_seconds == 1.0 else f"{found} * {unit_seconds:g}"


def _panel(number: int, panel: Panel, variants: Sequence[str]) -> dict[str, Any]:
    row, column = divmod(number, _COLUMNS)
    colored = [_colored(name, _COLORS[i % len(_COLORS)]) for i, name in enumerate(variants)]
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "custom": {"spanNulls": False}},
            "overrides": colored,
        },
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}},
        "targets": [
            {"refId": f"q{i}", "datasource": _SOURCE, "expr": expr, "legendFormat": name}
            for i, (name, expr) in enumerate(panel.lines.items())
        ],
    }


def _colored(name: str, color: str) -> dict[str, Any]:
    """A variant has one color in all panels, which people of any color vision tell apart."""
    fixed = {"id": "color", "value": {"mode": "fixed", "fixedColor": color}}
    return {"matcher": {"id": "byName", "options": name}, "properties": [fixed]}


def _source() -> dict[str, Any]:
    return {
        "name": "datasource",
        "type": "datasource",
        "query": "prometheus",
        "label": "Prometheus",
    }


def _window() -> dict[str, Any]:
    usual = _WINDOWS[2]
    choices = [{"text": each, "value": each, "selected": each == usual} for each in _WINDOWS]
    return {
        "name": WINDOW.removeprefix("$"),
        "label": "Metrics over",
        "type": "custom",
        "query": ",".join(_WINDOWS),
        "options": choices,
        "current": {"text": usual, "value": usual},
    }
