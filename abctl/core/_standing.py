"""What is proven of a treatment, and what is missing: reasons from comparisons (pure)."""

from collections.abc import Iterator, Sequence
from typing import Any

from abctl.core.analysis import Claim, ClaimKind, Comparison, MetricResult
from abctl.core.reasons import Reason
from abctl.stats.estimate import Estimate


def _of(metrics: Sequence[MetricResult], t: str) -> Iterator[tuple[MetricResult, Comparison]]:
    for metric in metrics:
        for comparison in metric.comparisons:
            if comparison.treatment == t:
                yield metric, comparison


def harm(metrics: Sequence[MetricResult], treatment: str) -> Iterator[Reason]:
    for metric, comparison in _of(metrics, treatment):
        claim, other = comparison.claim("harm"), comparison.other_claim("harm")
        if claim and claim.proven:
            mixed = {"was_within_margin": comparison.proven("non-inferior")}
            facts = _about(metric, treatment) | _margin(metric, claim) | _numbers(metric, claim)
            yield Reason("harmProven", facts | mixed)
        if other and other.proven and comparison.other:
            facts = _about(metric, treatment) | _margin(metric, other) | _numbers(metric, other)
            yield Reason("otherViewHarm", facts | {"view": comparison.other.view})


def good(metrics: Sequence[MetricResult], treatment: str) -> Iterator[Reason]:
    for metric, comparison in _of(metrics, treatment):
        about = _about(metric, treatment)
        better, safe = comparison.claim("better"), comparison.claim("non-inferior")
        if better and comparison.proven("better"):
            yield Reason("betterProven", about | _numbers(metric, better))
        if safe and comparison.proven("non-inferior"):
            facts = about | _margin(metric, safe) | _numbers(metric, safe)
            yield Reason("withinMarginProven", facts)


def needed(metrics: Sequence[MetricResult], treatment: str) -> Iterator[Reason]:
    """What keeps a treatment from being shipped, but for the time."""
    mine = list(_of(metrics, treatment))
    primaries = [(m, c) for m, c in mine if m.role == "primary"]
    if not primaries:
        yield Reason("noPrimary", {"treatment": treatment})
    if not any(c.proven("better") for _, c in primaries):
        for metric, comparison in primaries:
            yield from _open(metric, comparison, "better")
    for metric, comparison in mine:
        if metric.role == "guardrail" and not comparison.proven("non-inferior"):
            yield from _open(metric, comparison, "non-inferior")


def _open(metric: MetricResult, comparison: Comparison, says: ClaimKind) -> Iterator[Reason]:
    """What is missing of a claim, in the view that decides and in the other one."""
    about = _about(metric, comparison.treatment)
    claim, other = comparison.claim(says), comparison.other_claim(says)
    if claim is None:
        yield Reason("notAsked", about)
    elif not isinstance(claim.result, Estimate):
        why = Reason.of(claim.result.why)
        cause = {"method": claim.result.method, "detail": why.text, "reason": why.document()}
        yield Reason("notYetEstimable", about | cause)
    elif not claim.proven:
        yield Reason("notYetProven", about | _margin(metric, claim) | _numbers(metric, claim))
    if comparison.unproven:
        yield Reason("usersUnknown", about)
    if other is None or other.proven or comparison.other is None:
        return
    about["view"] = comparison.other.view
    if isinstance(other.result, Estimate):
        yield Reason("otherViewOpen", about | _margin(metric, other) | _numbers(metric, other))
    else:
        why = Reason.of(other.result.why)
        cause = {"preset": comparison.other.preset, "detail": why.text, "reason": why.document()}
        yield Reason("otherViewUnknown", about | cause)


def _about(metric: MetricResult, treatment: str) -> dict[str, Any]:
    return {"metric": metric.name, "role": metric.role, "treatment": treatment}


def _margin(metric: MetricResult, claim: Claim) -> dict[str, Any]:
    """The margin of a guardrail; nothing of a primary."""
    null = claim.null if metric.role == "guardrail" else None
    return {
        "margin": None if null is None else null.value,
        "margin_is_relative": None if null is None else null.relative,
    }


def _numbers(metric: MetricResult, claim: Claim) -> dict[str, Any]:
    """The numbers behind a claim."""
    result = claim.result
    assert isinstance(result, Estimate), "nothing is proven without one"
    p = result.p if claim.p_adjusted is None else claim.p_adjusted
    return {
        "unit": metric.unit,
        "effect": result.effect,
        "control_value": result.control,
        "treatment_value": result.treatment,
        "p": p,
        "p_is_adjusted": p != result.p,
        "alpha": result.alpha,
    }
