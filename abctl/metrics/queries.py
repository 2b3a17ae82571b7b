"""The queries of one experiment: every selector of every variant, in full.

A selector of a preset or of a metric has placeholders, `$name` between double quotes.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from abctl.core.answers import View
from abctl.core.experiment import OPTIONAL_PARTS, PARTS, Metric, Unit
from abctl.core.outcome import MEASURED, at_age
from abctl.core.reasons import Reason
from abctl.core.selector import any_of, at_once, escape
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
        clients: the same of who counts nearer to the clients, where another preset does: a proxy
            in front of servers, and its access log in front of its counters.
    """

    name: str
    preset: Preset
    names: Mapping[str, Names]
    clients: Self | None = None

    @property
    def proxies(self) -> Iterator[Self]:
        """What a proxy counts, so what clients got: its access log first, then its counters."""
        if self.clients:
            yield from self.clients.proxies
        if self.preset.proxy:
            yield self

    @property
    def access_log(self) -> Self | None:
        """What a proxy counts that knows the units; None without."""
        return next((each for each in self.proxies if each.preset.buckets), None)

    @property
    def views(self) -> Iterator[tuple[View, Self]]:
        """Whoever tells answers apart: proxies first, then the servers."""
        yield from (("clients", proxy) for proxy in self.proxies)
        if not self.preset.proxy:
            yield "servers", self

    def answers(self, variant: str) -> dict[str, tuple[str, ...]]:
        """The selectors of a variant's answers, by class."""
        names = self.names[variant]
        return {
            kind: tuple(fill(selector, names) for selector in each)
            for kind, each in self.preset.answers.items()
        }

    def foreign(self, of: str, variant: str) -> str | None:
        """Requests of others that the counters of a measure may hold as well, if any may."""
        found = self.preset.foreign.get(of)
        return found and fill(found, self.names[variant])

    def lost(self, variant: str) -> str | None:
        """Reports that a collector refused because they are older than its memory."""
        return self.preset.lost and fill(self.preset.lost, self.names[variant])

    @property
    def dropped(self) -> str | None:
        """Lines of the log that it counts which were lost, of all variants."""
        return self.preset.dropped and fill(self.preset.dropped, next(iter(self.names.values())))

    @property
    def since(self) -> str | None:
        """When whoever counts the log began to; it is one for all variants."""
        return self.preset.since and fill(self.preset.since, next(iter(self.names.values())))

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
        names = self._names_of(metric, variant)
        try:
            return {part: at_once(fill(selector, names)) for part, selector in found.items()}
        except SourceError as error:
            raise SourceError(f"metric {metric.name}: {error.message}", error.hint) from None

    def by_unit(self, metric: Metric, variant: str) -> Parts | None:
        """The selector of each part of latency by bucket of units; None where nobody has them."""
        offered = self.preset.by_unit.get(metric.kind)
        if metric.counted != LATENCY or metric.selectors or offered is None:
            return None
        names = self._names_of(metric, variant)
        return {part: at_once(fill(selector, names)) for part, selector in offered.items()}

    def reports(self, metric: Metric, variant: str) -> Parts | None:
        """What finds the answers (`n`) and the reports on them (`successes`) of an outcome.

        None where the metric is no outcome per report, or nobody counts answers beside reports.
        """
        answers = self.preset.by_per.get("request", {}).get("proportion", {}).get("n")
        reports = self.preset.outcome.get("proportion", {}).get("n")
        own = metric.selectors or metric.of in MEASURED or metric.per != "outcome"
        own = own or metric.kind in ("rate", "ratio")  # there a report is an event
        if own or answers is None or reports is None:
            return None
        found = {"n": answers, "successes": reports}
        names = self._names_of(metric, variant)
        return {part: at_once(fill(selector, names)) for part, selector in found.items()}

    def ages(self, metric: Metric, variant: str, *, hit: bool) -> Parts | None:
        """How old predictions were when a hit, or a miss, was reported; None without a collector.

        Of an age before the maturity the reports by then say it.
        """
        late = metric.maturity_seconds and metric.age_seconds is None
        if not late or self.preset.ages is None or self.reports(metric, variant) is None:
            return None
        names = {**self._names_of(metric, variant), "hit": ("yes" if hit else "no",)}
        return {"histogram": at_once(fill(self.preset.ages, names))}

    def _names_of(self, metric: Metric, variant: str) -> Names:
        due = f"{metric.maturity_seconds:g}"
        found = {"outcome": metric.of, **({"over": metric.over} if metric.over else {})}
        counted = {name: (at_age(each, metric.age_seconds),) for name, each in found.items()}
        return {**self.names[variant], **counted, "maturity": (due,)}

    def measures(self, metric: Metric) -> bool:
        """Whether every part of the metric is selected."""
        return all(part in self._offered(metric) for part in PARTS[metric.kind])

    def require_units(self, metric: Metric, unit: Unit) -> None:
        """Refuse a metric whose variance between units nobody could know.

        Raises:
            SourceError: units are assigned, and the preset does not say which a request was of.
        """
        told = metric.selectors or self.preset.buckets or unit == "request"
        grouped = (
            metric.kind in ("proportion", "mean", "rate", "ratio") and metric.counted != LATENCY
        )
        if grouped and not told:
            raise SourceError(
                f"metric {metric.name}: preset {self.name} does not tell one {unit} from another, "
                f"so how much they differ in {metric.of} is not known",
                "preset: abctl, assignment.unit: request, or selectors of counters with a bucket",
            )

    def unit_seconds(self, metric: Metric) -> float:
        """What one unit of the metric's numbers is in seconds; 1 for what is no time."""
        if metric.selectors:
            return metric.unit_seconds
        return self.preset.latency_unit_seconds if metric.counted == LATENCY else 1.0

    @property
    def late_errors(self) -> frozenset[str]:
        """Parts of errors whose series come with the first error: that there is none is a zero."""
        return _NUMERATORS if self.preset.late else frozenset()

    def late(self, metric: Metric) -> frozenset[str]:
        """Parts of a metric of which that is known."""
        known = not metric.selectors and metric.counted == ERRORS
        return self.late_errors if known else frozenset()

    def remarks(self, metric: Metric) -> Iterator[Reason]:
        """What a reader should know of how the metric is measured."""
        if metric.selectors:
            return
        if metric.counted in self.preset.remarks:
            yield Reason("measured", {"how": self.preset.remarks[metric.counted]})
        if not self.preset.drawn:
            yield Reason("notOnlyDrawn")

    def _offered(self, metric: Metric) -> Parts:
        # A metric that selects for itself does not get half of its parts from somewhere else.
        others = self.preset.by_per.get(metric.per, self.preset.outcome)
        if metric.of != metric.counted and self.preset.proxy:
            return metric.selectors  # a proxy knows nothing of the inside
        offered = self.preset.named.get(metric.counted, others).get(metric.kind, {})
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
    told = metric.kind == "quantile" and metric.counted == LATENCY and not metric.selectors
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
