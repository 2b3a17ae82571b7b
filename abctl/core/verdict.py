"""What follows from the evidence: ship, stop, continue or invalid, each with its reasons (pure).

`invalid` is of the whole experiment: the evidence cannot be trusted (split not as ordered, gaps,
stale, changed plan). Else each treatment that has a share has a verdict of its own:

1. `stop`: harm is proven, on a guardrail (worse than its margin) or on a primary; or the longest
   duration is over and what shipping needs was not proven.
2. `ship`: a primary is proven better, every guardrail is proven to be within its margin, and the
   shortest duration is over.
3. `continue`: anything else, with what is still needed.

The experiment's verdict is what is to be done next: ship the best treatment that may, else stop the
one that does harm (the others go on without it), else continue while any of them does, else stop.

With `test: fixed` there is one look: before the planned end everything but `invalid` is `continue`,
even harm; then what is not proven is given up.

Each claim is tested one-sided at alpha. What shipping needs is corrected over treatments and
primaries (Holm); an alarm is not, so that each treatment is watched as if it were alone.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from abctl.core import figures
from abctl.core.analysis import Claim, Comparison, Coverage, MetricResult, Verdict
from abctl.core.experiment import Design
from abctl.stats.estimate import Estimate
from abctl.stats.srm import SrmResult

_MIN_COVERED_RATIO = 0.9
# A share that is off as seldom as that is told apart from the usual ones.
_UNUSUAL_P = 0.05
_STALE_INTERVALS, _STALE_SECONDS = 10.0, 120.0


@dataclass(frozen=True)
class Size:
    """The number of units or requests that a variant needs and has, where it was planned.

    >>> size = Size("accuracy", "treatment", needed=12_000.0, reached=9_000.0)
    >>> size.reached / size.needed
    0.75
    """

    metric: str
    treatment: str
    needed: float
    reached: float


def verdict(
    design: Design,
    metrics: Sequence[MetricResult],
    *,
    elapsed_seconds: float,
    integrity: Sequence[str],
    sizes: Sequence[Size] = (),
    without_share: Collection[str] = (),
    ended: bool = False,
) -> Verdict:
    """What follows.

    Args:
        design: how it is decided.
        metrics: what came out of each.
        elapsed_seconds: since the start.
        integrity: why the evidence cannot be trusted; empty if it can.
        sizes: planned sizes of the primaries, as far as they are known.
        without_share: treatments that get no traffic now: they take no part, unless all are.
        ended: with `test: fixed`, whether the metrics are those of the planned end.
    """
    if integrity:
        return Verdict("invalid", None, tuple(integrity))
    early = tuple(_early(design, elapsed_seconds, sizes))
    if design.test == "fixed" and not ended:
        limit = figures.duration(design.max_duration_seconds)
        rule = (
            f"test: fixed is looked at once, at the planned end (after {limit} at the latest): "
            "nothing is decided before"
        )
        return Verdict("continue", None, (*early, rule))
    everyone = dict.fromkeys(c.treatment for m in metrics for c in m.comparisons)
    judged = [name for name in everyone if name not in without_share] or list(everyone)
    standings = [
        _Standing(t, *(tuple(f(metrics, t)) for f in (_harm, _good, _needed))) for t in judged
    ]
    each = tuple(_of_treatment(design, standing, elapsed_seconds) for standing in standings)
    found = _of_all(metrics, dict(zip(standings, each, strict=True)), early)
    return replace(found, treatments=each)


@dataclass(frozen=True)
class _Standing:
    """What is proven of a treatment: harm, what shipping needs, and what of that is missing."""

    treatment: str
    harm: tuple[str, ...]
    good: tuple[str, ...]
    needed: tuple[str, ...]


def _of_treatment(design: Design, standing: _Standing, elapsed: float) -> Verdict:
    if standing.harm:
        return Verdict("stop", standing.treatment, standing.harm)
    once = design.test == "fixed"
    if not standing.needed and (once or elapsed >= design.min_duration_seconds):
        return Verdict("ship", standing.treatment, standing.good)
    if once or elapsed >= design.max_duration_seconds:
        limit = figures.duration(design.max_duration_seconds)
        end = (
            "this was the one look that was planned" if once else f"maxDuration of {limit} is over"
        )
        why = f"{end}, and what shipping needs is not proven"
        return Verdict("stop", standing.treatment, (why, *standing.needed))
    return Verdict("continue", standing.treatment, standing.needed or standing.good)


def _of_all(
    metrics: Sequence[MetricResult], found: Mapping[_Standing, Verdict], early: Sequence[str]
) -> Verdict:
    """What is to be done next."""
    harmful = [s for s in found if s.harm]
    harm = [reason for s in harmful for reason in s.harm]
    if ready := [s.treatment for s, v in found.items() if v.kind == "ship"]:
        best, others = _best(metrics, ready)
        good = next(s.good for s in found if s.treatment == best)
        return Verdict("ship", best, (*good, *others, *harm))
    # What is proven comes first.
    going = sorted(
        (s for s, v in found.items() if v.kind == "continue"), key=lambda s: s.needed != ()
    )
    reasons = [reason for s in going for reason in found[s].reasons]
    if harmful and going:
        worse, open_yet = (", ".join(s.treatment for s in each) for each in (harmful, going))
        next_step = f"without {worse} there can be more evidence of {open_yet}"
        return Verdict("stop", harmful[0].treatment, (*harm, next_step, *reasons, *early))
    if going:
        ahead = None if going[0].needed else going[0].treatment
        return Verdict("continue", ahead, (*reasons, *early))
    alone = harmful[0].treatment if harmful and len(found) == 1 else None
    given_up = dict.fromkeys(r for s, v in found.items() if not s.harm for r in v.reasons)
    return Verdict("stop", alone, (*harm, *given_up))


def _best(metrics: Sequence[MetricResult], ready: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Of treatments that may ship the one to take, and why not the others.

    That with the largest effect on the first primary on which any of them is proven better. Each of
    them is proven, so that choosing by the data costs no error rate; which of them is better than
    the other is not tested.
    """
    for metric in (m for m in metrics if m.role == "primary"):
        sign = 1.0 if metric.direction == "increase" else -1.0
        effects = {
            c.treatment: sign * c.effect.effect
            for c in metric.comparisons
            if c.treatment in ready and c.proven("better") and isinstance(c.effect, Estimate)
        }
        if effects:
            best = max(effects, key=lambda name: effects[name])
            return best, tuple(
                f"{name} may ship as well: {best} goes first by its estimate of {metric.name}, "
                f"which does not prove it better than {name}"
                for name in ready
                if name != best
            )
    return ready[0], ()


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
        yield f"the traffic does not follow the split: {deviation(srm, names)}"


