"""What no schema can say: sums, names that refer to each other, what the platform can do."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from abctl import platforms
from abctl.core.experiment import SHARES, Experiment
from abctl.core.split import TOTAL_BP, Split, format_share
from abctl.core.time import format_duration
from abctl.errors import SpecError, UsageError
from abctl.spec import _pods, reach, selectors
from abctl.spec._outcome_checks import of_outcomes
from abctl.spec._ramp_checks import of_ramp
from abctl.spec._table_checks import of_tables
from abctl.spec.shape import Place, Problem, did_you_mean

if TYPE_CHECKING:
    from abctl.spec._file import Assignment, File, Metric, Spec
    from abctl.stats.delta import Delta


_LABEL = 63  # what Kubernetes allows the name of a Service
SOURCES = ("prometheus", "scrape", "file")
# Whose split abctl does not write.
_FLAG_SERVICES = ("flipt", "go-feature-flag", "growthbook", "launchdarkly", "unleash")


def of_meaning(file: "File", given: Mapping[str, Any]) -> list[Problem]:
    """The problems of a file whose shape is right; `given` is what was written."""
    spec = file.spec
    found = [
        *_doubles(("spec", "variants"), [variant.name for variant in spec.variants]),
        *_doubles(("spec", "metrics"), [metric.name for metric in spec.metrics]),
        *_doubles(("spec", "outcomes"), [outcome.name for outcome in spec.outcomes]),
        *of_outcomes(spec),
        *_lengths(file),
        *_shadow(spec),
        *_sum(spec),
        *_assignment(spec.assignment),
        *(p for i, metric in enumerate(spec.metrics) for p in _metric(i, metric)),
        *_points(given["spec"]["metrics"]),
        *selectors.problems(spec),
        *_durations(spec),
        *_source(spec),
        *of_tables(spec),
        *of_ramp(spec),
        *_pods.problems(spec),
    ]
    if not any(metric.role == "primary" for metric in spec.metrics):
        message = "no primary metric, must have at least one"
        found.append(Problem(("spec", "metrics"), message, "role: primary on the one that decides"))
    # The rest needs a split that makes sense.
    return found or [*_cohorts(spec)]


def _doubles(place: Place, names: list[str]) -> Iterator[Problem]:
    for i, name in enumerate(names):
        if (first := names.index(name)) < i:
            message = f"{name!r} is already {place[-1]}[{first}]"
            yield Problem((*place, i, "name"), message, "give each its own name")


def _lengths(file: "File") -> Iterator[Problem]:
    spec = file.spec
    given: dict[Place, str] = {("variants", i): v.name for i, v in enumerate(spec.variants)}
    given |= {("shadow",): spec.shadow.name} if spec.shadow else {}
    for place, own in given.items():
        if len(name := f"{file.metadata.name}-{own}") > _LABEL:
            message = f"the objects are called {name}: {len(name)} characters, must be at most"
            hint = "a shorter name, of this or of the experiment"
            yield Problem(("spec", *place, "name"), f"{message} {_LABEL}", hint)


def _shadow(spec: "Spec") -> Iterator[Problem]:
    if (shadow := spec.shadow) is None:
        return
    if shadow.name in [variant.name for variant in spec.variants]:
        hint = "a shadow is not a variant: give it another name"
        yield Problem(("spec", "shadow", "name"), f"{shadow.name!r} is already a variant", hint)
    if not shadow.share or shadow.share % 100:
        message = f"{format_share(shadow.share)}, must be whole percents above 0"
        yield Problem(("spec", "shadow", "share"), message, "share: 10%")


def _sum(spec: "Spec") -> Iterator[Problem]:
    if len(spec.variants) < 2:  # noqa: PLR2004 - a comparison
        message = f"{len(spec.variants)} given, must be at least 2"
        yield Problem(("spec", "variants"), message, "the first is the control")
    elif (total := sum(variant.split for variant in spec.variants)) != TOTAL_BP:
        last, share = len(spec.variants) - 1, format_share(spec.variants[-1].split)
        rest = TOTAL_BP - total + spec.variants[-1].split
        yield Problem(
            ("spec", "variants", last, "split"),
            f"{share} makes the sum {format_share(total)}, must be 100%",
            f"write {format_share(rest)}" if rest >= 0 else "reduce the other shares",
        )


def _assignment(rule: "Assignment") -> Iterator[Problem]:
    for name in ("key", "salt"):
        if rule.unit != "request" and getattr(rule, name) is None:
            hint = (
                "key: x-user-id"
                if name == "key"
                else "salt: a text that no other experiment has; it never changes"
            )
            message = f"is missing, unit {rule.unit} needs it"
            yield Problem(("spec", "assignment", name), message, hint)


def _metric(i: int, metric: "Metric") -> Iterator[Problem]:
    place: Place = ("spec", "metrics", i)
    if metric.role == "guardrail" and metric.margin is None:
        hint = "how much worse may it be? margin: 0.5pp, or 10%"
        yield Problem((*place, "margin"), "is missing, a guardrail needs it", hint)
    if metric.role != "guardrail" and metric.margin is not None:
        yield Problem(
            (*place, "margin"),
            f"role {metric.role} takes no margin",
            "remove it, or role: guardrail",
        )
    if metric.role == "guardrail" and metric.mde is not None:
        yield Problem((*place, "mde"), "a guardrail takes no mde", "give it a margin instead")
    if metric.kind == "quantile" and metric.quantile is None:
        yield Problem((*place, "quantile"), "is missing, kind quantile needs it", "quantile: 0.95")
    if metric.kind != "quantile" and metric.quantile is not None:
        yield Problem(
            (*place, "quantile"),
            f"kind {metric.kind} takes no quantile",
            "remove it, or kind: quantile",
        )
    if metric.time_unit is not None and not metric.selectors:
        yield Problem(
            (*place, "timeUnit"), "is only for selectors", "remove it: a preset has its own unit"
        )
    for name, size in (("mde", metric.mde), ("margin", metric.margin)):
        if size is not None:
            yield from _size((*place, name), size)


def _size(place: Place, size: "Delta") -> Iterator[Problem]:
    if size.value <= 0:
        yield Problem(place, "0, must be above 0", "the smallest effect that matters: 0.5pp, 1%")


def _points(metrics: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    for i, metric in enumerate(metrics):
        for key in ("mde", "margin"):
            if metric["kind"] not in SHARES and (metric.get(key) or "").strip().endswith("pp"):
                message = f"{metric[key]!r} is in points, but kind {metric['kind']} is not a share"
                hint = "write 2% (relative to the control) or 0.5abs (in the metric's unit)"
                yield Problem(("spec", "metrics", i, key), message, hint)


def _durations(spec: "Spec") -> Iterator[Problem]:
    design = spec.design
    lengths = (("settle", design.settle), ("minDuration", design.min_duration))
    for (low, shorter), (high, longer) in pairwise(
        (*lengths, ("maxDuration", design.max_duration))
    ):
        if shorter > longer:
            place: Place = ("spec", "design", low)
            message = f"{format_duration(shorter)} is longer than {high} of"
            hint = f"make {low} shorter, or {high} longer"
            yield Problem(place, f"{message} {format_duration(longer)}", hint)


def _source(spec: "Spec") -> Iterator[Problem]:
    if spec.source is not None:
        given = [kind for kind in SOURCES if getattr(spec.source, kind) is not None]
        if len(given) > 1 or not (given or spec.source.table):
            message = f"{' and '.join(given) or 'none'} given, must be one of {', '.join(SOURCES)}"
            yield Problem(("spec", "source"), message, "source: {prometheus: {url: http://...}}")
        if spec.source.prometheus is not None:
            yield from reach.problems(spec.source.prometheus, ("spec", "source", "prometheus"))


def split_of(spec: "Spec") -> Split:
    """The split that the experiment starts with."""
    return Split(tuple(v.name for v in spec.variants), tuple(v.split for v in spec.variants))


def _cohorts(spec: "Spec") -> Iterator[Problem]:
    split = split_of(spec)
    rules = spec.assignment.cohorts
    for i, rule in enumerate(rules):
        place: Place = ("spec", "assignment", "cohorts", i)
        if (rule.variant is None) == (rule.split is None):
            given = "neither" if rule.split is None else "both"
            message = f"{given} given, must be one of variant, split"
            yield Problem(place, message, "variant: treatment, or split: 50/50")
        if rule.variant is not None and rule.variant not in split.names:
            hint = did_you_mean(rule.variant, split.names)
            yield Problem((*place, "variant"), f"no variant {rule.variant!r}", hint)
        if any((rule.header, rule.value) == (r.header, r.value) for r in rules[:i]):
            message = f"{rule.header}: {rule.value} already has a rule"
            yield Problem(place, message, "the first that fits counts: remove one of them")
        if rule.split is not None:
            try:
                split.parse_change((rule.split,))
            except SpecError as error:
                yield Problem((*place, "split"), error.message, error.hint)


def of_platform(experiment: Experiment) -> list[Problem]:
    """What the platform cannot express of an experiment that makes sense by itself."""
    try:
        platform = platforms.platform(experiment.platform)
    except UsageError as error:
        message, hint = f"no platform {experiment.platform!r}", error.hint
        if experiment.platform in _FLAG_SERVICES:
            message = f"{experiment.platform}, whose split abctl cannot change"
            hint = "abctl analyze --events judges its log of exposures; flagd is a platform"
        return [Problem(("spec", "platform"), message, hint)]
    return [Problem(("spec", *m.place), m.message, m.hint) for m in platform.misfits(experiment)]
