"""What follows from the evidence: ship, stop, continue or invalid, each with its reasons (pure).

1. `invalid`: the evidence cannot be trusted (split not as ordered, gaps, stale, changed plan).
2. `stop`: harm is proven, on a guardrail (worse than its margin) or on a primary; or the longest
   duration is over and what shipping needs was not proven.
3. `ship`: a primary is proven better, every guardrail is proven to be within its margin, and the
   shortest duration is over.
4. `continue`: anything else, with what is still needed.

With `test: fixed` there is one look: before the planned duration and size are reached, everything
but `invalid` is `continue`, even harm; then what is not proven is given up.

Each claim is tested one-sided at alpha. Primaries and treatments are corrected for one another
(Holm); an alarm is not corrected, and shipping needs every guardrail, so neither is a guardrail.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from abctl.core import figures
from abctl.core.analysis import Claim, Comparison, Coverage, MetricResult, Verdict
from abctl.core.experiment import Design
from abctl.stats.estimate import Estimate
from abctl.stats.srm import SrmResult

_MIN_COVERED_RATIO = 0.9
_STALE_INTERVALS, _STALE_SECONDS = 10.0, 120.0


@dataclass(frozen=True)
class Size:
    """How many units or requests a variant needs and has, where that was planned."""

    metric: str
    needed: float
    reached: float


def verdict(
    design: Design,
    metrics: Sequence[MetricResult],
    *,
    elapsed_seconds: float,
    integrity: Sequence[str],
    sizes: Sequence[Size] = (),
) -> Verdict:
    """What follows.

    Args:
        design: how it is decided.
        metrics: what came out of each.
        elapsed_seconds: since the start.
        integrity: why the evidence cannot be trusted; empty if it can.
        sizes: planned sizes of the primaries, as far as they are known.
    """
    if integrity:
        return Verdict("invalid", None, tuple(integrity))
    early = tuple(_early(design, elapsed_seconds, sizes))
    over = elapsed_seconds >= design.max_duration_seconds
    if design.test == "fixed" and early and not over:
        rule = "test: fixed is looked at once, at the planned end: nothing is decided before"
        return Verdict("continue", None, (*early, rule))
    treatments = list(dict.fromkeys(c.treatment for m in metrics for c in m.comparisons))
    for treatment in treatments:
        if harm := tuple(_harm(metrics, treatment)):
            return Verdict("stop", treatment, harm)
    needed = {treatment: tuple(_needed(metrics, treatment)) for treatment in treatments}
    for treatment in treatments:
        if not needed[treatment] and elapsed_seconds >= design.min_duration_seconds:
            return Verdict("ship", treatment, tuple(_good(metrics, treatment)))
    reasons = tuple(reason for each in needed.values() for reason in each)
    if over or design.test == "fixed":
        limit = figures.duration(design.max_duration_seconds)
        end = (
            f"maxDuration of {limit} is over" if over else "this was the one look that was planned"
        )
        return Verdict("stop", None, (f"{end}, and what shipping needs is not proven", *reasons))
    ahead = [t for t in treatments if not needed[t]]
    good = tuple(reason for t in ahead for reason in _good(metrics, t))
    return Verdict("continue", ahead[0] if ahead else None, (*good, *reasons, *early))


def distrust(
    srm: object,
    names: Sequence[str],
    coverage: Mapping[str, Coverage | None],
    changed: Sequence[str],
) -> Iterator[str]:
    """Why the evidence cannot be trusted, in the order of importance.

    Args:
        srm: the check of the split, if there was one.
        names: of the variants, the control first.
        coverage: of each variant that had a share; None where the source knows nothing of it.
        changed: parts of the experiment that differ from the plan that was locked at the start.
    """
    if changed:
        parts = ", ".join(changed)
        yield f"{parts}: not as in the plan that was locked when the experiment started"
    for name, watched in coverage.items():
        if watched is None:
            yield f"{name}: the source has no request counters of it, though it had a share"
        elif watched.stale_seconds > max(
            _STALE_SECONDS, _STALE_INTERVALS * watched.interval_seconds
        ):
            since = figures.duration(watched.stale_seconds)
            yield f"{name}: was last scraped {since} ago, the evidence is stale"
        elif watched.covered_ratio < _MIN_COVERED_RATIO:
            yield (
                f"{name}: scrapes cover {watched.covered_ratio:.1%} of the time, "
                f"must be {_MIN_COVERED_RATIO:.0%}"
            )
        elif watched.doubtful_ratio > 1 - _MIN_COVERED_RATIO:
            yield (
                f"{name}: up to {watched.doubtful_ratio:.1%} of its requests may be none: its "
                "counters dropped, and it has no process_start_time_seconds that tells a restart "
                "from a worker that died"
            )
    if isinstance(srm, SrmResult) and srm.mismatch:
        yield f"the traffic does not follow the split: {mismatch(srm, names)}"


def mismatch(srm: SrmResult, names: Sequence[str]) -> str:
    """The variant that is furthest off, in words."""
    total = max(1.0, sum(srm.observed))
    off = [abs(o - e) for o, e in zip(srm.observed, srm.expected, strict=True)]
    i = off.index(max(off))
    return (
        f"{names[i]} got {srm.observed[i] / total:.2%} of {total:,.0f} requests, expected "
        f"{srm.expected[i] / total:.2%} ({figures.probability(srm.p)})"
    )


def _early(design: Design, elapsed: float, sizes: Sequence[Size]) -> Iterator[str]:
    if elapsed < design.min_duration_seconds:
        left = figures.duration(design.min_duration_seconds - elapsed)
        yield f"{left} more until minDuration of {figures.duration(design.min_duration_seconds)}"
    for size in sizes:
        if size.reached < size.needed:
            speed = size.reached / elapsed if elapsed > 0 else 0.0
            missing = size.needed - size.reached
            when = f", in about {figures.duration(missing / speed)} at this pace" if speed else ""
            yield (
                f"{size.metric}: {size.reached:,.0f} in the smaller variant, about "
                f"{size.needed:,.0f} needed to find its mde{when}"
            )


def _of(metrics: Sequence[MetricResult], t: str) -> Iterator[tuple[MetricResult, Comparison]]:
    for metric in metrics:
        for comparison in metric.comparisons:
            if comparison.treatment == t:
                yield metric, comparison


def _harm(metrics: Sequence[MetricResult], treatment: str) -> Iterator[str]:
    for metric, comparison in _of(metrics, treatment):
        claim = comparison.claim("harm")
        if claim and claim.proven:
            worse = "worse"
            if metric.role == "guardrail":
                worse = f"worse than its margin of {_margin(metric, claim)}"
            # Both cannot be true of one effect: it has changed, or an assumption does not hold.
            mixed = comparison.proven("non-inferior")
            doubt = "; at another look it was within it: cold starts, bursts?" if mixed else ""
            found = f"{_by(metric, claim)}{doubt}"
            yield f"{metric.role} {metric.name} of {treatment} is {worse}: {found}"


def _good(metrics: Sequence[MetricResult], treatment: str) -> Iterator[str]:
    for metric, comparison in _of(metrics, treatment):
        better, safe = comparison.claim("better"), comparison.claim("non-inferior")
        if better and better.proven:
            yield f"primary {metric.name} of {treatment} is better: {_by(metric, better)}"
        if safe and safe.proven:
            yield (
                f"guardrail {metric.name} of {treatment} is within its margin of "
                f"{_margin(metric, safe)}: {_by(metric, safe)}"
            )


def _needed(metrics: Sequence[MetricResult], treatment: str) -> Iterator[str]:
    """What keeps a treatment from being shipped, but for the time."""
    mine = list(_of(metrics, treatment))
    primaries = [(m, c) for m, c in mine if m.role == "primary"]
    if not primaries:
        yield f"{treatment}: no primary metric"
    if not any(c.proven("better") for _, c in primaries):
        for metric, comparison in primaries:
            claim = comparison.claim("better")
            yield f"primary {metric.name} of {treatment}: {_open(metric, claim, 'better')}"
    for metric, comparison in mine:
        if metric.role == "guardrail" and not comparison.proven("non-inferior"):
            claim = comparison.claim("non-inferior")
            margin = _margin(metric, claim) if claim else "its margin"
            said = _open(metric, claim, f"within its margin of {margin}")
            yield f"guardrail {metric.name} of {treatment}: {said}"


def _open(metric: MetricResult, claim: Claim | None, what: str) -> str:
    if claim is None:
        return f"not proven {what}"
    if isinstance(claim.result, Estimate):
        return f"not proven {what} yet: {_by(metric, claim, claim.result.alpha)}"
    return f"not estimable yet: {claim.result.reason}"


def _by(metric: MetricResult, claim: Claim, needed: float | None = None) -> str:
    """The numbers behind a claim, and the p that it needs if it is still open."""
    result = claim.result
    if not isinstance(result, Estimate):
        return result.reason
    p = result.p if claim.p_adjusted is None else claim.p_adjusted
    said = figures.probability(p)
    if p != result.p:
        said += " by Holm"
    if needed is not None:
        said += f", must be {needed:g} or less"
    values = " to ".join(figures.value(v, metric.unit) for v in (result.control, result.treatment))
    return f"{figures.difference(result.effect, metric.unit)} ({values}, {said})"


def _margin(metric: MetricResult, claim: Claim) -> str:
    return figures.size(claim.null, metric.unit)