def deviation(srm: SrmResult, names: Sequence[str]) -> str:
    """The variant that is furthest off, and whether that may be chance, in words."""
    total = max(1.0, sum(srm.observed))
    off = [abs(o - e) for o, e in zip(srm.observed, srm.expected, strict=True)]
    i = off.index(max(off))
    got, due = (f"{each[i]:,.0f}" for each in (srm.observed, srm.expected))
    said = f"{names[i]} got {got} of {total:,.0f} requests ({srm.observed[i] / total:.2%})"
    if got == due and not srm.mismatch:
        return f"{said}, as many as expected ({figures.probability(srm.p)})"
    p = figures.probability(srm.p, srm.alpha)
    if srm.mismatch:
        chance = f"more than chance explains ({p})"
    elif srm.p < _UNUSUAL_P:
        chance = f"unusual, but chance may still explain it ({p}, an alarm at {srm.alpha:g})"
    else:
        chance = f"a difference that chance explains ({p})"
    return f"{said}, {due} expected ({srm.expected[i] / total:.2%}): {chance}"


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
    said = figures.probability(p, result.alpha)
    if p != result.p:
        said += " by Holm"
    if needed is not None:
        said += f", must be {needed:g} or less"
    values = " to ".join(figures.value(v, metric.unit) for v in (result.control, result.treatment))
    return f"{figures.difference(result.effect, metric.unit)} ({values}, {said})"


def _margin(metric: MetricResult, claim: Claim) -> str:
    return figures.size(claim.null, metric.unit)
