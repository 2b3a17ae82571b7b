"""What no schema can say of outcomes: whether they have time, and what metrics ask of them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from abctl.core.outcome import MEASURED, RETURN_SECONDS
from abctl.core.time import format_duration
from abctl.spec.shape import Place, Problem, did_you_mean

if TYPE_CHECKING:
    from abctl.spec._file import Design, Metric, Outcome, Spec


def of_outcomes(spec: "Spec") -> Iterator[Problem]:
    """The problems of outcomes, and of the metrics that are made of them."""
    for i, outcome in enumerate(spec.outcomes):
        yield from _outcome(("spec", "outcomes", i), outcome, spec.design)
    declared = {outcome.name: outcome for outcome in spec.outcomes}
    for i, metric in enumerate(spec.metrics):
        if metric.window is not None:
            continue  # of a table, whose events nobody declares
        place: Place = ("spec", "metrics", i)
        found = None if metric.selectors else declared.get(metric.of)
        yield from _per(place, metric, found, spec.assignment.unit)
        yield from _over(place, metric, found, declared)
        if metric.age is not None and (found is None or metric.age not in found.early):
            message = f"{format_duration(metric.age)}, not among the early ages of {metric.of}"
            yield Problem((*place, "age"), message, "outcomes: [{..., early: [1h, 6h]}]")
        if found is not None:
            yield from _kind(place, metric, found)


def _outcome(place: Place, outcome: "Outcome", design: "Design") -> Iterator[Problem]:
    if outcome.name in MEASURED:
        message = f"{outcome.name!r} is what servers count by themselves"
        yield Problem((*place, "name"), message, "give the outcome another name")
    if outcome.maturity <= 0:
        yield Problem((*place, "maturity"), "0, must be above 0", "maturity: 2h")
    if outcome.maturity + design.min_duration > design.max_duration:
        whole, most = (
            format_duration(each)
            for each in (outcome.maturity + design.min_duration, design.max_duration)
        )
        message = f"with minDuration it takes {whole}, longer than maxDuration of {most}"
        hint = "make maxDuration longer, or maturity shorter"
        yield Problem((*place, "maturity"), message, hint)
    if outcome.window is not None and not 0 < outcome.window <= outcome.maturity:
        message = f"{format_duration(outcome.window)}, must be above 0 and at most the maturity"
        hint = "what happens later than the maturity cannot be reported in time"
        yield Problem((*place, "window"), message, hint)
    if outcome.cap is not None and outcome.kind != "number":
        message = f"{outcome.cap:g}, but only a number can be too large"
        yield Problem((*place, "cap"), message, "remove it, or kind: number")
    ages = [*outcome.early, outcome.maturity]
    if any(not low < high for low, high in zip([0.0, *ages], ages, strict=False)):
        message = "must rise, each above 0 and below the maturity"
        yield Problem((*place, "early"), message, "early: [1h, 6h], maturity: 24h")
    yield from _return(place, outcome)


def _return(place: Place, outcome: "Outcome") -> Iterator[Problem]:
    if outcome.kind != "return":
        if outcome.after is not None:
            message = f"{format_duration(outcome.after)}, but nobody returns by kind {outcome.kind}"
            yield Problem((*place, "after"), message, "remove it, or kind: return")
        return
    after = RETURN_SECONDS if outcome.after is None else outcome.after
    window = outcome.maturity if outcome.window is None else outcome.window
    if not 0 < after < window:
        message = f"{format_duration(after)}, must be above 0 and below the window"
        hint = f"a return counts from there to the window of {format_duration(window)}: after: 1d"
        yield Problem((*place, "after"), message, hint)
    if outcome.times == "many":
        yield Problem((*place, "times"), "many, but a user returned or did not", "remove it")
    if outcome.early:
        message = "a return has no earlier age"
        yield Problem((*place, "early"), message, "remove it, or declare another with its window")


def _per(place: Place, metric: "Metric", found: "Outcome | None", unit: str) -> Iterator[Problem]:
    asked = metric.per or ("user" if metric.kind == "retention" else "outcome")
    if (
        asked != "outcome"
        and found is None
        and not (metric.kind == "retention" and metric.selectors)
    ):
        kind = "return" if metric.kind == "retention" else "binary"
        message = f"{asked}, but {metric.of} is not among spec.outcomes"
        hint = f"outcomes: [{{name: {metric.of}, kind: {kind}, maturity: 2h}}]"
        yield Problem((*place, "per"), message, hint)
    if asked == "user" and unit == "request":
        message = "user, but each request is assigned by itself"
        yield Problem((*place, "per"), message, "assignment.unit: user, or per: request")
    if metric.kind == "retention" and asked != "user":
        yield Problem((*place, "per"), f"{asked}, but it is users who return", "per: user")
    if metric.kind == "ratio" and asked == "request":
        yield Problem((*place, "per"), "request, but a ratio is over an outcome", "kind: mean")
    if metric.kind == "rate" and asked == "user":
        yield Problem((*place, "per"), "user, but a rate is of events per request", "kind: mean")


def _over(
    place: Place, metric: "Metric", found: "Outcome | None", declared: dict[str, "Outcome"]
) -> Iterator[Problem]:
    """Whether a ratio has what it is divided by, which is counted at the same age."""
    if metric.kind != "ratio" or metric.selectors:
        if metric.over is not None:
            message = f"{metric.over}, but kind {metric.kind} is not over another outcome"
            hint = "remove it, or kind: ratio" if metric.kind != "ratio" else "the selectors say it"
            yield Problem((*place, "over"), message, hint)
        return
    if metric.over is None:
        hint = "the outcome that it is divided by: over: orders; per request or user: kind: mean"
        yield Problem((*place, "over"), "is missing, kind ratio needs it", hint)
        return
    other = declared.get(metric.over)
    if found is None or other is None:
        name, key = (metric.of, "of") if found is None else (metric.over, "over")
        hint = did_you_mean(name, declared)
        yield Problem((*place, key), f"{name} is not among spec.outcomes", hint)
        return
    if other.kind == "return":
        message = f"{metric.over} is of kind return, which nobody reports"
        yield Problem((*place, "over"), message, "kind: retention is the share of users who return")
    for key in ("maturity", "early", "window"):
        if getattr(found, key) != getattr(other, key):
            message = f"{metric.over} has another {key} than {metric.of}"
            yield Problem((*place, "over"), message, "both are counted at one age: make them alike")


def _kind(place: Place, metric: "Metric", found: "Outcome") -> Iterator[Problem]:
    place = (*place, "kind")
    if metric.kind == "quantile":
        yield Problem(place, f"quantile, but {metric.of} has no histogram", "kind: mean")
    if (metric.kind == "retention") != (found.kind == "return"):
        message = f"{metric.kind}, but {metric.of} is of kind {found.kind}"
        hint = "kind: retention is of an outcome of kind: return, and of no other"
        yield Problem(place, message, hint)
        return
    if metric.kind == "rate" and found.kind != "binary":
        message = f"rate, but {metric.of} is a number, which need not be whole"
        yield Problem(place, message, "kind: mean, per: request; or a binary outcome")
    if metric.kind != "proportion" or metric.per == "user":
        return
    if found.kind != "binary":
        message = f"proportion, but {metric.of} is a number"
        yield Problem(place, message, "kind: mean; or per: user, how many users had any")
    elif metric.per == "request" and found.times == "many":
        message = f"proportion, but one request may have {metric.of} many times"
        yield Problem(place, message, "kind: mean; or times: once")
