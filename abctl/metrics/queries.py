"""The queries of one experiment: every selector of every variant, in full.

A selector of a preset or of a metric has placeholders, `$name` between double quotes.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from abctl.core.experiment import OPTIONAL_PARTS, PARTS, Metric, Unit
from abctl.core.reasons import Reason
from abctl.core.selector import any_of, escape
from abctl.errors import SourceError
from abctl.metrics.presets import ERRORS, LATENCY, Parts, Preset

Names = Mapping[str, Sequence[str]]
"""What stands for each placeholder; several values only where a regular expression may stand."""

_PLACEHOLDER = re.compile(r"\$([a-z]+)")
_QUOTED = re.compile(r'(=~|!~|!=|=)(\s*)"((?:[^"\\]|\\.)*)"')
# Of a variant's totals: what the mean takes besides the histogram of latencies.
MEAN = "latencyMean"
_OF_VARIANT = ("$variant", "$upstream", "$version", "$model")
# What is counted where something happens; without such an event the series may not exist.
_NUMERATORS = frozenset(("successes", "events"))


def fill(selector: str, names: Names) -> str:
    """A selector with its placeholders filled in, between double quotes.

    What stands in a regular expression is one of the values, literally.

    Raises:
        SourceError: a placeholder without a value, with several where only one can stand, or in
            another place than between double quotes.
    """
    if "$" in _QUOTED.sub("", selector):
        raise SourceError(f"{selector}: a placeholder stands in double quotes", 'a="$variant"')

    def value(found: re.Match[str]) -> str:
        def named(place: re.Match[str]) -> str:
            if place[1] not in names:
                known = ", ".join(f"${name}" for name in names)
                raise SourceError(f"{selector}: nothing stands for {place[0]}", f"known: {known}")
            values = names[place[1]]
            if "~" in found[1]:
                return escape(any_of(values))
            if len(values) > 1:
                raise SourceError(f"{selector}: {place[0]} is {', '.join(values)}", "write =~")
            return escape(values[0])

        return f'{found[1]}{found[2]}"{_PLACEHOLDER.sub(named, found[3])}"'

    return _QUOTED.sub(value, selector)


@dataclass(frozen=True)
class MetricQueries:
    """What to ask a source for.

    Attributes:
        name: of the preset.
        preset: whose metrics they are, where a metric has no selectors of its own.
        names: what stands for each placeholder, by variant.
    """

    name: str
    preset: Preset
    names: Mapping[str, Names]

    def requests(self, variant: str) -> str:
        """The requests of a variant."""
        return fill(self.preset.requests, self.names[variant])

    def totals(self, variant: str) -> dict[str, Parts]:
        """What is told of a variant besides its metrics, as far as the preset has it."""
        outside = {"outside": {"n": self.preset.outside}} if self.preset.outside else {}
        measured = {
            ERRORS: self.preset.named.get(ERRORS, {}).get("proportion", {}),
            LATENCY: self.preset.named.get(LATENCY, {}).get("quantile", {}),
        }
        found = {"requests": {"n": self.preset.requests}, **outside, **measured}
        if histogram := measured[LATENCY].get("histogram"):
            # Every histogram of Prometheus has the sum of its values beside it.
            found[MEAN] = {"sum": re.sub(r"_bucket(?=\{)", "_sum", histogram, count=1)}
        names = self.names[variant]
        return {
            name: {p: fill(s, names) for p, s in parts.items()} for name, parts in found.items()
        }

    def parts(self, metric: Metric, variant: str) -> dict[str, str]:
        """The selector of each part of a metric for one variant; the metric's own come first.

        Raises:
            SourceError: a part that nobody selects, one that the kind does not have, or a
                selector of the metric's own that does not say which variant.
        """
        _check_own(metric)
        found = self._offered(metric)
        missing = [part for part in PARTS[metric.kind] if part not in found]
        if missing:
            raise SourceError(
                f"metric {metric.name}: nothing selects {missing[0]!r} of {metric.of} as "
                f"{metric.kind}" + ("" if metric.selectors else f" in preset {self.name}"),
                self._hint(metric),
            )
        names = {**self.names[variant], "outcome": (metric.of,)}
        try:
            return {part: fill(selector, names) for part, selector in found.items()}
        except SourceError as error:
            raise SourceError(f"metric {metric.name}: {error.message}", error.hint) from None

    def measures(self, metric: Metric) -> bool:
        """Whether every part of the metric is selected."""
        return all(part in self._offered(metric) for part in PARTS[metric.kind])

    def require_units(self, metric: Metric, unit: Unit) -> None:
        """Refuse a metric whose variance between units nobody could know.

        Raises:
            SourceError: units are assigned, and the preset does not say which a request was of.
        """
        told = metric.selectors or self.preset.buckets or unit == "request"
        if metric.kind in ("proportion", "mean") and metric.of != LATENCY and not told:
            raise SourceError(
                f"metric {metric.name}: preset {self.name} does not tell one {unit} from another, "
                f"so how much they differ in {metric.of} is not known",
                "preset: abctl, assignment.unit: request, or selectors of counters with a bucket",
            )

    def unit_seconds(self, metric: Metric) -> float:
        """What one unit of the metric's numbers is in seconds; 1 for what is no time."""
        if metric.selectors:
            return metric.unit_seconds
        return self.preset.latency_unit_seconds if metric.of == LATENCY else 1.0

    @property
    def late_errors(self) -> frozenset[str]:
        """Parts of errors whose series come with the first error: that there is none is a zero."""
        return _NUMERATORS if self.preset.late else frozenset()

    def late(self, metric: Metric) -> frozenset[str]:
        """Parts of a metric of which that is known."""
        known = not metric.selectors and metric.of == ERRORS
        return self.late_errors if known else frozenset()

    def remarks(self, metric: Metric) -> Iterator[Reason]:
        """What a reader should know of how the metric is measured."""
        if metric.selectors:
            return
        if metric.of in self.preset.remarks:
            yield Reason("measured", {"how": self.preset.remarks[metric.of]})
        if not self.preset.drawn:
            yield Reason("notOnlyDrawn")

    def _offered(self, metric: Metric) -> Parts:
        # A metric that selects for itself does not get half of its parts from somewhere else.
        offered = self.preset.named.get(metric.of, self.preset.outcome).get(metric.kind, {})
        return metric.selectors or offered

    def _hint(self, metric: Metric) -> str:
        own = f"give it selectors: {{{', '.join(f'{part}: ...' for part in PARTS[metric.kind])}}}"
        kinds = [k for k in PARTS if self.measures(replace(metric, kind=k, selectors={}))]
        if metric.selectors:
            return own
        if kinds:
            return f"{self.name} has {metric.of} as kind {' or '.join(kinds)}; else {own}"
        return f"{self.name} has {' and '.join(self.preset.named)}; else {own}"


def reading_of(metric: Metric, telemetry: MetricQueries) -> Metric | None:
    """The metric as its classical tests read it; a quantile of latency has its mean beside it."""
    if metric.kind in ("proportion", "mean"):
        return metric
    mean = replace(metric, kind="mean")
    told = metric.kind == "quantile" and metric.of == "latency" and not metric.selectors
    return mean if told and telemetry.measures(mean) else None


def _check_own(metric: Metric) -> None:
    known = (*PARTS[metric.kind], *OPTIONAL_PARTS.get(metric.kind, ()))
    for part, selector in metric.selectors.items():
        if part not in known:
            raise SourceError(
                f"metric {metric.name}: kind {metric.kind} has no part {part!r}",
                f"its parts: {', '.join(known)}",
            )
        if not any(name in selector for name in _OF_VARIANT):
            raise SourceError(
                f"metric {metric.name}: selector {selector!r} is the same for all variants",
                'put $variant where its name belongs, e.g. {variant="$variant"}',
            )
