"""What the proxy of a world counted, in the counters of other platforms' proxies."""

import re
from collections.abc import Iterable, Mapping, Sequence

from abctl.core.selector import Selector
from abctl.metrics.presets import LATENCY
from abctl.metrics.queries import MetricQueries
from abctl.sources import Series

CODES = {
    "good": ("200", "2xx", "2", "OK"),
    "refused": ("404", "4xx", "4", "NotFound"),
    "failed": ("500", "5xx", "5", "Internal"),
    "unanswered": ("503", "Unavailable"),
}
_DIGITS = {"good": "2", "refused": "4", "failed": "5"}


def series_of(
    selector: str, codes: Sequence[str], counts: Series, more: Mapping[str, str]
) -> Series:
    """A series that a selector finds, with a code that its labels hold."""
    wanted = Selector.parse(selector)
    labels = {"__name__": wanted.name, "instance": counts.labels["instance"], "job": "proxy"}
    for label, operator, value in wanted.matchers:
        if operator == "=":
            labels[label] = value
        elif operator == "=~" and not re.fullmatch(value, ""):
            possible = (*codes, value.split("|")[0])
            labels[label] = next(each for each in possible if re.fullmatch(value, each))
    labels |= more
    assert wanted.matches(labels), (selector, labels)
    return Series(labels, counts.times, counts.values)


def as_counted_by(proxy: MetricQueries, found: Sequence[Series]) -> list[Series]:
    """The series of a world, with those of its Envoy as another proxy has them."""
    mine = [s for s in found if s.labels["__name__"].startswith("envoy_")]
    kept = [s for s in found if not s.labels["__name__"].startswith("envoy_")]
    places = {(s.labels["envoy_cluster_name"], s.labels["instance"]) for s in mine}
    for name, instance in sorted(places):
        at = {"envoy_cluster_name": name, "instance": instance}
        kept += _answers(proxy, name, [s for s in mine if at.items() <= s.labels.items()])
    return kept


def _answers(proxy: MetricQueries, name: str, mine: Sequence[Series]) -> Iterable[Series]:
    """The answers of one variant, by class, and how long they took."""

    def every(metric: str, **labels: str) -> list[Series]:
        asked = {"__name__": metric, **labels}
        return [s for s in mine if asked.items() <= s.labels.items()]

    by_class = {
        kind: every("envoy_cluster_upstream_rq_xx", envoy_response_code_class=digit)[0]
        for kind, digit in _DIGITS.items()
    }
    answers = proxy.answers(name)
    if answers.get("unanswered"):
        [none] = every("envoy_cluster_upstream_rq", envoy_response_code="503")
        yield (lost := series_of(answers["unanswered"][0], CODES["unanswered"], none, {}))
        # Where the same counter tells of both, one of its codes is what no server answered.
        if Selector.parse(answers["failed"][0]).matches(lost.labels):
            failed = by_class["failed"]
            rest = failed.values - none.values
            by_class["failed"] = Series(failed.labels, failed.times, rest)
    for kind, counts in by_class.items():
        yield series_of(answers[kind][0], CODES[kind], counts, {})
    if histogram := proxy.totals(name).get(LATENCY, {}).get("histogram"):
        for counts in every("envoy_cluster_upstream_rq_time_bucket"):
            edge = float(counts.labels["le"]) / 1000.0 / proxy.preset.latency_unit_seconds
            yield series_of(
                histogram, CODES["good"], counts, {"le": f"{edge:.6g}".replace("inf", "+Inf")}
            )
